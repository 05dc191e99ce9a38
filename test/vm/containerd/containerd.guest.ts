/**
 * Debian's containerd with tare as its runc: what `ctr` does reaches the container, what the
 * container does reaches `ctr`, and nothing stays.
 *
 * RUNTIME names another runtime to drive.
 */
import { readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import t, { type Test } from 'tap';
import { Containerd } from './daemon.js';
import { leftovers } from './leftovers.js';

const runtime = process.env.RUNTIME ?? resolve(import.meta.dirname, '../../../build/tare');
const containerd = new Containerd(runtime);
t.teardown(() => containerd.stop());
// Emulation makes the whole of it slow.
t.setTimeout(240_000);
await containerd.start();

function nothingStays(t: Test, ...ids: string[]): void {
  for (const id of ids) t.same(leftovers(id, containerd.runtimeRoot), [], `${id} leaves nothing`);
}

/** Starts a container that sleeps until it is killed. */
async function sleeper(t: Test, id: string, flags: string[] = []): Promise<number> {
  const { status, stderr } = await containerd.run(['--detach', ...flags], id, ['sleep', '1000'])
    .result;
  t.equal(status, 0, `${id} runs`, { stderr });
  const { stdout } = await containerd.ctr(['task', 'ls']).result;
  const pid = new RegExp(`^${id}\\s+(\\d+)\\s+RUNNING`, 'm').exec(stdout)?.[1];
  t.ok(pid, `${id} is in the list of tasks`, { stdout });
  return Number(pid);
}

/** Deletes a running task and its container. */
async function remove(t: Test, id: string): Promise<void> {
  for (const args of [
    ['task', 'delete', '--force', id],
    ['container', 'delete', id],
  ]) {
    const { status, stderr } = await containerd.ctr(args).result;
    t.equal(status, 0, `ctr ${args.join(' ')}`, { stderr });
  }
}

t.test('run', async (t) => {
  const script = 'echo out; echo err >&2; tty; pwd; echo $PATH; cat /proc/self/cgroup; exit 42';
  const run = containerd.run(['--rm'], 'plain', ['sh', '-c', script]);
  const { status, stdout, stderr } = await run.result;
  t.equal(status, 42, 'the exit status is the process’s');
  // Later versions give the container a cgroup namespace.
  t.match(stdout, /^out\nnot a tty\n\/\n\/bin\n0::\/(tare\/plain)?\n$/);
  t.equal(stderr, 'err\n');
  nothingStays(t, 'plain');
});

t.test('run with a terminal', async (t) => {
  const run = containerd.ctrOnTerminal(
    containerd.runWords(['--rm', '--tty'], 'terminal', [
      'sh',
      '-c',
      'tty; test -t 0 && test -t 1 && test -t 2 && echo all; read line; echo "got $line"; exit 3',
    ]),
  );
  await run.output('all');
  run.child.stdin.write('typed\n');
  const { status, stdout } = await run.result;
  t.equal(status, 3);
  t.match(stdout, /^\/dev\/pts\/0\r+\n/m);
  t.match(stdout, /^got typed\r+\n/m);
  nothingStays(t, 'terminal');
});

t.test('run with standard input', async (t) => {
  const run = containerd.run(['--rm'], 'input', ['head', '-n', '2']);
  run.child.stdin.write('one\ntwo\nthree\n');
  const { status, stdout } = await run.result;
  t.equal(status, 0);
  t.equal(stdout, 'one\ntwo\n');
  nothingStays(t, 'input');
});

t.test('task exec', async (t) => {
  await sleeper(t, 'host');
  const exec = (flags: string[], command: string[]) => [
    'task',
    'exec',
    ...flags,
    'host',
    ...command,
  ];

  const plain = await containerd.ctr(
    exec(['--exec-id', 'plain'], ['sh', '-c', 'tr "\\0" " " </proc/1/cmdline; tty; exit 5']),
  ).result;
  t.equal(plain.status, 5);
  t.equal(plain.stdout, 'sleep 1000 not a tty\n');

  const input = containerd.ctr(exec(['--exec-id', 'input'], ['head', '-n', '1']));
  input.child.stdin.write('line\n');
  t.match(await input.result, { status: 0, stdout: 'line\n' });

  const terminal = await containerd.ctrOnTerminal(
    exec(['--exec-id', 'terminal', '--tty'], ['sh', '-c', 'tty; exit 6']),
  ).result;
  t.equal(terminal.status, 6);
  t.match(terminal.stdout, /^\/dev\/pts\/\d+\r+\n/m);

  const absent = await containerd.ctr(exec(['--exec-id', 'absent'], ['nosuchcommand'])).result;
  t.equal(absent.status, 1);
  t.match(absent.stderr, 'exec: "nosuchcommand": executable file not found in $PATH');

  const after = await containerd.ctr(exec(['--exec-id', 'after'], ['true'])).result;
  t.equal(after.status, 0, 'the container lives on after a failed exec');
  await remove(t, 'host');
  nothingStays(t, 'host');
});

t.test('kill', async (t) => {
  const script = 'trap "echo terminated; exit 7" TERM; echo ready; while :; do sleep 1; done';
  const trapping = containerd.run(['--rm'], 'traps', ['sh', '-c', script]);
  await trapping.output('ready');
  const term = await containerd.ctr(['task', 'kill', '--signal', 'SIGTERM', 'traps']).result;
  t.equal(term.status, 0, 'SIGTERM is sent', { stderr: term.stderr });
  t.match(await trapping.result, { status: 7, stdout: 'ready\nterminated\n' });

  const deaf = containerd.run(['--rm'], 'killed', ['sh', '-c', 'echo ready; sleep 1000']);
  await deaf.output('ready');
  const kill = await containerd.ctr(['task', 'kill', '--signal', 'SIGKILL', 'killed']).result;
  t.equal(kill.status, 0, 'SIGKILL is sent', { stderr: kill.stderr });
  t.equal((await deaf.result).status, 137);

  const both = containerd.run(['--rm'], 'every', ['sh', '-c', 'sleep 1000 & echo ready; wait']);
  await both.output('ready');
  const all = await containerd.ctr(['task', 'kill', '--all', '--signal', 'SIGKILL', 'every'])
    .result;
  t.equal(all.status, 0, 'SIGKILL is sent to all', { stderr: all.stderr });
  t.equal((await both.result).status, 137);
  nothingStays(t, 'traps', 'killed', 'every');
});

t.test('two containers of one pod share namespaces', async (t) => {
  const pid = await sleeper(t, 'infra');
  const shared = { network: 'net', ipc: 'ipc', uts: 'uts', pid: 'pid' };
  const flags = Object.entries(shared).flatMap(([type, file]) => [
    '--with-ns',
    `${type}:/proc/${pid}/ns/${file}`,
  ]);
  const ofInfra = (name: string) => readlinkSync(`/proc/${pid}/ns/${name}`);

  const script =
    'for n in net ipc uts pid mnt cgroup; do readlink /proc/self/ns/$n; done; ps -o pid,args';
  const { status, stdout, stderr } = await containerd.run(['--rm', ...flags], 'member', [
    'sh',
    '-c',
    script,
  ]).result;
  t.equal(status, 0, 'the second container ran', { stderr });
  const lines = stdout.split('\n');
  t.same(lines.slice(0, 4), Object.values(shared).map(ofInfra), 'shares net, ipc, uts and pid');
  t.not(lines[4], ofInfra('mnt'), 'its mount namespace is its own');
  t.match(stdout, /^ +1 sleep 1000$/m, 'sees the first one’s process');
  await remove(t, 'infra');
  nothingStays(t, 'infra', 'member');
});

t.test('a create that fails', async (t) => {
  for (const [id, command, message] of [
    ['absent', 'nosuchcommand', 'exec: "nosuchcommand": executable file not found in $PATH'],
    [
      'nopath',
      '/no/such/file',
      'exec: "/no/such/file": stat /no/such/file: no such file or directory',
    ],
    ['denied', '/etc/passwd', 'permission denied'],
  ] as const) {
    const { status, stderr } = await containerd.run(['--rm'], id, [command]).result;
    t.equal(status, 1, `${command} is no success`);
    t.match(stderr, message, 'ctr shows the runtime’s message');
    nothingStays(t, id);
  }
  const { stdout } = await containerd.ctr(['container', 'ls', '--quiet']).result;
  t.equal(stdout, '', 'containerd knows of no container any more');
});

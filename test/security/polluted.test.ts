/**
 * A property that other code of the program has added to Object.prototype becomes no option of
 * run() or Container: what a command may do does not change.
 */
import { Sandbox, exitOf } from '../support/tare.js';
import { skipReason } from '../support/containers.js';
import { program } from '../support/programs.js';
import { allowTime } from '../support/timeout.js';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { BindMount, CreateOptions, Mount, RunOptions, User } from '../../lib/index.js';

/** Every name has a value that would change what the command does, sees, or returns. */
type Names = keyof (RunOptions & CreateOptions & BindMount & Mount & User);
const values = (file: string): Record<Names, unknown> => ({
  rootfs: '/',
  readonly: false,
  mounts: [{ source: '/etc', destination: '/mnt', writable: true }],
  env: { POLLUTED: '1' },
  cwd: '/proc',
  user: 1,
  hostname: 'polluted',
  memory: 1,
  cpus: 0.01,
  pids: 1,
  network: 'host',
  capabilities: ['CAP_SYS_ADMIN'],
  seccomp: 'unconfined',
  rlimits: { nofile: 5 },
  tmpSize: 1,
  tty: true,
  annotations: { polluted: '1' },
  root: '/proc/polluted',
  rootless: true,
  systemdCgroup: true,
  id: 'a/b',
  init: false,
  spec: {},
  input: 'polluted',
  stdin: 'inherit',
  stdout: 'ignore',
  stderr: 'inherit',
  stdio: 'ignore',
  all: true,
  encoding: 'hex',
  lines: true,
  stripFinalNewline: true,
  maxBuffer: 1,
  buffer: false,
  timeout: 1,
  cpuTimeout: 1,
  signal: { aborted: true },
  killSignal: 'SIGHUP',
  forceKillAfterDelay: 0,
  reject: false,
  consoleSocket: file,
  bundle: '/proc',
  pidFile: file,
  start: true,
  endsWithProgram: true,
  noPivot: true,
  noNewKeyring: true,
  source: '/etc',
  within: '/proc',
  destination: '/polluted',
  writable: true,
  type: 'proc',
  options: ['rw'],
  uidMappings: [],
  gidMappings: [],
  uid: 5,
  gid: 5,
  umask: 0,
  additionalGids: [5],
});

/** Node itself reads these from the prototype when it opens a stream or a file, and fails. */
const readByNode = new Set(['signal', 'encoding']);

const body = `
  const options = { root: data.root };
  const look = \`
    hostname; pwd; env | sort; id; cat /proc/self/status | grep -E '^(Cap|Seccomp|NoNew|Umask|Groups)';
    ulimit -n; cut -d' ' -f5,6,9- /proc/self/mountinfo | sed 's/[,=][0-9]*//g' | sort; ls /sys/class/net /mnt;
    readlink /proc/self/fd/0; touch /x 2>&1; touch /mnt/x 2>&1; exit 3\`;
  const mounts = [{ source: data.directory, destination: '/mnt' }];
  const rlimits = { nofile: { soft: 20, hard: 30 } };
  const observe = async () => {
    const seen = [];
    for (const more of [{}, { mounts, rlimits, user: { uid: 7, gid: 7 } }]) {
      const { stdout, exitCode, signal } = await run(['sh', '-c', look], { ...options, ...more }).then(
        () => ({ stdout: 'a failed command has rejected before' }),
        (error) => error.result ?? { stdout: error.message },
      );
      seen.push(stdout, exitCode, signal);
    }
    const spec = (made) => (seen.push(JSON.stringify(made)), made);
    await run(['true'], { ...options, mounts, spec });
    const container = await Container.create('one', { ...options, bundle: data.bundle });
    const state = await container.state();
    await container.delete({ force: true });
    return JSON.stringify([...seen, state.status, Object.keys(state)]);
  };
  const expected = await observe();
  tell(expected);
  for (const [name, value] of data.values) {
    Object.prototype[name] = value;
    let seen;
    try {
      seen = await observe();
    } catch (error) {
      seen = 'failed: ' + error.stack;
    }
    delete Object.prototype[name];
    if (seen !== expected) tell(name + ': ' + seen);
  }
  tell('done');
`;

allowTime(t, 180_000);

t.test('no option comes from Object.prototype', { skip: skipReason ?? false }, async (t) => {
  const sandbox = new Sandbox(t);
  const file = join(sandbox.directory, 'polluted');
  const bundle = sandbox.bundle(['sleep', '1000']);
  const polluted = Object.entries(values(file)).filter(([name]) => !readByNode.has(name));
  const data = { root: sandbox.root, directory: sandbox.directory, bundle, values: polluted };
  const { child, output } = program(body, data);
  const ended = exitOf(child);
  const [expected = '', ...different] = (await output.all()).trim().split('\n');
  t.match(expected, /Read-only file system.*"created",/, 'the command was observed');
  t.strictSame(different, ['done']);
  t.equal(await ended, 0);
  t.notOk(existsSync(file));
});

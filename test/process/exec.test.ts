/** exec: each flag, process.json, exit statuses. */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { recvtty } from '../support/recvtty.js';
import { Output, Sandbox, exitOf, state, skipReason, type Result } from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  /** A running container for all tests of this file. */
  const bundle = sandbox.bundle(['sleep', '100000'], (config) => {
    config.process.env = ['PATH=/bin', 'KEPT=yes', 'CHANGED=before'];
    config.process.user = { uid: 5, gid: 6, additionalGids: [7] };
  });
  const id = sandbox.id('exec');
  const exec = (args: string[], input?: string): Result =>
    sandbox.tare(['exec', ...args], input === undefined ? {} : { input });
  const before = sandbox.spawn(['run', '-d', '-b', bundle, id], { stdio: 'ignore' });
  t.equal(await exitOf(before), 0);

  t.test('status, output and input are those of the process', async (t) => {
    t.match(exec([id, 'sh', '-c', 'echo out; echo err >&2; exit 7']), {
      status: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    t.match(exec([id, 'sh', '-c', 'kill -USR1 $$']), { status: 128 + 10 });
    t.match(exec([id, 'cat'], 'some input'), { status: 0, stdout: 'some input' });
  });

  t.test('flags end at the id, and -- right behind it is left out', async (t) => {
    t.equal(exec([id, 'echo', '-d', '--cwd', '--']).stdout, '-d --cwd --\n');
    t.equal(exec([id, '--', 'echo', '-x']).stdout, '-x\n');
    t.equal(exec(['--', id, 'echo', 'y']).stdout, 'y\n');
  });

  t.test('the process is in the namespaces and the cgroup of the container', async (t) => {
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const own = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    t.not(own, readFileSync('/proc/self/cgroup', 'utf8'));
    const child = sandbox.spawn(['exec', id, 'sh', '-c', 'echo ready; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await new Output(child.stdout).until('ready\n');
    const pids = JSON.parse(sandbox.must(['ps', '-f', 'json', id]).stdout) as number[];
    t.equal(pids.length, 2);
    for (const one of pids) {
      t.equal(readFileSync(`/proc/${one}/cgroup`, 'utf8'), own);
      for (const name of ['mnt', 'pid', 'net', 'uts', 'ipc', 'cgroup']) {
        const [theirs, init, ours] = [one, pid, 'self'].map((p) =>
          readlinkSync(`/proc/${p}/ns/${name}`),
        );
        t.equal(theirs, init, name);
        t.not(theirs, ours, name);
      }
    }
    child.stdin?.end();
    t.equal(await exitOf(child), 0);
  });

  t.test('--user: numbers only, and strictly so', async (t) => {
    const idsOf = (...flags: string[]): Result =>
      exec([...flags, id, 'sh', '-c', 'id -u; id -g; id -G']);
    t.equal(idsOf().stdout, '5\n6\n6 7\n');
    t.equal(idsOf('-u', '1').stdout, '1\n6\n6 7\n', 'the group stays');
    t.equal(idsOf('-u', '1:2').stdout, '1\n2\n2 7\n');
    t.equal(idsOf('--user=4294967294:0').stdout, '4294967294\n0\n0 7\n');
    const bad = ['', '1:', ':1', ':', 'abc', '4294967296', '4294967295', '1:4294967295', '-1'];
    for (const value of [
      ...bad,
      '0x1',
      '1:2:3',
      '+1',
      ' 1',
      '1 ',
      '1e3',
      '1.0',
      'root',
      '99999999999999999999',
    ]) {
      const result = idsOf(`--user=${value}`);
      t.equal(result.status, 255, `refused: ${JSON.stringify(value)}`);
      t.match(result.error, `--user "${value}": `);
      t.equal(result.stdout, '');
    }
  });

  t.test('--additional-gids adds groups', async (t) => {
    t.equal(exec(['-g', '10', '--additional-gids', '11', id, 'id', '-G']).stdout, '6 7 10 11\n');
  });

  t.test('--env adds variables, or takes the place of one', async (t) => {
    const { stdout } = exec([
      '-e',
      'NEW=a=b c',
      '--env',
      'CHANGED=after',
      '-e',
      'EMPTY=',
      id,
      'env',
    ]);
    const lines = stdout.trimEnd().split('\n');
    for (const line of ['KEPT=yes', 'CHANGED=after', 'NEW=a=b c', 'EMPTY=']) {
      t.ok(lines.includes(line), line);
    }
    t.notOk(lines.includes('CHANGED=before'));
    for (const bad of ['NAME', '', '=value']) {
      const result = exec(['-e', bad, id, 'env']);
      t.equal(result.status, 255);
      t.equal(result.error, `--env "${bad}": expected NAME=VALUE`);
    }
  });

  t.test('--cwd', async (t) => {
    t.equal(exec(['--cwd', '/tmp', id, 'sh', '-c', 'pwd']).stdout, '/tmp\n');
  });

  /** Returns the capability sets of /proc/self/status as numbers. */
  const sets = (...flags: string[]): Record<string, bigint> => {
    const { stdout, stderr } = exec([...flags, id, 'grep', '^Cap', '/proc/self/status']);
    if (stdout === '') throw new Error(stderr);
    return Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/:\s*/))
        .map(([name, hex]) => [name, BigInt(`0x${hex}`)]),
    ) as Record<string, bigint>;
  };

  t.test('--cap adds to bounding, effective and permitted, never to inheritable', async (t) => {
    const plain = sets('-u', '0');
    const sysAdmin = 1n << 21n;
    t.equal((plain['CapBnd'] ?? 0n) & sysAdmin, 0n);
    t.equal(plain['CapInh'], 0n);
    for (const name of ['CAP_SYS_ADMIN', 'sys_admin']) {
      const more = sets('-u', '0', '--cap', name, '-c', 'CAP_SYS_TIME');
      for (const set of ['CapBnd', 'CapEff', 'CapPrm']) {
        t.equal(more[set], (plain[set] ?? 0n) | sysAdmin | (1n << 25n), set);
      }
      t.equal(more['CapInh'], 0n);
      t.equal(more['CapAmb'], plain['CapAmb']);
    }
    const unknown = exec(['--cap', 'CAP_BOGUS', id, 'true']);
    t.equal(unknown.status, 255);
    t.equal(unknown.error, '--cap CAP_BOGUS: unknown capability');
  });

  t.test('--no-new-privs', async (t) => {
    const flag = (...flags: string[]): string =>
      exec([...flags, id, 'grep', 'NoNewPrivs', '/proc/self/status']).stdout;
    t.equal(flag(), 'NoNewPrivs:\t1\n', 'as the config has it');
    t.equal(flag('--no-new-privs=false'), 'NoNewPrivs:\t0\n');
    t.equal(flag('--no-new-privs'), 'NoNewPrivs:\t1\n');
  });

  t.test('--process: the whole process from a file', async (t) => {
    const file = join(sandbox.directory, 'process.json');
    const write = (process: Record<string, unknown>): void =>
      writeFileSync(file, JSON.stringify({ cwd: '/tmp', user: { uid: 8, gid: 9 }, ...process }));
    write({
      args: ['/bin/sh', '-c', 'pwd; id -u; id -g; echo $A; exit 3'],
      env: ['PATH=/bin', 'A=b'],
    });
    t.match(exec(['--process', file, id]), { status: 3, stdout: '/tmp\n8\n9\nb\n' });
    t.match(exec(['-p', file, id]), { status: 3 });
    for (const flags of [
      ['--cwd', '/'],
      ['-u', '0'],
      ['-e', 'A=c'],
      ['-c', 'CAP_KILL'],
      ['-g', '1'],
    ]) {
      const result = exec(['-p', file, ...flags, id]);
      t.equal(result.status, 255);
      t.match(result.error, `--process ${file} describes the whole process: leave out --`);
    }
    t.equal(
      exec(['-p', file, id, 'true']).error,
      `--process ${file} describes the whole process: leave out the command "true"`,
    );
    writeFileSync(file, '{"args": 5}');
    t.equal(exec(['-p', file, id]).error, `${file}: args: expected an array, got 5`);
    t.match(exec(['-p', '/nowhere', id]).error, 'ENOENT');
  });

  t.test('--detach: the process goes on, its id is in --pid-file', async (t) => {
    const pidFile = join(sandbox.directory, 'exec.pid');
    const child = sandbox.spawn(
      ['exec', '-d', '--pid-file', pidFile, id, 'sh', '-c', 'echo ready; exec sleep 1000'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const output = new Output(child.stdout);
    t.equal(await exitOf(child), 0);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    t.ok(existsSync(`/proc/${pid}`));
    await output.until('ready\n');
    process.kill(pid, 'SIGKILL');
    await output.all();
  });

  t.test('--pidfd-socket gets a pidfd of the new process', async (t) => {
    const receiver = await recvtty(join(sandbox.directory, 'pidfd.sock'), '--pidfd');
    const pidFile = join(sandbox.directory, 'pidfd.pid');
    const flags = ['--pidfd-socket', receiver.socket, '--pid-file', pidFile];
    t.equal(exec(['--detach', ...flags, id, 'sleep', '1000']).status, 0);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    t.equal(await receiver.output.all(), `${pid}\n`);
    process.kill(pid, 'SIGKILL');
  });

  t.test('--cgroup: an existing cgroup below, and nowhere else', async (t) => {
    const { pid } = state(sandbox.must(['state', id]).stdout);
    const own = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? '';
    for (const name of ['below', 'a..b']) mkdirSync(`/sys/fs/cgroup${own}/${name}`);
    const where = (cgroup: string): Result =>
      exec(['-u', '0', '--cgroup', cgroup, id, 'grep', '^0::', '/proc/self/cgroup']);
    t.equal(where('below').stdout, '0::/below\n');
    t.equal(where('/below').stdout, '0::/below\n');
    t.equal(where('a..b').stdout, '0::/a..b\n');
    t.equal(where('/').stdout, '0::/\n');
    for (const bad of ['..', '../..', 'below/../..']) {
      t.match(where(bad), { status: 255, stdout: '', error: /--cgroup: bad sub cgroup path/ }, bad);
    }
    t.match(where('absent'), {
      status: 255,
      error: /no such cgroup: no such file or directory; make it first/,
    });
    t.match(where('pids:below'), { status: 255, error: /give one path without controllers/ });
    const twice = exec(['--cgroup', 'below', '--cgroup', 'below', id, 'true']);
    t.match(twice, { status: 255, error: /cgroup v2 has one hierarchy; give one path/ });
    rmdirSync(`/sys/fs/cgroup${own}/below`);
  });

  t.test('what cannot be executed', async (t) => {
    const table: [string[], string][] = [
      [['absent'], 'exec: "absent": executable file not found in $PATH'],
      [['/bin/absent'], 'exec: "/bin/absent": stat /bin/absent: no such file or directory'],
      [['/etc'], 'exec: "/etc": is a directory'],
    ];
    for (const [args, message] of table) {
      const result = exec([id, ...args]);
      t.equal(result.status, 255);
      t.match(result.error, message);
    }
    t.equal(exec([id]).error, 'exec args cannot be empty: name a command, or use --process');
    t.equal(exec([id]).status, 255);
    t.match(exec(['--cwd', '/absent', id, 'true']), { status: 255, error: /\/absent/ });
    t.match(exec(['--cwd', 'tmp', id, 'true']), { status: 255, error: /absolute/ });
    t.match(exec([sandbox.id('unknown'), 'true']), { status: 255, error: /does not exist/ });
  });

  t.test('a container that does not run', async (t) => {
    const created = sandbox.id('created');
    sandbox.must(['create', '-b', sandbox.bundle(['true']), created]);
    t.match(
      exec([created, 'echo', 'x']),
      { status: 0, stdout: 'x\n' },
      'a created one may be entered',
    );
    sandbox.must(['delete', created]);
    const stopped = sandbox.id('stopped');
    sandbox.must(['run', '--keep', '-b', sandbox.bundle(['true']), stopped]);
    t.match(exec([stopped, 'true']), { status: 255, error: /stopped container/ });
    sandbox.must(['delete', stopped]);
  });

  t.test('an error names the flag or the file that it comes of', async (t) => {
    const said = (...args: string[]): string => {
      const result = exec(args);
      t.equal(result.status, 255, args.join(' '));
      return result.error.replace(`exec in ${id}: `, '');
    };
    t.equal(said('--cwd', 'tmp', id, 'true'), '--cwd: must be an absolute path, not "tmp"');
    t.equal(
      said('--cwd', '/absent', id, 'true'),
      'cd /absent (if root may): --cwd: chdir: ENOENT (No such file or directory); the directory does not exist in the container',
    );
    t.equal(
      said('-g', '4294967295', id, 'true'),
      '--additional-gids: 4294967295 is not an id; the kernel takes it for "no change"',
    );
    t.equal(
      said('--apparmor', 'two words', id, 'true'),
      '--apparmor: "two words" contains a space or control character; remove it',
    );
    t.equal(
      said('--process-label', 'a\nb', id, 'true'),
      '--process-label: "a\\nb" contains a space or control character; remove it',
    );
    const file = join(sandbox.directory, 'wrong.json');
    const wrong = (process: Record<string, unknown>): string => {
      writeFileSync(file, JSON.stringify({ cwd: '/', args: ['/bin/true'], ...process }));
      return said('--process', file, id).replace(file, 'FILE');
    };
    t.equal(wrong({ cwd: 'x' }), 'FILE: cwd: must be an absolute path, not "x"');
    t.equal(
      wrong({ cwd: '/absent' }),
      'cd /absent (if root may): FILE: cwd: chdir: ENOENT (No such file or directory); the directory does not exist in the container',
    );
    t.equal(
      wrong({ user: { uid: 4294967295, gid: 0 } }),
      'FILE: user.uid: 4294967295 is not an id; the kernel takes it for "no change"',
    );
    t.match(wrong({ env: ['A'] }), `FILE: env[0]: invalid environment variable "A": missing '='`);
    t.equal(
      wrong({ oomScoreAdj: 1001 }),
      'FILE: oomScoreAdj: 1001 is not in the range -1000 to 1000',
    );
    t.match(
      wrong({ rlimits: [{ type: 'RLIMIT_NOFILE', soft: 2 ** 40, hard: 2 ** 40 }] }),
      /FILE: rlimits\[0\]: prlimit64: EPERM/,
    );
    // exec needs two processes: one for the setup, and one that is the program.
    const two = { type: 'RLIMIT_NPROC', soft: 1, hard: 1 };
    t.match(
      wrong({ rlimits: [two], user: { uid: 54321, gid: 0 } }),
      /pid namespace: clone: EAGAIN .*; linux\.resources\.pids\.limit or the user's RLIMIT_NPROC/,
    );
  });

  t.test('in the end nothing is left', async (t) => {
    sandbox.must(['delete', '--force', id]);
    t.strictSame(sandbox.leftovers(), []);
  });
}

/** The process itself: names, limits, ids, environment, working directory, standard streams. */
import { skipReason } from '../support/tare.js';
import { Inside, field, type Edit } from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const user =
    (more: Record<string, unknown>): Edit =>
    (config) => {
      Object.assign(config.process.user, more);
    };

  inside.test('hostname, domainname, sysctl', async (t) => {
    const before = readFileSync('/proc/sys/kernel/domainname', 'utf8');
    const seen = inside.stdoutOf(
      'uname -n; cd /proc/sys; cat kernel/domainname net/ipv4/ip_forward kernel/shmmni ' +
        'net/ipv4/conf/lo/rp_filter',
      (config) => {
        config['hostname'] = 'name';
        config['domainname'] = 'example.org';
        config.linux['sysctl'] = {
          'net.ipv4.ip_forward': '1',
          'kernel.shmmni': '77',
          'net/ipv4/conf/lo/rp_filter': '2',
        };
      },
    );
    t.equal(seen, 'name\nexample.org\n1\n77\n2');
    t.equal(readFileSync('/proc/sys/kernel/domainname', 'utf8'), before, 'the host keeps its own');
    const bad = inside.run('true', (config) => {
      config.linux['sysctl'] = { 'kernel.shmmni': 'many' };
    });
    t.match(
      bad.error,
      /sysctl -w kernel\/shmmni=many: config\.json: linux\.sysctl\.kernel\.shmmni: write: EINVAL/,
    );
    const none = inside.run('true', (config) => {
      config.linux['sysctl'] = { 'net.ipv4.nothing': '1' };
    });
    t.match(none.error, /linux\.sysctl\.net\.ipv4\.nothing: open: ENOENT/);
  });

  inside.test('limits, umask, oom_score_adj', async (t) => {
    const seen = inside.stdoutOf(
      'cat /proc/self/limits; umask; cat /proc/self/oom_score_adj',
      (config) => {
        config.process['rlimits'] = [
          { type: 'RLIMIT_NOFILE', soft: 100, hard: 200 },
          { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
        ];
        config.process.user['umask'] = 0o27;
        config.process['oomScoreAdj'] = 321;
      },
    );
    t.match(seen, /Max open files +100 +200 /);
    t.match(seen, /Max core file size +0 +0 /);
    t.match(seen, /\n0027\n321$/);
    t.match(inside.stdoutOf('umask'), '0022', 'the default');
  });

  inside.test('user, groups', async (t) => {
    const ids = 'cat /proc/self/status';
    const seen = inside.stdoutOf(
      ids,
      user({ uid: 7, gid: 8, additionalGids: [9, 4_294_967_294, 8] }),
    );
    t.equal(field(seen, 'Uid'), '7\t7\t7\t7');
    t.equal(field(seen, 'Gid'), '8\t8\t8\t8');
    t.equal(field(seen, 'Groups'), '8 9 4294967294');
    t.equal(field(inside.stdoutOf(ids), 'Groups'), '', "none of the caller's");
  });

  inside.test('a working directory that only one of root and the user may enter', async (t) => {
    // Root without CAP_DAC_OVERRIDE has the same access as root of a container's user namespace on
    // a volume of another user.
    const seen = inside.stdoutOf('pwd', (config, rootfs) => {
      mkdirSync(join(rootfs, 'root-only/sub'), { recursive: true });
      execFileSync('chmod', ['700', join(rootfs, 'root-only')]);
      config.process.user['uid'] = 1000;
      config.process.cwd = '/root-only/sub';
    });
    t.equal(seen, '/root-only/sub', 'entered as root');
    const file = inside.run('pwd', (config, rootfs) => {
      writeFileSync(join(rootfs, 'file'), '');
      config.process.cwd = '/file';
    });
    t.equal(file.status, 1);
    t.match(file.error, /process\.cwd: .*ENOTDIR/);
  });

  inside.test('HOME is what the config says, else what passwd has, else /', async (t) => {
    const passwd = [
      'root:x:0:0:root:/root:/bin/sh',
      'short:x:1',
      'odd:x:10x:0::/odd:/bin/sh',
      'no-home:x:11:0:::',
      'long-number:x:42949672970:0::/overflow:/bin/sh',
      'user:x:1000:1000:A User,,,:/home/user:/bin/sh',
      'user2:x:1000:1000::/home/second:/bin/sh',
      'last:x:1001:0::/home/last',
    ].join('\n');
    const home = (uid: number, env: string[] = []): string =>
      inside.stdoutOf('echo "$HOME"; env | grep -c ^HOME=', (config, rootfs) => {
        writeFileSync(join(rootfs, 'etc/passwd'), passwd);
        config.process.user['uid'] = uid;
        config.process.env.push(...env);
      });
    const expected: [uid: number, env: string[], home: string][] = [
      [0, [], '/root'],
      [1000, [], '/home/user'],
      [1001, [], '/home/last'],
      [10, [], '/'],
      [11, [], '/'],
      [12, [], '/'],
      [1000, ['HOME=/given'], '/given'],
      [1000, ['HOME='], '/home/user'],
    ];
    for (const [uid, env, wanted] of expected)
      t.equal(home(uid, env), `${wanted}\n1`, `${uid} ${env.join()}`);

    const shapes: Record<string, (path: string) => void> = {
      'a FIFO': (path) => void execFileSync('mkfifo', [path]),
      'a directory': (path) => mkdirSync(path),
      'a link to a descriptor': (path) => symlinkSync('/proc/self/fd/0', path),
      'a file without an end': (path) => void execFileSync('truncate', ['-s', '1T', path]),
    };
    for (const [name, make] of Object.entries(shapes)) {
      const seen = inside.stdoutOf('echo "$HOME"', (_config, rootfs) =>
        make(join(rootfs, 'etc/passwd')),
      );
      t.equal(seen, '/', name);
    }
    await inside.created(
      inside.script('sleep 1000', (_config, rootfs) => {
        writeFileSync(join(rootfs, 'etc/passwd'), passwd);
      }),
      (id) => {
        inside.must(['start', id]);
        t.equal(
          inside.must(['exec', '--user', '1000', id, 'sh', '-c', 'echo $HOME']).stdout,
          '/home/user\n',
        );
      },
    );
  });

  inside.test('of several variables with one name the last one counts, in its place', async (t) => {
    const env = [
      'A=1',
      'PATH=/nowhere',
      'B=2',
      'A=',
      'PATH=/bin',
      'HOME=/first',
      'HOME=',
      'C==',
      'B=3',
    ];
    const bundle = inside.script('', (config) => {
      config.process.args = ['env'];
      config.process.env = env;
    });
    const expected = 'A=\nPATH=/bin\nC==\nB=3\nHOME=/\n';
    t.equal(inside.must(['run', '-b', bundle, inside.fresh()]).stdout, expected);
    await inside.created(bundle, (id) => {
      t.equal(inside.must(['exec', id, 'env']).stdout, expected, 'exec');
      const file = join(inside.directory, 'env.json');
      writeFileSync(file, JSON.stringify({ cwd: '/', args: ['/bin/env'], env: ['X=1', 'X=2'] }));
      t.equal(inside.must(['exec', '-p', file, id]).stdout, 'X=2\nHOME=/\n');
    });
  });

  inside.test('a user that is not root may open its standard streams', async (t) => {
    const bundle = inside.script(
      'echo out >/dev/stdout; echo err >/dev/stderr',
      user({ uid: 1000 }),
    );
    const result = inside.tare(['run', '-b', bundle, inside.fresh()]);
    t.match(result, { status: 0, stdout: 'out\n', stderr: 'err\n' });
    const before = execFileSync('stat', ['-c', '%u', '/dev/null']).toString();
    const run = inside.spawn(['run', '-b', bundle, inside.fresh()], { stdio: 'ignore' });
    await new Promise((resolve) => run.once('exit', resolve));
    t.equal(
      execFileSync('stat', ['-c', '%u', '/dev/null']).toString(),
      before,
      'the null device stays',
    );
  });

  inside.test('the program is looked for as the user would', async (t) => {
    const refused: Record<string, [args: string[], message: RegExp]> = {
      'not in PATH': [['nothing'], /exec: "nothing": executable file not found in \$PATH/],
      'no such file': [
        ['/nothing'],
        /exec: "\/nothing": stat \/nothing: no such file or directory/,
      ],
      'a directory': [['/tmp'], /exec: "\/tmp": is a directory: permission denied/],
      'not executable': [['/etc/plain'], /exec: "\/etc\/plain": permission denied/],
    };
    for (const [name, [args, message]] of Object.entries(refused)) {
      const result = inside.run('', (config, rootfs) => {
        writeFileSync(join(rootfs, 'etc/plain'), 'text', { mode: 0o644 });
        config.process.args = args;
      });
      t.match(result.error, message, name);
    }
    t.equal(
      inside.stdoutOf('', (config) => {
        config.process.cwd = '/bin';
        config.process.args = ['./echo', 'relative'];
      }),
      'relative',
    );
  });
}

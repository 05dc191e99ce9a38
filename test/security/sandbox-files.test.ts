/** What run() does to files of the host, and which it shows, when the command is hostile. */
import { Sandbox, skipReason } from '../support/tare.js';
import { uid } from '../support/ordinary-user.js';
import { failure } from '../support/containers.js';
import { ProjectOfUser } from '../support/user-programs.js';
import { randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { run, type RunOptions, type Spec } from '../../lib/index.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);
  const project = new ProjectOfUser(sandbox);
  const inside = (script: string, options: RunOptions = {}) =>
    run(['sh', '-c', script], { root: sandbox.root, ...options });
  const directory = (name: string): string => {
    const path = join(sandbox.directory, name);
    mkdirSync(path, { mode: 0o755 });
    return path;
  };
  /** Runs the same in a program of an ordinary user; returns its output. */
  const asUser = (body: string): string => {
    const { stdout, stderr } = project.run(`
      import { run } from 'tare';
      const inside = (script, options) => run(['sh', '-c', script], options);
      ${body}`);
    if (stderr !== '') throw new Error(stderr);
    return stdout;
  };

  t.test('mount points are made in the container, never on the host', async (t) => {
    const name = `tare-test-${randomBytes(4).toString('hex')}`;
    const victim = join(sandbox.directory, 'victim');
    writeFileSync(victim, 'precious', { mode: 0o600 });
    writeFileSync(`/run/${name}`, 'precious', { mode: 0o600 });
    symlinkSync(victim, `/tmp/${name}`);
    t.teardown(() => {
      for (const directory of ['/run', '/tmp']) rmSync(join(directory, name), { force: true });
    });
    const source = join(directory('source'), 'file');
    writeFileSync(source, 'mounted\n');
    for (const destination of [`/var/run/${name}`, `/var/tmp/${name}`]) {
      const { stdout } = await inside(`cat ${destination}`, { mounts: [{ source, destination }] });
      t.equal(stdout, 'mounted\n');
    }
    for (const path of [victim, `/run/${name}`]) {
      t.equal(readFileSync(path, 'utf8'), 'precious', path);
      t.equal(statSync(path).mode & 0o777, 0o600, path);
    }
  });

  t.test('many destinations leave nothing below the state root', async (t) => {
    const source = directory('many');
    for (let i = 0; i < 40; i++) {
      await inside('true', { mounts: [{ source, destination: `/a/b${i}/c/d` }] });
    }
    const left = readdirSync(sandbox.root, { recursive: true }).length;
    t.ok(left < 20, `${left} files`);
  });

  t.test('of the directory that Node is in, Node alone', async (t) => {
    const place = join(project.user.directory, 'place');
    const write = (path: string): void => {
      mkdirSync(dirname(join(place, path)), { recursive: true });
      writeFileSync(join(place, path), 'secret');
    };
    const layouts: [node: string, secrets: string[]][] = [
      ['home/bin/node', ['home/.ssh/id_rsa', 'home/lib/node_modules/own/index.js']],
      ['srv/app/bin/node', ['srv/app/.env', 'srv/app/bin/.env']],
      ['app/node_modules/node/bin/node', ['app/.env', 'app/node_modules/node/.env']],
      ['app/node', ['app/.env']],
    ];
    for (const [node, secrets] of layouts) {
      secrets.forEach(write);
      mkdirSync(dirname(join(place, node)), { recursive: true });
      copyFileSync(process.execPath, join(place, node));
      spawnSync('chown', ['-R', `${uid}:${uid}`, place]);
      const code = (options: object) => `
        import { run } from 'tare';
        const options = ${JSON.stringify(options)};
        console.log((await run(['find', '/opt', '/home'], options)).stdout);
        console.log((await run(['/opt/node/bin/node', '-p', '6 * 7'], options)).stdout);`;
      const seen = ['/opt', '/opt/node', '/opt/node/bin', '/opt/node/bin/node', '/home', '', '42'];
      for (const done of [
        project.run(code({}), join(place, node)),
        project.runAsRoot(code({ root: sandbox.root }), join(place, node)),
      ]) {
        t.strictSame([done.stdout.trimEnd().split('\n'), done.stderr], [seen, ''], node);
      }
      rmSync(join(place, node));
    }
  });

  t.test('of /usr what programs need', async (t) => {
    const { stdout } = await inside('ls /usr /usr/local');
    t.notMatch(stdout, /^(src|include|etc|games)$/m);
    t.match(stdout, /^bin$/m);
  });

  t.test('links that a command has made lead no later mount out of its directory', async (t) => {
    const workspace = directory('workspace');
    mkdirSync(join(workspace, 'sub'));
    writeFileSync(join(workspace, 'sub/file'), 'its own\n');
    const made = 'cd /w && ln -s /etc cache && ln -s sub within && ln -s /w/sub absolute';
    const mounts = [{ source: workspace, destination: '/w', writable: true }];
    await inside(made, { mounts });
    const other = directory('other');
    const mounted = (source: string, within?: string) =>
      inside('cat /cache/shadow /cache/file', {
        reject: false,
        mounts: [
          { source: other, destination: '/other' },
          { source, ...(within && { within }), destination: '/cache' },
        ],
      });
    const refused = await failure(mounted(join(workspace, 'cache')));
    t.equal(
      refused.message,
      `mounts[1].source: ${workspace}/cache is a symbolic link; give the path without links (/etc), or open it below a directory with within`,
    );
    t.match(refused, { code: 'ERR_TARE_INVALID_ARGUMENT', path: 'mounts[1].source' });
    for (const source of ['cache', 'absolute', '../other', join(workspace, 'cache')]) {
      const out = await failure(mounted(source, workspace));
      t.equal(
        out.message,
        `mounts[1].source: ${source} leads out of ${workspace}, below which it is to be opened`,
      );
    }
    for (const source of ['within', join(workspace, 'within'), 'sub']) {
      t.equal((await mounted(source, workspace)).stdout, 'its own\n', source);
    }
    const beside = await failure(mounted('/etc', workspace));
    t.equal(beside.message, `mounts[1].source: /etc is not below ${workspace}, its "within"`);
    // Mounts in the OCI form follow symlinks, as the runtime-spec has them.
    const raw = {
      source: join(workspace, 'within'),
      destination: '/cache',
      options: ['bind', 'ro'],
    };
    t.equal((await inside('cat /cache/file', { mounts: [raw] })).stdout, 'its own\n');
  });

  t.test('… nor those of an ordinary user', (t) => {
    const said = asUser(
      `
      import { mkdirSync } from 'node:fs';
      mkdirSync('workspace');
      const source = process.cwd() + '/workspace';
      await inside('ln -s /etc /w/cache', { mounts: [{ source, destination: '/w', writable: true }] });
      for (const mount of [{ source: source + '/cache' }, { source: 'cache', within: source }]) {
        const mounts = [{ ...mount, destination: '/cache' }];
        await inside('true', { mounts }).catch(({ message }) => console.log(message));
      }`
        .replaceAll('process.cwd()', JSON.stringify(project.user.directory))
        .replace(
          "mkdirSync('workspace')",
          `mkdirSync(${JSON.stringify(join(project.user.directory, 'workspace'))})`,
        ),
    );
    t.match(said, /^mounts\[0\]\.source: .*\/cache is a symbolic link; .*\n.*leads out of/);
    t.end();
  });

  const merged = spawnSync('readlink', ['/bin'], { encoding: 'utf8' }).stdout === 'usr/bin\n';
  const skip = { skip: !merged && 'where /bin is no link this is another script' };
  t.test('a writable root without rootfs is new for each command', skip, async (t) => {
    const change =
      'rm /bin; mkdir /bin; echo changed >/bin/sh; echo x >>/etc/passwd; touch /new /etc/new; ls /new /etc/new';
    const look = 'readlink /bin; wc -l </etc/passwd; ls /new /etc/new; touch /x';
    const seen = 'usr/bin\n2\n';
    t.equal((await inside(change, { readonly: false })).stdout, '/etc/new\n/new\n');
    t.equal((await inside(look, { readonly: false, reject: false })).stdout, seen);
    const plain = await inside(look, { reject: false });
    t.equal(plain.stdout, seen);
    t.match(plain.stderr, /touch: .*[Rr]ead-only file system/);
    const said = asUser(`
      await inside(${JSON.stringify(change)}, { readonly: false });
      console.log((await inside(${JSON.stringify(look)}, { reject: false })).stdout);`);
    t.equal(said, `${seen}\n`);
    const full = inside('dd if=/dev/zero of=/big bs=1M count=2', {
      readonly: false,
      tmpSize: '1MiB',
      reject: false,
    });
    t.match((await full).stderr, /No space left on device/);
  });

  t.test('what cannot be mounted, and commands that are elsewhere', async (t) => {
    const own = directory('programs');
    const program = join(own, 'their-program');
    writeFileSync(program, '#!/bin/sh\necho ran\n');
    chmodSync(program, 0o755);
    const told = async (mount: { source: string; destination: string }): Promise<string> =>
      (await failure(inside('true', { mounts: [mount] }))).message;
    t.match(
      await told({ source: '/nowhere/x', destination: '/x' }),
      /^mounts\[0\]\.source: \/nowhere\/x: .*ENOENT.*the source of the mount does not exist/,
    );
    t.match(
      await told({ source: own, destination: '/usr/share/tare-test/x' }),
      /^mounts\[0\]\.destination: \/usr\/share\/tare-test\/x does not exist, and its directory is the host's, which is read-only; .*\/mnt\/x$/,
    );
    const path = process.env['PATH'] ?? '';
    process.env['PATH'] = `${path}:${own}`;
    t.teardown(() => (process.env['PATH'] = path));
    const elsewhere = await failure(run(['their-program'], { root: sandbox.root }));
    t.match(elsewhere, { code: 'ERR_TARE_COMMAND_NOT_FOUND' });
    t.match(
      elsewhere.message,
      `on this host it is ${program}, in a directory that the command does`,
    );
    const mounts = [{ source: own, destination: '/mnt' }];
    t.equal((await run(['/mnt/their-program'], { root: sandbox.root, mounts })).stdout, 'ran\n');
  });

  t.test('outputs, input and a writable root are opened without following links', async (t) => {
    const place = directory('left-links');
    const outside = directory('left-outside');
    const victim = join(outside, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, join(place, 'link'));
    symlinkSync(outside, join(place, 'directory'));
    for (const file of [join(place, 'link'), join(place, 'directory', 'victim')]) {
      for (const streams of [
        { stdout: { file } },
        { stdout: ['pipe', { file }] },
        { stdin: { file } },
      ] as RunOptions[]) {
        const error = await failure(inside('echo hostile', streams));
        t.match(error.message, /symbolic link/, JSON.stringify(streams));
      }
    }
    await failure(inside('echo x', { stdout: { file: join(place, 'directory', 'new') } }));
    t.same(readdirSync(outside), ['victim']);
    t.equal(readFileSync(victim, 'utf8'), 'precious');
    const file = join(place, 'ordinary');
    writeFileSync(file, 'longer than what comes');
    await inside('echo short', { stdout: { file } });
    t.equal(readFileSync(file, 'utf8'), 'short\n');
    symlinkSync('/', join(place, 'root'));
    const root = await failure(inside('true', { rootfs: join(place, 'root'), readonly: false }));
    t.match(root.message, /symbolic link/);
  });

  t.test('files of the root are not made in a directory that is bound there', async (t) => {
    const directory = join(sandbox.directory, 'bound');
    mkdirSync(directory);
    const spec = (config: Spec): Spec => {
      Object.assign(config.mounts![0]!, { source: directory, options: ['rbind', 'rw', 'idmap'] });
      return config;
    };
    const error = await failure(run(['true'], { root: sandbox.root, spec }));
    t.match(error, { code: 'ERR_TARE_INVALID_CONFIG', message: /must be a tmpfs/ });
    t.strictSame(readdirSync(directory), []);
  });
}

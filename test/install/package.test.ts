/** The npm package: its contents, and that it works without a compiler and without its sources. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Sandbox, call, errorIn, skipReason } from '../support/tare.js';
import { install, isBuildable, pack, repository, temporary } from '../support/installed.js';
import { MinimalRoot } from '../support/minimal-root.js';
import { allowTime } from '../support/timeout.js';

allowTime(t, 400_000);
const directory = temporary(t);
const architectures = ['x64', 'arm64'] as const;
const packed = pack(directory, architectures.filter(isBuildable));
const root = new MinimalRoot(join(directory, 'root'));
const project = join(root.directory, 'project');
writeFileSync(join(root.directory, 'etc/hosts'), '127.0.0.1 localhost\n');
install(packed, project);
const installed = join(project, 'node_modules/tare');
const { glibcVersionRuntime: glibc } = (
  process.report.getReport() as { header: { glibcVersionRuntime: string } }
).header;

t.test('what is in it', (t) => {
  const allowed =
    /^(dist\/((container|install|native|options|run|run\/root|spec)\/)?[a-z-]+\.(c?js|d\.c?ts)|docs\/(library|isolation)\.md|prebuilds\/(linux-(x64|arm64)\/tare(\.glibc\.node)?|THIRD-PARTY-LICENSES\.txt)|package\.json|README\.md|LICENSE)$/;
  t.strictSame(
    packed.files.map(({ path }) => path).filter((path) => !allowed.test(path)),
    [],
    'nothing that a user does not need',
  );
  const readme = readFileSync(join(repository, 'README.md'), 'utf8').replace(/\s+/g, ' ');
  const told =
    /under (\d+) MB to download, (\d+) MB unpacked, with one dependency/.exec(readme) ?? [];
  const [most = 0, mostUnpacked = 0] = told.slice(1).map(Number);
  t.ok(packed.size < most * 1e6, `${packed.size} bytes`);
  t.ok(packed.unpackedSize < mostUnpacked * 1e6, `${packed.unpackedSize} bytes unpacked`);
  t.strictSame(
    readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['node-gyp-build', 'tare'],
    'what npm installed',
  );
  const below = (path: string, suffix: string): string[] =>
    readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith(suffix),
    );
  const sources = below(join(repository, 'lib'), 'ts').map((name) => name.replace(/ts$/, 'js'));
  t.strictSame(
    below(join(installed, 'dist'), 'js').sort(),
    sources.sort(),
    'each module, and none that is no more',
  );
  t.end();
});

t.test('the licences of what is linked in', (t) => {
  const notices = readFileSync(join(installed, 'prebuilds/THIRD-PARTY-LICENSES.txt'), 'utf8');
  // All archives whose members the linker has put into the programs (its maps tell), and the Debian
  // packages that these archives belong to.
  const packages = new Set(
    ['tare.map', 'tare_node.map'].flatMap((name) => {
      const map = readFileSync(join(repository, 'build', name), 'utf8');
      const [members = ''] = map.split(/^Memory Configuration/m);
      const archives = [...members.matchAll(/^(\/.*\.a)\(/gm)].map(([, path]) =>
        realpathSync(path!),
      );
      return [...new Set(archives)]
        .filter((path) => !path.startsWith(realpathSync(repository)))
        .map((path) => execFileSync('dpkg-query', ['--search', path], { encoding: 'utf8' }))
        .map((owner) => owner.split(':')[0]!);
    }),
  );
  for (const name of ['libseccomp-dev', 'libc6-dev', 'libprotobuf-c-dev'])
    t.ok(packages.has(name), `${name} is linked in`);
  for (const name of [...packages, 'rapidjson-dev', 'linux-libc-dev']) {
    const format = "--showformat=Debian's ${source:Package} ${source:Version} (";
    const source = execFileSync('dpkg-query', ['--show', format, name], { encoding: 'utf8' });
    t.ok(notices.includes(source), `${name}: ${source}`);
    const copyright = readFileSync(`/usr/share/doc/${name}/copyright`, 'utf8').trimEnd();
    t.ok(notices.includes(copyright), `${name}: its copyright file`);
  }
  for (const name of ['node-addon-api', 'node-api-headers']) {
    const directory = join(repository, 'node_modules', name);
    const [file = ''] = readdirSync(directory).filter((entry) => entry.startsWith('LICENSE'));
    const text = readFileSync(join(directory, file), 'utf8').trimEnd();
    t.ok(notices.includes(text), name);
  }
  for (const name of ['LGPL-2.1', 'GPL-3']) {
    const text = readFileSync(`/usr/share/common-licenses/${name}`, 'utf8').trimEnd();
    t.ok(notices.includes(text), `the text of ${name}`);
  }
  t.match(notices, /replace either by a version of your own: the complete source of tare .*, with/);
  t.end();
});

for (const arch of architectures) {
  const skip = !isBuildable(arch) && 'there is no compiler for it (scripts/packages/prebuilds.txt)';
  t.test(`its programs for ${arch}`, { skip }, (t) => {
    const machine = { x64: 'Advanced Micro Devices X86-64', arm64: 'AArch64' }[arch];
    const prebuilt = join(installed, 'prebuilds', `linux-${arch}`);
    t.strictSame(readdirSync(prebuilt).sort(), ['tare', 'tare.glibc.node']);
    const read = (flag: string, name: string): string =>
      execFileSync('readelf', ['--wide', flag, join(prebuilt, name)], { encoding: 'utf8' });
    for (const name of readdirSync(prebuilt)) {
      t.match(read('--file-header', name), machine);
      t.notMatch(read('--sections', name), /\.(debug|symtab)/, 'it is stripped');
    }
    t.ok(statSync(join(prebuilt, 'tare')).mode & 0o111, 'can be executed');
    t.notMatch(read('--program-headers', 'tare'), 'INTERP', 'it needs no library');
    const versions = [...read('--version-info', 'tare.glibc.node').matchAll(/GLIBC_2\.(\d+)/g)];
    const newest = Math.max(...versions.map(([, minor]) => Number(minor)));
    // Releases are built on Debian 12 with glibc 2.36; a later glibc adds functions with later
    // versions.
    t.ok(newest <= (glibc === '2.36' ? 34 : Number(glibc.slice(2))), `glibc 2.${newest} is enough`);
    t.end();
  });
}

t.test('publint and attw have no complaint', (t) => {
  const check = (name: string, ...args: string[]): void => {
    const bin = join(repository, 'node_modules/.bin', name);
    const { status, stdout, stderr } = spawnSync(bin, args, { encoding: 'utf8' });
    t.equal(status, 0, `${name} ${stdout}${stderr}`);
  };
  check('publint', '--strict', '--pack', 'npm', packed.source);
  check('attw', packed.file, '--format', 'ascii');
  t.end();
});

t.test('its types serve modules and CommonJS', (t) => {
  const code = `import { run, TareError, type RunResult } from 'tare';
export const used = (error: unknown): RunResult | undefined => error instanceof TareError ? error.result as RunResult : undefined;
export const kind = (error: TareError): string => error.code;
export const result: Promise<RunResult> = run(['true'], { memory: '1MiB' });
// @ts-expect-error there is no such option
void run(['true'], { nosuchoption: 1 });
`;
  for (const name of ['types.mts', 'types.cts']) writeFileSync(join(project, name), code);
  for (const module of ['Node16', 'NodeNext']) {
    const options = {
      ...{ target: 'ES2022', lib: ['ES2022', 'ESNext.Disposable'], module, strict: true },
      ...{ noEmit: true, types: ['node'], typeRoots: [join(repository, 'node_modules/@types')] },
    };
    const file = join(project, 'tsconfig.json');
    writeFileSync(file, JSON.stringify({ compilerOptions: options, include: ['types.*'] }));
    const tsc = join(repository, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = call(process.execPath, [tsc, '-p', file]);
    t.strictSame([status, stdout], [0, ''], module);
  }
  const values = (module: string): string[] => {
    const print = `const tare = ${module}; console.log(Object.keys(tare).sort().join())`;
    const args = ['--no-warnings', '--input-type=module', '--eval', print];
    return call(process.execPath, args, { cwd: project }).stdout.trim().split(',');
  };
  const require = "(await import('node:module')).createRequire(process.cwd() + '/x')('tare')";
  t.strictSame(values(require), values("await import('tare')"), 'and both have all of it');
  t.end();
});

const options = { skip: skipReason ?? false };

t.test('on a machine without compiler', options, (t) => {
  const use = `(run) => run(['/bin/sh', '-c', 'echo $0 works for $(id -u)'])
    .then(({ stdout }) => process.stdout.write(stdout))`;
  writeFileSync(join(project, 'program.mjs'), `import { run } from 'tare';\n(${use})(run);`);
  writeFileSync(join(project, 'program.cjs'), `const { run } = require('tare');\n(${use})(run);`);
  for (const user of [0, 12345]) {
    for (const name of ['program.mjs', 'program.cjs']) {
      const { status, stdout, stderr } = root.call([root.node, name], '/project', user);
      t.strictSame(
        [status, stdout, stderr],
        [0, '/bin/sh works for 0\n', ''],
        `${name} as user ${user}`,
      );
    }
    const network = `import('tare').then(({ run }) => run(['cat', '/etc/hosts'], { network: 'host' }))
      .then(({ stdout }) => process.stdout.write(stdout))`;
    const hosts = root.call([root.node, '--eval', network], '/project', user);
    t.strictSame([hosts.status, hosts.stdout, hosts.stderr], [0, '127.0.0.1 localhost\n', '']);
    const version = root.call([root.node, 'node_modules/.bin/tare', '--version'], '/project', user);
    t.strictSame([version.status, version.stderr], [0, '']);
    t.match(version.stdout, /^tare version 0\./);
  }
  t.end();
});

t.test('npx tare', options, (t) => {
  const npx = (args: string[], cwd = project) =>
    call('npm', ['exec', '--no', '--offline', '--', 'tare', ...args], {
      cwd,
      env: { npm_config_update_notifier: 'false', HOME: directory },
    });
  t.match(npx(['--version']).stdout, /^tare version 0\./);
  const wrong = npx(['--root', join(directory, 'state'), 'state', 'absent']);
  t.equal(wrong.status, 1);
  t.match(errorIn(wrong.stderr), /container absent does not exist/);
  const sandbox = new Sandbox(t);
  const bundle = sandbox.bundle(['sh', '-c', 'echo inside; exit 7']);
  const run = npx(['--root', sandbox.root, 'run', '--bundle', bundle, sandbox.id('npx')]);
  t.strictSame([run.status, run.stdout], [7, 'inside\n']);
  t.strictSame(sandbox.leftovers(), []);
  const machine = join(directory, 'machine');
  const placed = npx(['install', '--root-directory', machine, '--configure', 'docker']);
  t.strictSame([placed.status, placed.stderr], [0, ''], 'it installs itself');
  t.match(call(join(machine, 'usr/local/sbin/tare'), ['--version']).stdout, /^tare version 0\./);
  t.match(readFileSync(join(machine, 'etc/docker/daemon.json'), 'utf8'), '/usr/local/sbin/tare');
  t.end();
});

t.test('installed without scripts it is the same', (t) => {
  const other = join(directory, 'other');
  install(packed, other, '--ignore-scripts');
  const list = (project: string): string =>
    execFileSync('find', ['node_modules/tare', '-type', 'f', '-exec', 'sha256sum', '{}', '+'], {
      cwd: project,
      encoding: 'utf8',
    });
  t.equal(list(other).split('\n').sort().join('\n'), list(project).split('\n').sort().join('\n'));
  t.end();
});

t.test('where the addon cannot be loaded it is said why', (t) => {
  const load = (prelude: string, env: NodeJS.ProcessEnv = {}): string => {
    const code = `${prelude}; await import('tare').catch((error) => console.log(error.name, error.code, error.message))`;
    const args = ['--no-warnings', '--input-type=module', '--eval', code];
    return call(process.execPath, args, { cwd: project, env }).stdout;
  };
  const report = (header: string): string =>
    `process.report.getReport = () => ({ header: ${header} })`;
  const start = /^TareError ERR_TARE_UNSUPPORTED tare: the addon cannot be loaded: /;
  // The reports of node-gyp-build and Node on Alpine.
  const musl = load(report('{}'), { LIBC: 'musl' });
  t.match(musl, start);
  t.match(musl, /needs glibc 2\.34 or newer, and this Node has another C library .*musl.*npx tare/);
  t.match(
    load(report("{ glibcVersionRuntime: '2.31' }"), { LIBC: 'musl' }),
    /needs glibc 2\.34 or newer, and this is 2\.31;/,
  );
  // An error of any other kind is reported unchanged.
  const broken = join(directory, 'broken');
  install(packed, broken, '--ignore-scripts');
  const addon = join(
    broken,
    `node_modules/tare/prebuilds/linux-${process.arch}`,
    'tare.glibc.node',
  );
  writeFileSync(addon, 'no library');
  const code = `import('tare').catch((error) => console.log(error.message))`;
  const { stdout } = call(process.execPath, ['--eval', code], { cwd: broken });
  t.match(stdout, /^tare: the addon cannot be loaded: .*tare\.glibc\.node/);
  t.end();
});

/**
 * The arm64 programs, cross-compiled and run by user-mode emulation: everything that needs no
 * namespaces, which the emulator does not have. `npm run test:arm64` runs containers in a virtual
 * machine.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { errorIn } from '../support/build.js';
import { findExecutable } from '../machine/qemu.js';
import { temporaryDirectory } from '../support/directory.js';
import { allowTime } from '../support/timeout.js';

const repository = join(import.meta.dirname, '../..');
const build = join(repository, 'build/arm64');
/** The cross compiler's C library. */
const libraries = '/usr/aarch64-linux-gnu';

const lacking = ['aarch64-linux-gnu-g++', 'qemu-aarch64'].filter((name) => !findExecutable(name));
const options = {
  skip:
    lacking.length > 0 &&
    `needs ${lacking.join(' and ')} (test/packages.txt, scripts/packages/prebuilds.txt)`,
};
allowTime(t, 400_000);

const directory = temporaryDirectory(t, 'arm64');

if (lacking.length === 0) {
  execFileSync(
    'sh',
    ['scripts/build', '--arch=arm64', 'tare', 'tare_node', 'test-seccomp-compare'],
    {
      cwd: repository,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
}

interface Answer {
  status: number | null;
  stdout: string;
  stderr: string;
}

function call(program: string, ...args: string[]): Answer {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}
const emulated = (program: string, ...args: string[]): Answer =>
  call('qemu-aarch64', '-L', libraries, program, ...args);
const foreign = (...args: string[]): Answer => emulated(join(build, 'tare'), ...args);
const native = (...args: string[]): Answer => call(join(repository, 'build/tare'), ...args);

/** The reported error without its time. */
const errorOf = ({ status, stderr }: Answer) => ({ status, error: errorIn(stderr) });

t.test('what is promised of the built programs', options, (t) => {
  const env = { ...process.env, TARE_TEST_BUILD: build, TARE_TEST_NM: 'aarch64-linux-gnu-nm' };
  const file = 'test/repository/binaries.test.ts';
  const { status, stdout } = spawnSync(join(repository, 'node_modules/.bin/tsx'), [file], {
    ...{ cwd: repository, env, encoding: 'utf8' },
  });
  t.equal(status, 0, file, { output: stdout });
  for (const name of ['tare', 'tare-init', 'Release/tare.node']) {
    const header = execFileSync('readelf', ['--file-header', join(build, name)], {
      encoding: 'utf8',
    });
    t.match(header, /Machine: +AArch64/, name);
    const layout = execFileSync('readelf', ['--wide', '--program-headers', join(build, name)], {
      encoding: 'utf8',
    });
    const alignments = [...layout.matchAll(/^ +LOAD .* (0x\w+)$/gm)].map(([, value]) => value);
    t.ok(alignments.length > 0);
    t.same(new Set(alignments), new Set(['0x10000']), 'kernels with pages of 64 KiB load it');
  }
  t.end();
});

t.test('the command line says the same as here', options, (t) => {
  const features = [native, foreign].map((tare) => {
    const said = JSON.parse(tare('features').stdout) as {
      linux: { seccomp: { supportedFlags?: string[] } };
    };
    // The kernel reports these, and the emulator has no seccomp(2).
    delete said.linux.seccomp.supportedFlags;
    return said;
  });
  t.strictSame(features[1], features[0], 'features');
  for (const args of [['--version'], ['--help'], ['run', '--help']]) {
    const here = native(...args);
    // Only x86_64 has a start of its own.
    const said = here.stdout.replace(/^start: quick$/m, 'start: ordinary');
    t.strictSame(foreign(...args), { ...here, stdout: said }, args.join(' '));
    t.equal(native(...args).status, 0);
  }
  for (const args of [
    ['nosuchverb'],
    ['run', '--nosuchflag'],
    ['--root', directory, 'state', 'absent'],
    ['--root', directory, 'delete', 'a/b'],
    ['plan', '--bundle', '/nowhere'],
  ]) {
    const [here, there] = [errorOf(native(...args)), errorOf(foreign(...args))];
    t.strictSame(there, here, args.join(' '));
    t.not(here.status, 0);
  }
  t.end();
});

t.test('configurations and plans are the same as here', options, (t) => {
  const configs: Record<string, (bundle: string) => void> = {
    default: (path) => void t.equal(foreign('spec', '--bundle', path).status, 0),
    rootless: (path) => void t.equal(foreign('spec', '--rootless', '--bundle', path).status, 0),
    docker: (path) =>
      copyFileSync(join(repository, 'test/container/plans/docker.json'), join(path, 'config.json')),
    podman: (path) =>
      copyFileSync(join(repository, 'test/container/plans/podman.json'), join(path, 'config.json')),
    all: (path) =>
      copyFileSync(join(repository, 'test/fuzz/corpus/config/all.json'), join(path, 'config.json')),
  };
  for (const [name, write] of Object.entries(configs)) {
    const bundle = join(directory, name);
    mkdirSync(bundle);
    write(bundle);
    for (const format of ['text', 'json']) {
      const args = ['plan', '--format', format, '--bundle', bundle];
      t.strictSame(foreign(...args), native(...args), `${name} as ${format}`);
    }
    if (name !== 'all') t.equal(native('plan', '--bundle', bundle).status, 0);
  }
  t.end();
});

t.test('seccomp: the verdicts are those of libseccomp', options, (t) => {
  for (const seed of [1, 2, 4]) {
    const { status, stdout, stderr } = emulated(
      join(build, 'test/seccomp-compare'),
      `${seed}`,
      '15',
    );
    t.equal(status, 0, `seed ${seed}: ${stdout.trim()}${stderr}`);
  }
  t.end();
});

t.test('the addon in a Node for arm64', options, (t) => {
  const node = execFileSync('sh', [join(repository, 'scripts/node-binary'), '24', 'arm64'], {
    encoding: 'utf8',
  }).trim();
  const project = join(directory, 'project');
  mkdirSync(join(project, 'build/Release'), { recursive: true });
  copyFileSync(join(build, 'Release/tare.node'), join(project, 'build/Release/tare.node'));
  for (const name of ['dist', 'package.json']) {
    cpSync(join(repository, name), join(project, name), { recursive: true });
  }
  symlinkSync(join(repository, 'node_modules'), join(project, 'node_modules'));
  writeFileSync(
    join(project, 'program.mjs'),
    `import { Container, run, sandboxSpec, validate } from './dist/index.js';
    const [, , root, bundle] = process.argv;
    const spec = sandboxSpec(['true'], { rootfs: bundle });
    const problems = validate(spec);
    spec.process.cwd = 'nowhere';
    spec.linux.namespaces.push({ type: 'pid' });
    const errors = [];
    for (const attempt of [
      () => Container.open('absent', { root }),
      () => Container.create('a/b', { root, bundle }),
      () => Container.create('a', { root, bundle, spec }),
      () => Container.create('b', { root, bundle: '/nowhere' }),
      () => run(['true'], { root, rootfs: '/nowhere' }),
    ]) {
      await attempt().catch(({ code, path, message }) =>
        errors.push({ code, path, message: message.replace(/run-[-0-9a-f]+/, 'run-ID') }),
      );
    }
    console.log(JSON.stringify({ problems, wrong: validate(spec), list: await Container.list({ root }), errors }));
    console.log(process.arch);`,
  );
  const args = [join(project, 'program.mjs'), join(directory, 'state'), directory];
  const there = emulated(node, ...args);
  t.strictSame([there.status, there.stderr], [0, '']);
  copyFileSync(
    join(repository, 'build/Release/tare.node'),
    join(project, 'build/Release/tare.node'),
  );
  const here = call(process.execPath, ...args);
  const [[answer], [expected, arch]] = [there, here].map(({ stdout }) => stdout.split('\n')) as [
    string[],
    string[],
  ];
  t.equal(there.stdout.split('\n')[1], 'arm64');
  t.not(arch, 'arm64');
  const found = JSON.parse(answer ?? '') as { errors: { code: string }[] };
  t.strictSame(found, JSON.parse(expected ?? ''), 'the same answers as here');
  t.strictSame(
    found.errors.map(({ code }) => code),
    [
      'ERR_TARE_NOT_FOUND',
      'ERR_TARE_INVALID_ARGUMENT',
      'ERR_TARE_INVALID_CONFIG',
      'ERR_TARE_INVALID_ARGUMENT',
      'ERR_TARE_INVALID_CONFIG',
    ],
  );
  t.end();
});

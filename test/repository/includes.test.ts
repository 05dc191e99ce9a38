/**
 * The includes that are allowed: the layers of docs/architecture.md, checked on the #include lines.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The folders of addon/core from the lowest layer to the highest. A file includes headers of its own
 * folder and of folders in lower layers.
 */
const layers: readonly (readonly string[])[] = [
  ['base'],
  ['json'],
  ['spec'],
  ['seccomp'],
  // Pure: neither acts on the host.
  ['validate', 'plan'],
  ['host'],
  ['cgroup', 'spawn', 'state'],
  ['systemd', 'checkpoint'],
  ['container'],
  ['doctor'],
];
/** What the host shares with init, a program without libc. None of it has a source of its own. */
const sharedWithInit = ['wire', 'ops.def', 'steps.def', 'raw_syscall'];
/** The public headers that each front end and init may include. */
const directoryRules: Record<string, readonly string[]> = {
  'addon/cli': [
    ...['container', 'checkpoint', 'spec', 'doctor'],
    ...['error', 'fd', 'pidfd', 'unix_socket', 'printable'],
  ],
  'addon/node': ['container', 'checkpoint', 'spec', 'error', 'fd', 'pidfd', 'signals'],
  'addon/init': sharedWithInit,
};

interface Include {
  readonly file: string;
  readonly line: number;
  readonly target: string;
  readonly quoted: boolean;
}

function sources(directory: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(cc|h|def|S)$/.test(name))
    .map((name) => join(directory, name));
}

function includesOf(file: string): Include[] {
  return readFileSync(join(root, file), 'utf8')
    .split('\n')
    .flatMap((text, index) => {
      const [, bracket, target] = /^\s*#\s*include\s*(["<])([^">]+)[">]/.exec(text) ?? [];
      if (target === undefined) return [];
      return [{ file, line: index + 1, target, quoted: bracket === '"' }];
    });
}

const coreSources = sources('addon/core');

/**
 * Returns the folder whose layer a public header belongs to: that of its source, which has its name
 * (spec.h: spec/spec.cc, fd.h: base/fd.cc) or the name of its folder before it (cgroup_stats.h:
 * cgroup/stats.cc).
 */
function folderOfPublic(header: string): string | undefined {
  const name = basename(header, '.h');
  if (sharedWithInit.includes(name)) return 'base';
  // A folder of public headers, spec/linux.h, has the name of its folder in the core.
  const own = /^include\/tare\/(\w+)\//.exec(header)?.[1];
  if (own !== undefined) return own;
  const matching = (isSource: (folder: string, stem: string) => boolean): string | undefined =>
    coreSources
      .map((file) => /^addon\/core\/(\w+)\/(\w+)\.cc$/.exec(file))
      .find((match) => match !== null && isSource(match[1] ?? '', match[2] ?? ''))?.[1];
  return (
    matching((folder, stem) => folder === name && stem === name) ??
    matching((folder, stem) => stem === name || `${folder}_${stem}` === name)
  );
}

function folderOf(file: string): string | undefined {
  if (file.startsWith('include/tare/')) return folderOfPublic(file);
  return /^addon\/core\/(\w+)\//.exec(file)?.[1];
}

/** Returns the folder that an include belongs to, or undefined for system and generated headers. */
function targetFolder({ target, quoted }: Include): string | undefined {
  if (target.startsWith('tare/')) return folderOf(`include/${target}`) ?? target;
  return quoted && target.includes('/') ? target.split('/')[0] : undefined;
}

const layerOf = (folder: string): number => layers.findIndex((layer) => layer.includes(folder));

t.test('each folder of the core includes only what is below it', (t) => {
  const files = [...sources('include/tare'), ...coreSources];
  const folders = new Set(files.map((file) => folderOf(file) ?? file));
  t.same([...folders].sort(), layers.flat().sort(), 'each folder has a layer');
  const violations = files.flatMap(includesOf).flatMap((include) => {
    const from = folderOf(include.file) ?? '';
    const to = targetFolder(include);
    if (to === undefined || to === from || (layerOf(to) >= 0 && layerOf(to) < layerOf(from)))
      return [];
    return [`${include.file}:${include.line} may not include ${include.target}`];
  });
  t.same(violations, []);
  t.end();
});

for (const [directory, allowed] of Object.entries(directoryRules)) {
  t.test(`${directory} includes only ${allowed.join(', ')}`, (t) => {
    const files = sources(directory);
    t.ok(files.length > 0, 'there are files to check');
    const violations = files
      .flatMap(includesOf)
      .filter(
        ({ target }) => target.startsWith('tare/') && !allowed.includes(basename(target, '.h')),
      )
      .map(({ file, line, target }) => `${file}:${line} may not include ${target}`);
    t.same(violations, []);
    const own = new Set(files.map((file) => relative(directory, file)));
    const foreign = files
      .flatMap(includesOf)
      .filter(({ quoted, target }) => quoted && !target.startsWith('tare/') && !own.has(target))
      .map(({ file, line, target }) => `${file}:${line} ${target}`);
    t.same(foreign, [], 'quoted includes are its own headers or tare/ headers');
    t.end();
  });
}

t.test('init is built on no libc', (t) => {
  // Headers of the kernel, and those that gcc provides for freestanding programs.
  const freestanding = /^(linux|asm|asm-generic)\/|^(cstddef|cstdint|limits|type_traits|bit)$/;
  const shared = sharedWithInit.map((name) =>
    join('include/tare', /\./.test(name) ? name : `${name}.h`),
  );
  const hosted = [...sources('addon/init'), ...shared]
    .flatMap(includesOf)
    .filter(({ quoted, target }) => !quoted && !freestanding.test(target))
    .map(({ file, line, target }) => `${file}:${line} ${target}`);
  t.same(hosted, []);
  t.end();
});

t.test('napi.h is included only in addon/node', (t) => {
  const users = [...sources('include'), ...sources('addon')]
    .flatMap(includesOf)
    .filter(({ target }) => /^(napi|node_api|js_native_api|node|v8|uv)\.h$|^napi/.test(target))
    .map(({ file }) => file);
  t.ok(users.length > 0, 'the addon uses it');
  t.same(
    users.filter((file) => !file.startsWith('addon/node/')),
    [],
  );
  t.end();
});

t.test('lib/native/binding.ts alone loads the addon', (t) => {
  const loads = /node-gyp-build|process\.dlopen|\.node['"`]/;
  const loaders = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => loads.test(readFileSync(join(root, 'lib', name), 'utf8')));
  t.same(loaders, ['native/binding.ts']);
  t.end();
});

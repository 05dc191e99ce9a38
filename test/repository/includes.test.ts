/**
 * The includes that are allowed: the layers of docs/architecture.md, checked on the #include lines.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Sources that belong to a unit of another name. */
const partOf: Record<string, string> = {
  id_maps: 'spawn',
  init_error: 'spawn',
  host_facts: 'container',
  host_mounts: 'container',
  net_devices: 'container',
  pipe_signal: 'fd',
  user_namespaces: 'spawn',
};
/**
 * The units that a unit of the core may include besides itself. A unit is a header of include/tare
 * or addon/core and the sources of addon/core whose names begin with its name: plan.h, plan.cc and
 * plan_mounts.cc are one unit.
 */
const coreRules: Record<string, readonly string[]> = {
  // The lowest layers.
  error: [],
  wire: [],
  fd: ['error'],
  json: ['error'],
  cancellation: ['fd'],
  printable: ['json'],
  mount_options: ['spec'],
  // The parsed configuration.
  spec: ['json', 'error'],
  // Only their tables and their rules of form: validate calls nothing that reads or changes the
  // host.
  validate: ['spec', 'mount_options', 'seccomp', 'json', 'fd', 'error'],
  seccomp: ['spec', 'fd', 'error'],
  // Pure: does not access the host. From fd.h it uses only the cleaning of paths.
  plan: ['spec', 'mount_options', 'seccomp', 'wire', 'json', 'fd', 'error'],
  // Units that act on the host.
  netlink: ['fd', 'error'],
  mountinfo: [],
  cgroup: ['spec', 'mountinfo', 'fd', 'error'],
  dbus: ['fd', 'error'],
  systemd: ['dbus', 'cgroup', 'spec', 'fd', 'error'],
  stub: ['wire'],
  program: ['fd', 'error'],
  subordinate_ids: ['fd', 'error'],
  spawn: ['plan', 'wire', 'stub', 'program', 'mountinfo', 'fd', 'error'],
  // Some hooks run in the container's namespaces, with a plan of their own.
  hooks: ['spawn', 'program', 'spec', 'plan', 'json', 'fd', 'error'],
  resctrl: ['spec', 'mountinfo', 'json', 'fd', 'error'],
  state: ['spec', 'validate', 'wire', 'json', 'cancellation', 'fd', 'error'],
  features: ['spec', 'mount_options', 'plan', 'seccomp', 'json', 'error'],
  // Work that another program does.
  checkpoint: [],
  criu: ['checkpoint', 'spawn', 'plan', 'fd', 'error'],
  // Calls the others in the right order.
  container: [
    ...['validate', 'plan', 'spawn', 'cgroup', 'systemd', 'hooks', 'state', 'features', 'netlink'],
    ...['resctrl', 'mountinfo', 'mount_options', 'checkpoint', 'criu', 'subordinate_ids'],
    ...['spec', 'seccomp', 'json', 'cancellation', 'fd', 'error'],
  ],
  // Examines all of them.
  doctor: [
    ...['container', 'spawn', 'cgroup', 'systemd', 'resctrl', 'seccomp', 'program', 'mountinfo'],
    ...['state', 'subordinate_ids', 'spec', 'json', 'fd', 'error'],
  ],
};
// The interface of container.h passes descriptors to its caller.
const frontEnd = ['container', 'checkpoint', 'spec', 'fd', 'error'];
const directoryRules: Record<string, readonly string[]> = {
  'addon/cli': [...frontEnd, 'doctor', 'printable'],
  'addon/node': frontEnd,
  'addon/init': ['wire'],
};

interface Include {
  readonly file: string;
  readonly line: number;
  readonly target: string;
  readonly quoted: boolean;
}

function sources(directory: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(cc|h|S)$/.test(name))
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

/** Returns the unit with the longest name that the file's own name begins with. */
function unitOf(file: string): string | undefined {
  const name = basename(file).replace(/\.(cc|h)$/, '');
  if (partOf[name] !== undefined) return partOf[name];
  return Object.keys(coreRules)
    .filter((unit) => name === unit || name.startsWith(`${unit}_`))
    .sort((a, b) => b.length - a.length)[0];
}

/** Returns the unit of the core that an include names, or undefined for system headers. */
function targetUnit(include: Include): string | undefined {
  if (include.target.startsWith('tare/')) return unitOf(include.target) ?? include.target;
  const isPrivate = include.quoted && dirname(include.file) === 'addon/core';
  return isPrivate ? unitOf(include.target) : undefined;
}

function violations(files: string[], allowed: (file: string) => readonly string[]): string[] {
  return files.flatMap(includesOf).flatMap((include) => {
    const target = targetUnit(include);
    if (target === undefined || allowed(include.file).includes(target)) return [];
    return [`${include.file}:${include.line} may not include ${include.target}`];
  });
}

t.test('each unit of the core includes only what is below it', (t) => {
  const files = [...sources('include/tare'), ...sources('addon/core')];
  const unknown = files.filter((file) => unitOf(file) === undefined);
  t.same(unknown, [], 'every file belongs to a unit');
  const allowed = (file: string): readonly string[] => {
    const unit = unitOf(file) ?? '';
    return [unit, ...(coreRules[unit] ?? [])];
  };
  t.ok(files.length > 0, 'there are files to check');
  t.same(violations(files, allowed), []);
  t.end();
});

for (const [directory, allowed] of Object.entries(directoryRules)) {
  t.test(`${directory} includes only ${allowed.join(', ')}`, (t) => {
    const files = sources(directory);
    t.ok(files.length > 0, 'there are files to check');
    t.same(
      violations(files, () => allowed),
      [],
    );
    const own = new Set(files.map((file) => basename(file)));
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
  const hosted = sources('addon/init')
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

t.test('lib/binding.ts alone loads the addon', (t) => {
  const loads = /node-gyp-build|process\.dlopen|\.node['"`]/;
  const loaders = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => loads.test(readFileSync(join(root, 'lib', name), 'utf8')));
  t.same(loaders, ['binding.ts']);
  t.end();
});

t.test('each header of include/tare has a source of the same name', (t) => {
  const core = sources('addon/core').map((file) => basename(file));
  const without = sources('include/tare')
    .map((file) => basename(file).replace(/\.h$/, '.cc'))
    // The wire format has no code: the host and init, a program without libc, share it.
    .filter((name) => name !== 'wire.cc' && !core.includes(name));
  t.same(without, []);
  t.end();
});

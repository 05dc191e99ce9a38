/**
 * containerd's configuration: an entry among the CRI plugin's runtimes, in
 * /etc/containerd/config.toml or in a file that it imports. (`ctr` and `nerdctl` take the program
 * by a flag and do not read it.)
 */
import { dirname, isAbsolute, join } from 'node:path';
import { InstallError } from './change.js';
import {
  conflict,
  remark,
  type Edit,
  type Engine,
  type EngineFiles,
  type Entry,
} from './engine.js';
import { TomlDocument, TomlError, isBelow, tomlString, type TomlKey } from './toml.js';

const main = '/etc/containerd/config.toml';
const dropIn = 'tare.toml';

/** The plugin that has the runtimes, by version of the configuration format. */
const plugins = new Map([
  ['2', 'io.containerd.grpc.v1.cri'],
  ['3', 'io.containerd.cri.v1.runtime'],
]);

function pluginPath(version: string): string[] {
  return ['plugins', plugins.get(version)!];
}

function runtimePath(version: string, name: string): string[] {
  return [...pluginPath(version), 'containerd', 'runtimes', name];
}

function header(path: readonly string[]): string {
  return `[${path.map((part) => (/^[\w-]+$/.test(part) ? part : tomlString(part))).join('.')}]`;
}

function block(version: string, entry: Entry): string {
  const path = runtimePath(version, entry.name);
  return `${remark}
${header(path)}
  runtime_type = "io.containerd.runc.v2"
  ${header([...path, 'options'])}
    BinaryName = ${tomlString(entry.program)}
${entry.systemdCgroup ? '    SystemdCgroup = true\n' : ''}`;
}

/** Comment above the entry of the default runtime. */
const standardRemark =
  '# The default one. As soon as another is named, containerd 1 knows only those that are.';
const standard = 'runc';

function standardBlock(version: string): string {
  return `${standardRemark}
${header(runtimePath(version, standard))}
  runtime_type = "io.containerd.runc.v2"
`;
}

/** Returns the names of the runtimes in a file. */
function runtimesIn(document: TomlDocument, version: string): Set<string> {
  const above = runtimePath(version, '').slice(0, -1);
  const named = [...document.tables, ...document.keys].filter(({ path }) => isBelow(path, above));
  return new Set(named.flatMap(({ path }) => path[above.length] ?? []));
}

function parse(path: string, text: string): TomlDocument {
  try {
    return new TomlDocument(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new InstallError(`${path}: ${error.message}; it is left as it is`);
  }
}

/** Returns a key or, if its value is an inline table, the keys of that table. */
function flat(key: TomlKey): TomlKey[] {
  const { value } = key;
  return typeof value === 'object' && 'inline' in value ? value.inline.flatMap(flat) : [key];
}

/** Normalizes the keys below a runtime, so that two can be compared. */
function meaning(keys: readonly TomlKey[], path: readonly string[]): string {
  const lines = keys
    .flatMap(flat)
    .map((key) => JSON.stringify([key.path.slice(path.length), key.value]));
  return lines.sort().join('\n');
}

function versionOf(path: string, document: TomlDocument): string {
  const value = document.find(['version'])?.value;
  const version = typeof value === 'object' && 'raw' in value ? value.raw : '1';
  if (plugins.has(version)) return version;
  throw new InstallError(
    value === undefined
      ? `${path}: has no version, so it is of version 1, which has different names; rewrite it first (\`containerd config default\`; from containerd 2 on, \`containerd config migrate\`)`
      : `${path}: unknown version ${version}; versions 2 and 3 are supported`,
  );
}

/**
 * Throws InstallError if one of the tables above our entry is an inline table, which cannot be
 * added to.
 */
function refuseClosed(path: string, document: TomlDocument, ours: readonly string[]): void {
  const closed = document.keys.find(
    (key) => isBelow(ours, key.path) && typeof key.value === 'object' && 'inline' in key.value,
  );
  if (closed === undefined) return;
  throw new InstallError(
    `${path}:${closed.line}: ${closed.path.at(-1)} is an inline table, which cannot be extended; write it as ${header(closed.path)}`,
  );
}

/** Returns the text followed by `added`. */
function append(text: string, added: string): string {
  const gap = text === '' || text.endsWith('\n\n') ? '' : text.endsWith('\n') ? '\n' : '\n\n';
  return `${text}${gap}${added}`;
}

/** Returns the text without a line and the blank lines around it. */
function strip(text: string, line: string): string {
  const parts = text.split(`${line}\n`).map((part) => part.trimEnd());
  const rest = parts.filter((part) => part !== '').join('\n\n');
  return rest === '' ? '' : `${rest}\n`;
}

/**
 * Returns the text without the runtime and the entry of the default runtime that was added with it.
 */
function without(path: string, document: TomlDocument, version: string, name: string): string {
  const rest = strip(document.without(runtimePath(version, name)), remark);
  if (!rest.includes(standardRemark)) return rest;
  const left = parse(path, rest);
  const needed = [...runtimesIn(left, version)].some((other) => other !== standard);
  return needed ? rest : strip(left.without(runtimePath(version, standard)), standardRemark);
}

function added(path: string, text: string, version: string, entry: Entry): string {
  const alone = runtimesIn(parse(path, text), version).size === 0;
  const more = version === '2' && alone && entry.name !== standard ? standardBlock(version) : '';
  return append(text, block(version, entry) + more);
}

function edited(path: string, text: string, version: string, entry: Entry): string {
  const document = parse(path, text);
  const ours = runtimePath(version, entry.name);
  refuseClosed(path, document, ours);
  const there = document.below(ours);
  const wanted = parse(path, block(version, entry)).below(ours);
  if (meaning(there, ours) === meaning(wanted, ours)) return text;
  if (!runtimesIn(document, version).has(entry.name)) return added(path, text, version, entry);
  if (!entry.force) throw conflict(path, entry.name, there[0]?.line);
  const rest = without(path, document, version, entry.name);
  const [kept] = parse(path, rest).below(ours);
  if (kept !== undefined) {
    throw new InstallError(
      `${path}:${kept.line}: ${kept.path.join('.')} is set from another table; remove it there first`,
    );
  }
  return added(path, rest, version, entry);
}

/** Returns the directory of imported files, if no other file configures the plugin. */
function dropInDirectory(
  files: EngineFiles,
  document: TomlDocument,
  version: string,
): string | undefined {
  const imports = document.find(['imports'])?.value;
  const pattern = (Array.isArray(imports) ? imports : [])
    .filter((item): item is string => typeof item === 'string')
    .find((item) => item.endsWith('/*.toml'));
  if (pattern === undefined) return undefined;
  const directory = isAbsolute(pattern) ? dirname(pattern) : join(dirname(main), dirname(pattern));
  // In containerd 1, an imported file replaces all settings of the same plugin in another file.
  const plugin = pluginPath(version);
  const isConfigured = (other: TomlDocument): boolean =>
    other.tables.some((table) => isBelow(table.path, plugin)) ||
    other.keys.some((key) => isBelow(key.path, plugin));
  if (isConfigured(document)) return undefined;
  const others = files
    .list(directory)
    .filter((name) => name.endsWith('.toml') && name !== dropIn)
    .map((name) => join(directory, name));
  const taken = others.some((path) => isConfigured(parse(path, files.read(path) ?? '')));
  return taken ? undefined : directory;
}

/** `newVersion` is the format version of a file that does not exist yet. */
export function containerd(newVersion: string): Engine {
  return {
    name: 'containerd',
    afterwards: 'systemctl restart containerd (containers go on running meanwhile)',
    snippet: (entry) => ({
      where: `${main}, where its version is 2 (the second form is for version 3)`,
      text: `${block('2', entry)}${standardBlock('2')}\n${block('3', entry)}`,
    }),
    configure(files, entry): Edit[] {
      if (entry.isDefault) {
        throw new InstallError(
          `containerd: --default is for docker, podman and cri-o; name ${entry.name} in a RuntimeClass of Kubernetes, or set default_runtime_name in ${main} yourself`,
        );
      }
      const text = files.read(main) ?? '';
      if (text.trim() === '') {
        const content = added(main, `version = ${newVersion}\n`, newVersion, entry);
        return [{ path: main, content }];
      }
      const document = parse(main, text);
      const version = versionOf(main, document);
      const directory = dropInDirectory(files, document, version);
      if (directory === undefined)
        return [{ path: main, content: edited(main, text, version, entry) }];
      const path = join(directory, dropIn);
      const now = files.read(path) ?? `version = ${version}\n`;
      return [{ path, content: edited(path, now, version, entry) }];
    },
    remove(files, name): Edit[] {
      const text = files.read(main);
      if (text === undefined) return [];
      const document = parse(main, text);
      const edits: Edit[] = [];
      const take = (path: string, from: TomlDocument): void => {
        for (const version of plugins.keys()) {
          const ours = runtimePath(version, name);
          if (from.below(ours).length === 0) continue;
          const rest = without(path, from, version, name);
          const nothing = /^\s*version = \d\s*$/.test(rest);
          edits.push({ path, content: nothing ? undefined : rest });
        }
      };
      take(main, document);
      for (const pattern of [document.find(['imports'])?.value ?? []].flat()) {
        if (typeof pattern !== 'string' || !pattern.endsWith('/*.toml')) continue;
        const directory = isAbsolute(pattern)
          ? dirname(pattern)
          : join(dirname(main), dirname(pattern));
        const path = join(directory, dropIn);
        const own = files.read(path);
        if (own !== undefined) take(path, parse(path, own));
      }
      return edits;
    },
  };
}

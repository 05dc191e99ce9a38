/**
 * Engines that read a directory of further files: podman and CRI-O. tare adds a file of its own
 * there.
 */
import { join } from 'node:path';
import { InstallError } from './change.js';
import {
  conflict,
  remark,
  type Edit,
  type Engine,
  type EngineFiles,
  type Entry,
} from './engine.js';
import {
  TomlDocument,
  TomlError,
  isBelow,
  tomlString,
  type TomlKey,
  type TomlValue,
} from './toml.js';

/** Properties of such an engine. */
interface DropIn {
  /** The directory that the engine reads, where our file is written. */
  readonly directory: string;
  /** Files that the engine reads before; later ones take precedence. */
  readonly before: readonly string[];
  /** Path of the table of runtimes. */
  readonly runtimes: readonly string[];
  /** Path of the key that names the default runtime. */
  readonly standard: readonly string[];
  text(entry: Entry, others: TomlDocument[]): string;
}

const own = '50-tare.conf';

function documents(files: EngineFiles, dropIn: DropIn): { path: string; document: TomlDocument }[] {
  const more = files
    .list(dropIn.directory)
    .filter((name) => name.endsWith('.conf') && name !== own)
    .sort()
    .map((name) => join(dropIn.directory, name));
  return [...dropIn.before, ...more].flatMap((path) => {
    const text = files.read(path);
    if (text === undefined) return [];
    try {
      return [{ path, document: new TomlDocument(text) }];
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      throw new InstallError(`${path}: ${error.message}; the engine does not read it either`);
    }
  });
}

function entryIn(document: TomlDocument, path: readonly string[]): TomlKey | undefined {
  return document.keys.find((key) => isBelow(key.path, path));
}

function engine(name: string, afterwards: string, dropIn: DropIn): Engine {
  const path = join(dropIn.directory, own);
  return {
    name,
    afterwards,
    snippet: (entry) => ({ where: path, text: dropIn.text(entry, []) }),
    configure(files, entry): Edit[] {
      const others = documents(files, dropIn);
      const runtime = [...dropIn.runtimes, entry.name];
      for (const other of others) {
        const key = entryIn(other.document, runtime);
        if (key !== undefined && !entry.force) throw conflict(other.path, entry.name, key.line);
        const standard = entry.isDefault ? other.document.find(dropIn.standard) : undefined;
        if (standard !== undefined && standard.value !== entry.name && !entry.force) {
          throw new InstallError(
            `${other.path}:${standard.line}: another default runtime is set there; replace it with --force`,
          );
        }
      }
      const content = dropIn.text(
        entry,
        others.map(({ document }) => document),
      );
      const now = files.read(path);
      if (now !== undefined && now !== content && !entry.force) {
        throw new InstallError(`${path}: exists with different content; replace it with --force`);
      }
      return [{ path, content }];
    },
    remove: (files, runtime): Edit[] => {
      const text = files.read(path);
      if (text === undefined) return [];
      const key = entryIn(new TomlDocument(text), [...dropIn.runtimes, runtime]);
      return key === undefined ? [] : [{ path, content: undefined }];
    },
  };
}

/** podman's default for `runtime_supports_json`; a list in a file replaces it. */
const speakJson = ['crun', 'runc', 'kata', 'runsc', 'youki', 'krun', 'crun-vm', 'crun-wasm'];

export const podman = engine('podman', 'nothing: the next podman command reads it', {
  directory: '/etc/containers/containers.conf.d',
  before: ['/usr/share/containers/containers.conf', '/etc/containers/containers.conf'],
  runtimes: ['engine', 'runtimes'],
  standard: ['engine', 'runtime'],
  text(entry, others): string {
    // The last list takes precedence.
    const listed = others
      .map((other) => other.find(['engine', 'runtime_supports_json'])?.value)
      .filter((value): value is readonly TomlValue[] => Array.isArray(value))
      .at(-1);
    const strings = (listed ?? speakJson).filter((item) => typeof item === 'string');
    const names = new Set([...strings, entry.name]);
    return `${remark}
[engine]
${entry.isDefault ? `runtime = ${tomlString(entry.name)}\n` : ''}runtime_supports_json = [${[...names].map(tomlString).join(', ')}]

[engine.runtimes]
${/^[\w-]+$/.test(entry.name) ? entry.name : tomlString(entry.name)} = [${tomlString(entry.program)}]
`;
  },
});

export const crio = engine('cri-o', 'systemctl restart crio (containers go on running meanwhile)', {
  directory: '/etc/crio/crio.conf.d',
  before: ['/etc/crio/crio.conf'],
  runtimes: ['crio', 'runtime', 'runtimes'],
  standard: ['crio', 'runtime', 'default_runtime'],
  text(entry): string {
    const standard = `[crio.runtime]\ndefault_runtime = ${tomlString(entry.name)}\n\n`;
    const name = /^[\w-]+$/.test(entry.name) ? entry.name : tomlString(entry.name);
    return `${remark}
${entry.isDefault ? standard : ''}[crio.runtime.runtimes.${name}]
runtime_path = ${tomlString(entry.program)}
runtime_type = "oci"
runtime_root = "/run/${entry.name}"
`;
  },
});

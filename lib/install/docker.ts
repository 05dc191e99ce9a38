/**
 * docker's configuration: an entry in `runtimes` of /etc/docker/daemon.json. Other settings are
 * kept.
 */
import { InstallError } from './change.js';
import { conflict, type Edit, type Engine, type EngineFiles, type Entry } from './engine.js';

const path = '/etc/docker/daemon.json';

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns the line and column of V8's syntax error. */
function positionIn(text: string, message: string): string {
  const offset = Number(/at position (\d+)/.exec(message)?.[1] ?? text.length);
  const lines = text.slice(0, offset).split('\n');
  return `${lines.length}:${lines.at(-1)!.length + 1}`;
}

/** Returns V8's message without the quoted text and the position. */
function reasonIn(message: string): string {
  return message
    .replace(/ at position.*$/s, '')
    .replace(/, (?:\.\.\.)?".*$/s, '')
    .replace(/ in JSON$/, '');
}

function parse(text: string): Json {
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    const { message } = error as SyntaxError;
    throw new InstallError(
      `${path}:${positionIn(text, message)}: invalid JSON: ${reasonIn(message)}; docker does not start with it either, and it is left as it is`,
    );
  }
  if (!isObject(value)) throw new InstallError(`${path}: not a JSON object; it is left as it is`);
  const runtimes = value['runtimes'];
  if (runtimes !== undefined && !isObject(runtimes)) {
    throw new InstallError(`${path}: runtimes: not a JSON object; it is left as it is`);
  }
  return value;
}

/** Formats the value in the style of the text that was there. */
function print(value: Json, before: string): string {
  const indent = /^[{[]\r?\n([ \t]+)/.exec(before)?.[1] ?? (before.trim() === '' ? '  ' : '');
  const end = before === '' || before.endsWith('\n') ? '\n' : '';
  return (
    JSON.stringify(value, null, before.includes('\n') || before === '' ? indent || '  ' : '') + end
  );
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

export const docker: Engine = {
  name: 'docker',
  afterwards: 'systemctl reload docker',
  snippet: (entry) => ({
    where: `${path}, among what it has`,
    text: print(merged({}, entry), ''),
  }),
  configure(files: EngineFiles, entry): Edit[] {
    const text = files.read(path) ?? '';
    const config = parse(text);
    const after = merged(config, entry);
    return [{ path, content: same(config, after) ? text : print(after, text) }];
  },
  remove(files: EngineFiles, name): Edit[] {
    const text = files.read(path);
    if (text === undefined) return [];
    const config = parse(text);
    const runtimes = { ...(config['runtimes'] as Json | undefined) };
    if (!(name in runtimes) && config['default-runtime'] !== name) return [];
    delete runtimes[name];
    const after = { ...config, runtimes };
    if (Object.keys(runtimes).length === 0) delete (after as Json)['runtimes'];
    if (config['default-runtime'] === name) delete (after as Json)['default-runtime'];
    const content = Object.keys(after).length === 0 ? undefined : print(after, text);
    return [{ path, content }];
  },
};

function merged(config: Json, entry: Entry): Json {
  const runtimes = (config['runtimes'] ?? {}) as Json;
  const now = runtimes[entry.name];
  const wanted = { path: entry.program };
  if (now !== undefined && !same(now, wanted) && !entry.force) throw conflict(path, entry.name);
  const standard = config['default-runtime'];
  if (entry.isDefault && ![undefined, 'runc', entry.name].includes(standard as string)) {
    if (!entry.force) {
      throw new InstallError(
        `${path}: default-runtime is ${JSON.stringify(standard)}; replace it with --force`,
      );
    }
  }
  return {
    ...config,
    ...(entry.isDefault && { 'default-runtime': entry.name }),
    runtimes: { ...runtimes, [entry.name]: same(now, wanted) ? now : wanted },
  };
}

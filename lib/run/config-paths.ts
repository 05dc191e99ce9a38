/** Rewords errors of containers that run() created in terms of its options. */
import { TareError } from '../errors.js';
import { shownValue } from '../options/option-values.js';
import type { Process, Spec } from '../spec/spec.js';
import type { RunOptions } from './options.js';
import type { ConfigTexts } from './prepared.js';

/** Maps paths in the configuration to options; `$1` is the matched group. */
const optionOfPath: readonly [RegExp, string][] = [
  [/^process\.args\[(\d+)\]$/, 'command[$1]'],
  [/^process\.args$/, 'command'],
  [/^process\.cwd$/, 'cwd'],
  [/^process\.user(?:\.\w+|\[\d+\])*$/, 'user'],
  [/^process\.capabilities\.\w+\[(\d+)\]$/, 'capabilities[$1]'],
  [/^process\.capabilities(?:\.\w+)*$/, 'capabilities'],
  [/^process\.(?:terminal|consoleSize(?:\.\w+)*)$/, 'tty'],
  [/^root\.path$/, 'rootfs'],
  [/^root\.readonly$/, 'readonly'],
  [/^linux\.resources\.memory(?:\.\w+)*$/, 'memory'],
  [/^linux\.resources\.cpu(?:\.\w+)*$/, 'cpus'],
  [/^linux\.resources\.pids(?:\.\w+)*$/, 'pids'],
  [/^linux\.namespaces\[\d+\]\.path$/, 'network.path'],
  [/^linux\.seccomp(?=$|[.[])/, 'seccomp'],
];

/** Maps the core's remedies, whose texts are constant. */
const optionOfRemedy: readonly [string, string][] = [
  ['; root.path in config.json must name', '; rootfs must name'],
  ['; linux.resources.pids.limit or ', '; pids or '],
  ['; is linux.resources.memory.limit too small', '; is memory too small'],
];

/**
 * Replaces the path in the configuration that the core's error names by the option it was made
 * from. A caller that edits the configuration (`spec`) gets its paths.
 */
export function inOptions(
  error: unknown,
  id: string,
  options: RunOptions,
  texts: ConfigTexts,
): unknown {
  if (!(error instanceof TareError)) return error;
  // A generated id means nothing to the caller.
  const own =
    options.id === undefined ? error.message.replace(`create ${id}: `, '') : error.message;
  const { message, path } = options.spec
    ? { message: own.replace(/^config\.json: /, 'spec: '), path: error.path }
    : renamed(own, error.path, options, texts);
  if (message === error.message && path === error.path) return error;
  const { code, errno, syscall, stage, cause } = error;
  return new TareError(message, {
    ...{ code, errno, syscall, stage, path },
    ...(cause !== undefined && { cause }),
  });
}

/** Replaces only what the core itself has written: other paths and arguments may look the same. */
function renamed(
  text: string,
  path: string | undefined,
  options: RunOptions,
  texts: ConfigTexts,
): { message: string; path: string | undefined } {
  let message = text;
  for (const [remedy, own] of optionOfRemedy) message = replaceLast(message, remedy, own);
  // Without these words the path is that of a file.
  const prefix = `config.json: ${path}`;
  const at = path === undefined ? -1 : message.indexOf(prefix);
  if (at < 0 || !/^[: ]/.test(message.slice(at + prefix.length))) return { message, path };
  const option = optionOf(path!, options, texts);
  const rest = message.slice(at + prefix.length);
  return { message: `${message.slice(0, at)}${option}${rest}`, path: option };
}

function replaceLast(text: string, old: string, by: string): string {
  const at = text.lastIndexOf(old);
  return at < 0 ? text : text.slice(0, at) + by + text.slice(at + old.length);
}

/** Returns the option that a path in the configuration was made from, else the path. */
function optionOf(path: string, options: RunOptions, texts: ConfigTexts): string {
  for (const [pattern, option] of optionOfPath) {
    if (pattern.test(path)) return path.replace(pattern, option);
  }
  const [, list, index = '', member = ''] =
    /^(process\.env|process\.rlimits|mounts)\[(\d+)\](.*)$/.exec(path) ?? [];
  if (list === undefined) return path;
  const spec = JSON.parse(texts.config) as Spec;
  if (list === 'mounts') return mountOption(Number(index), member, spec, options) ?? path;
  const { env = [], rlimits = [] } =
    texts.process === undefined ? (spec.process ?? {}) : (JSON.parse(texts.process) as Process);
  if (list === 'process.env') {
    const variable = env[Number(index)] ?? '';
    return `env.${variable.slice(0, Math.max(0, variable.indexOf('=')))}`;
  }
  const type = rlimits[Number(index)]?.type ?? '';
  return `rlimits.${type.replace('RLIMIT_', '').toLowerCase()}`;
}

/** Returns the name of a mount: those of the options follow those of the sandbox. */
function mountOption(
  index: number,
  member: string,
  { mounts: all = [] }: Spec,
  { mounts = [], rootfs }: RunOptions,
): string | undefined {
  const mount = all[index];
  if (mount === undefined) return undefined;
  const given = index - (all.length - mounts.length);
  const option = mounts[given];
  if (option !== undefined) {
    // The options of a bind mount are made from several of its properties.
    const isOwn = 'type' in option || 'options' in option || !member.startsWith('.options');
    return `mounts[${given}]${isOwn ? member : ''}`;
  }
  if (index === 0 && rootfs !== undefined && mount.destination === '/') return 'rootfs';
  return `the sandbox's mount on ${shownValue(mount.destination)}${member}`;
}

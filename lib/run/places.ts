/** Rewords errors of containers that run() created in terms of its options. */
import type { ConfigTexts } from '../container/container.js';
import { TareError } from '../errors.js';
import { shownValue } from '../options/option-values.js';
import type { Mount, Process, Spec } from '../spec/spec.js';
import type { RunOptions } from './options.js';

/** Maps places in the configuration to options; `$1` and so on are the matched groups. */
const optionOfPlace: readonly [RegExp, string][] = [
  [/\bprocess\.args\[(\d+)\]/g, 'command[$1]'],
  [/\bprocess\.args\b/g, 'command'],
  [/\bprocess\.cwd\b/g, 'cwd'],
  [/\bprocess\.user(?:\.\w+|\[\d+\])*/g, 'user'],
  [/\bprocess\.capabilities\.\w+\[(\d+)\]/g, 'capabilities[$1]'],
  [/\bprocess\.capabilities(?:\.\w+)*/g, 'capabilities'],
  [/\bprocess\.(?:terminal|consoleSize(?:\.\w+)*)/g, 'tty'],
  [/\broot\.path\b/g, 'rootfs'],
  [/\broot\.readonly\b/g, 'readonly'],
  [/\blinux\.resources\.memory(?:\.\w+)*/g, 'memory'],
  [/\blinux\.resources\.cpu(?:\.\w+)*/g, 'cpus'],
  [/\blinux\.resources\.pids(?:\.\w+)*/g, 'pids'],
  [/\blinux\.namespaces\[\d+\]\.path\b/g, 'network.path'],
  [/\blinux\.seccomp\b/g, 'seccomp'],
];

/**
 * Replaces places of the configuration in the core's error by the options they were made from. A
 * caller that edits the configuration (`spec`) gets its places.
 */
export function inOptions(
  error: unknown,
  id: string,
  options: RunOptions,
  texts: ConfigTexts,
): unknown {
  if (!(error instanceof TareError)) return error;
  const rename = options.spec
    ? (text: string): string => text.replace(/^config\.json: /, 'spec: ')
    : renamer(options, texts);
  // A generated id means nothing to the caller.
  const own =
    options.id === undefined ? error.message.replace(`create ${id}: `, '') : error.message;
  const message = rename(own);
  const path = error.path === undefined ? undefined : rename(error.path);
  if (message === error.message && path === error.path) return error;
  const { code, errno, syscall, stage, cause } = error;
  return new TareError(message, {
    ...{ code, errno, syscall, stage, path },
    ...(cause !== undefined && { cause }),
  });
}

function renamer(options: RunOptions, texts: ConfigTexts): (text: string) => string {
  const spec = JSON.parse(texts.config) as Spec;
  const { env = [], rlimits = [] } =
    texts.process === undefined ? (spec.process ?? {}) : (JSON.parse(texts.process) as Process);
  return (text) => {
    let renamed = text.replace(/\bconfig\.json: /g, '');
    for (const [place, option] of optionOfPlace) renamed = renamed.replace(place, option);
    return renamed
      .replace(/\bprocess\.env\[(\d+)\]/g, (_place, index: string) => {
        const variable = env[Number(index)] ?? '';
        return `env.${variable.slice(0, Math.max(0, variable.indexOf('=')))}`;
      })
      .replace(/\bprocess\.rlimits\[(\d+)\](?:\.\w+)?/g, (_place, index: string) => {
        const type = rlimits[Number(index)]?.type ?? '';
        return `rlimits.${type.replace('RLIMIT_', '').toLowerCase()}`;
      })
      .replace(/\bmounts\[0\](?:\.source)?(?=\W|$)/g, (place) =>
        options.rootfs !== undefined && spec.mounts?.[0]?.destination === '/' ? 'rootfs' : place,
      )
      .replace(/\bmounts\[(\d+)\]/g, (place, index: string) =>
        shownMount(place, spec.mounts?.[Number(index)], options),
      );
  };
}

/** Returns the name of a mount: the sandbox adds its own mounts to those of the options. */
function shownMount(place: string, mount: Mount | undefined, options: RunOptions): string {
  if (mount === undefined) return place;
  const given = (options.mounts ?? [])
    .map(({ destination }) => destination)
    .lastIndexOf(mount.destination);
  return given < 0 ? `the sandbox's mount on ${shownValue(mount.destination)}` : `mounts[${given}]`;
}

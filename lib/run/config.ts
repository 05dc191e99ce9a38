/**
 * Converts the options of run() to the container's configuration, and determines its state
 * directory.
 */
import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { getegid, geteuid } from 'node:process';
import { binding } from '../native/binding.js';
import type { ConfigTexts } from '../container/container.js';
import { TareError } from '../errors.js';
import { forgetHostRoot, hostRoot } from './root/host-root.js';
import { stringify } from '../spec/json.js';
import { mustBe, shownValue, withOptions } from '../options/option-values.js';
import { TtlCache } from './root/ttl-cache.js';
import type { RunOptions } from './options.js';
import {
  newRoot,
  processOf,
  rootOf,
  seccompOf,
  surroundingsOf,
  type Root,
  type SandboxOptions,
} from './sandbox-spec.js';
import { defaultSeccompText } from '../spec/seccomp-profile.js';
import type { Mount, Spec } from '../spec/spec.js';

/** Returns the container's config.json, whole or without its process. */
export async function configOf(
  command: readonly string[],
  options: RunOptions,
): Promise<ConfigTexts> {
  const { root, rootEntries, programs, isKnown } = await surroundings(options);
  const made = processOf(command, options);
  if (programs.length > 0 && options.env?.['PATH'] === undefined) {
    const { env: variables = [] } = made;
    made.env = variables.map((variable) =>
      variable.startsWith('PATH=') ? [variable, ...programs].join(':') : variable,
    );
  }
  const { spec: edit } = options;
  if (edit !== undefined) {
    const config = stringify(edited(edit, { ...surroundingsOf(options, root), process: made }));
    return { config, rootEntries };
  }
  const config = surroundingsText(options, root, isKnown);
  return { config, process: stringify(made), rootEntries };
}

/** Applies the caller's function to a configuration. */
function edited(edit: (spec: Spec) => Spec, spec: Spec): Spec {
  try {
    const result: unknown = edit(spec);
    if (result instanceof Promise) {
      result.catch(() => undefined);
      throw mustBe('spec', 'a function that returns the configuration itself', result);
    }
    return result as Spec;
  } catch (error) {
    if (error instanceof TareError) throw error;
    const why = error instanceof Error ? error.message : shownValue(error);
    throw new TareError(`spec: the function threw: ${why}`, {
      code: 'ERR_TARE_INVALID_ARGUMENT',
      cause: error,
    });
  }
}

/** Whether an option affects the configuration outside its process. */
const surrounds: Record<keyof SandboxOptions, boolean> = {
  rootfs: true,
  readonly: true,
  mounts: true,
  env: false,
  cwd: false,
  // The id mappings of an ordinary user depend on it.
  user: true,
  hostname: true,
  memory: true,
  cpus: true,
  pids: true,
  network: true,
  capabilities: false,
  seccomp: true,
  rlimits: false,
  tmpSize: true,
  tty: false,
  annotations: true,
};
const inSurroundings = (Object.keys(surrounds) as (keyof SandboxOptions)[]).filter(
  (name) => surrounds[name],
);
let last: { of: unknown[]; text: string } | undefined;

/**
 * Returns the configuration without its process. The last one is cached, because a caller that runs
 * many commands mostly uses the same. `isKnown`: the same `root.mounts` always have the same
 * content.
 */
function surroundingsText(options: RunOptions, root: Root, isKnown: boolean): string {
  const euid = geteuid!();
  const gid = euid === 0 ? 0 : getegid!();
  const of = [
    ...[root.hasRun, root.mounts, euid, gid],
    ...inSurroundings.map((name) => options[name as keyof RunOptions]),
  ];
  if (last?.of.every((value, index) => Object.is(value, of[index])) === true) return last.text;
  const text = textOf(options, root);
  // An object of the caller may have changed by the next call.
  const known = isKnown ? root.mounts : undefined;
  if (of.every((value) => typeof value !== 'object' || value === known)) last = { of, text };
  return text;
}

function textOf(options: RunOptions, root: Root): string {
  if (seccompOf(options) !== 'default') return stringify(surroundingsOf(options, root));
  // The filter is most of the text, and always the same.
  const { linux, ...rest } = surroundingsOf(
    withOptions(options, { seccomp: 'unconfined' as const }),
    root,
  );
  delete linux!.seccomp;
  const [most, inLinux] = [stringify(rest).slice(0, -1), stringify(linux).slice(0, -1)];
  return `${most},"linux":${inLinux},"seccomp":${defaultSeccompText()}}}`;
}

interface Surroundings {
  root: Root;
  /** See {@link ConfigTexts}. */
  rootEntries?: string;
  /** Directories to search for programs, after the usual ones. */
  programs: readonly string[];
  /** Whether `root.mounts` never change and are the same object the next time. */
  isKnown: boolean;
}

/** Returns the root that the options ask for. */
async function surroundings(options: RunOptions): Promise<Surroundings> {
  const { rootfs } = options;
  if (rootfs !== undefined) {
    const has = directories.ask(runOf(rootfs));
    const hasRun = typeof has === 'boolean' ? has : await has;
    return { root: rootOf(withOptions(options, { rootfs }), hasRun), programs: [], isKnown: true };
  }
  const asked = hostRoot();
  const host = asked instanceof Promise ? await asked : asked;
  const more = await resolver(options);
  const isKnown = more.length === 0;
  return {
    root: newRoot(options, isKnown ? host.mounts : [...host.mounts, ...more]),
    rootEntries: host.entries,
    programs: host.programs,
    isKnown,
  };
}

const runOf = (rootfs: string): string => join(rootfs, 'run');

const directories = new TtlCache(async (path) => {
  const status = await stat(path).catch(() => undefined);
  return status?.isDirectory() ?? false;
});

/** Discards cached facts about a root after a failed start. */
export function forgetRoot(rootfs: string | undefined): void {
  if (rootfs === undefined) forgetHostRoot();
  else directories.forget(runOf(rootfs));
}

/**
 * Returns mounts that resolve names as the host does, if its network is used. Every user may read
 * these files, so the mounts need no id mapping, which not every file system supports: overlay, the
 * root of most containers, does not.
 */
async function resolver({ network }: RunOptions): Promise<Mount[]> {
  if (network !== 'host') return [];
  const files = ['/etc/resolv.conf', '/etc/hosts'].map(async (file) => {
    const source = await realpath(file).catch(() => undefined);
    const options = ['rbind', 'nosuid', 'nodev', 'noexec', 'rro'];
    return source === undefined ? [] : [{ source, destination: file, options }];
  });
  return (await Promise.all(files)).flat();
}

/**
 * Returns the state directory. The core decides the default, also for the command line and
 * `doctor`.
 */
export function stateRoot(given: string | undefined): string {
  return given === undefined ? binding.defaultRoot() : resolve(given);
}

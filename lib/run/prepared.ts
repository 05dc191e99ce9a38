/**
 * Prepares the containers of run(). The addon gets once what containers of equal options have in
 * common, and at each start only the command.
 */
import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { getegid, geteuid } from 'node:process';
import { TareError } from '../errors.js';
import { binding, type NativeCommand, type NativePrepared } from '../native/binding.js';
import { mustBe, shownValue } from '../options/option-values.js';
import { stringify } from '../spec/json.js';
import type { Mount, Spec } from '../spec/spec.js';
import type { RunOptions } from './options.js';
import { forgetHostRoot, hostRoot } from './root/host-root.js';
import { TtlCache } from './root/ttl-cache.js';
import { newRoot, rootOf, type Root } from './sandbox-mounts.js';
import type { SandboxOptions } from './sandbox-options.js';
import { commandOf, processOf } from './sandbox-process.js';
import { surroundingsOf } from './sandbox-spec.js';

/** A container's configuration as JSON. */
export interface ConfigTexts {
  /** The configuration, or all of it except the process. */
  config: string;
  /** The process, if `config` does not contain it. */
  process?: string;
}

/** What is needed to start a command. */
export interface PreparedCommand {
  prepared: NativePrepared;
  command: NativeCommand;
  /** The state directory. */
  directory: string;
  /** Returns the configuration, for messages. */
  texts(): ConfigTexts;
}

/** What containers of equal options have in common. */
interface Common {
  prepared: NativePrepared;
  config: string;
  process: string;
}

const maxKept = 64;
/** By the values of the options, which the caller may change between two calls. */
const kept = new Map<string, Common>();

export async function preparedCommand(
  args: readonly string[],
  options: RunOptions,
): Promise<PreparedCommand> {
  const found = rootFor(options);
  const root = found instanceof Promise ? await found : found;
  const command = commandOf(args, options, root.programs);
  const directory = stateRoot(options.root);
  if (options.spec !== undefined) {
    return editedCommand(options.spec, command, options, root, directory);
  }
  const key = keyOf(options, root, directory);
  let common = kept.get(key);
  if (common === undefined) {
    common = prepare(options, root, directory);
    // The oldest are of the least use; those of running commands stay until these have started.
    if (kept.size >= maxKept) kept.delete(kept.keys().next().value!);
    kept.set(key, common);
  }
  const { prepared, config, process } = common;
  return {
    prepared,
    command,
    directory,
    texts: () => ({
      config,
      process: stringify({ ...(JSON.parse(process) as object), ...command }),
    }),
  };
}

function prepare(options: RunOptions, root: FoundRoot, directory: string): Common {
  const config = stringify(surroundingsOf(options, root.root));
  const process = stringify(processOf(options));
  return { prepared: nativeOf(options, root, directory, config, process), config, process };
}

function nativeOf(
  { systemdCgroup, init = true }: RunOptions,
  { entries }: FoundRoot,
  directory: string,
  config: string,
  process?: string,
): NativePrepared {
  return binding.prepare(
    { root: directory, rootless: undefined, systemdCgroup },
    { bundle: directory, config, process, rootEntries: entries, init },
  );
}

/** The caller's function decides the configuration anew for each command. */
function editedCommand(
  edit: (spec: Spec) => Spec,
  command: NativeCommand,
  options: RunOptions,
  root: FoundRoot,
  directory: string,
): PreparedCommand {
  const spec = {
    ...surroundingsOf(options, root.root),
    process: { ...command, ...processOf(options) },
  };
  const config = stringify(edited(edit, spec));
  return {
    prepared: nativeOf(options, root, directory, config),
    command: { args: [], env: [], cwd: '' },
    directory,
    texts: () => ({ config }),
  };
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

type KeyOption = keyof SandboxOptions | 'systemdCgroup' | 'init';

/** Whether an option affects more of a container than its command. */
const isCommon: Record<KeyOption, boolean> = {
  rootfs: true,
  readonly: true,
  mounts: true,
  env: false,
  cwd: false,
  user: true,
  hostname: true,
  memory: true,
  cpus: true,
  pids: true,
  network: true,
  capabilities: true,
  seccomp: true,
  rlimits: true,
  tmpSize: true,
  tty: true,
  annotations: true,
  systemdCgroup: true,
  init: true,
};
const commonOptions = (Object.keys(isCommon) as KeyOption[]).filter((name) => isCommon[name]);

/** Expresses values that JSON would replace or refuse. */
const exactly = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' || value === Infinity ? `${typeof value} ${value}` : value;

/** Returns a text that is equal for options of equal values. */
function keyOf(options: RunOptions, { version, root }: FoundRoot, directory: string): string {
  const euid = geteuid!();
  let key = `${euid} ${euid === 0 ? 0 : getegid!()} ${root.hasRun} ${version}\0${directory}`;
  for (const name of commonOptions) {
    const value = options[name];
    if (value !== undefined) key += `\0${name}=${JSON.stringify(value, exactly)}`;
  }
  return key;
}

/** The root that the options ask for. */
interface FoundRoot {
  root: Root;
  /** Differs where the root's mounts or entries differ and the options do not. */
  version: string;
  /** See `NativePrepareOptions.rootEntries`. */
  entries?: string;
  /** Directories to search for programs, before the usual ones. */
  programs: readonly string[];
}

function rootFor(options: RunOptions): FoundRoot | Promise<FoundRoot> {
  const { rootfs } = options;
  if (rootfs === undefined) return hostRootFor(options);
  const rootOn = (hasRun: boolean): FoundRoot => ({
    root: rootOf(rootfs, options.readonly, hasRun),
    version: '',
    programs: [],
  });
  const hasRun = directories.ask(runOf(rootfs));
  return typeof hasRun === 'boolean' ? rootOn(hasRun) : hasRun.then(rootOn);
}

async function hostRootFor(options: RunOptions): Promise<FoundRoot> {
  const { version, mounts, entries, programs } = await hostRoot();
  const more = await resolver(options);
  return {
    root: newRoot(options, [...mounts, ...more]),
    version: `${version} ${more.length === 0 ? '' : stringify(more)}`,
    entries,
    programs,
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
function stateRoot(given: string | undefined): string {
  return given === undefined ? binding.defaultRoot() : resolve(given);
}

/** Loads the addon; no other module does. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { addonMissing } from './load-error.js';
import type { IdMapping } from '../spec/spec.js';

export interface NativeRuntime {
  root?: string;
  rootless?: boolean;
  systemdCgroup?: boolean;
}

/** A file descriptor that is closed when no reference to it is left. */
export type NativeDescriptor = object;

/** Two connected file descriptors. `ours` is the caller's. */
export interface NativeEnds {
  ours: number;
  theirs: number;
  /** Keeps `theirs` open. */
  keepOpen: NativeDescriptor;
}

export interface NativeStdio {
  /** The process's fds 0, 1, 2, …; -1, for the first three only, means /dev/null. */
  stdio: number[];
  /** The descriptors among them that must stay open until the call has ended. */
  keepOpen: NativeDescriptor[];
  consoleSocket?: string;
}

/** Output that a process writes to a pipe, collected by the addon. */
export interface NativeOutput {
  /** The process's file descriptor: 1 or 2. */
  readonly number: number;
  /** Identifies the output, from the first call that passes it until closeOutput(). */
  readonly key: number;
  /** Max bytes to keep; if there are more, the function set by onFull() is called. */
  readonly maxSize: number;
}

export interface NativeCreateOptions extends NativeStdio {
  bundle: string;
  /** Text of config.json; by default that of the bundle. */
  config?: string;
  pidFile?: string;
  /** Whether the program is started at once. */
  start?: boolean;
  endsWithProgram?: boolean;
  /** Whether pid 1 is a reaper, and the program its child. */
  init?: boolean;
  noPivot?: boolean;
  noNewKeyring?: boolean;
  /** Key for {@link Binding.cancelCreate}; unique in this thread. */
  cancelKey?: number;
}

/** What containers of prepare() have in common. It is freed when no reference to it is left. */
export type NativePrepared = object;

export interface NativePrepareOptions {
  bundle: string;
  /** Text of config.json: all of it, or all but the process. */
  config: string;
  /** JSON of the process object without args, env and cwd, if `config` does not contain it. */
  process?: string;
  /**
   * JSON of the entries of a root that the configuration's first mount makes: an array of objects
   * with `path` and `link` for a symlink, `content` for a file, or neither for a directory.
   */
  rootEntries?: string;
  /** Whether pid 1 is a reaper, and the program its child. */
  init: boolean;
}

/** What differs between containers of one prepare(); not used if its `config` has the process. */
export interface NativeCommand {
  args: string[];
  env: string[];
  cwd: string;
}

export interface NativeRunStdio extends NativeStdio {
  /** Outputs that replace their entries in `stdio`. */
  outputs: readonly NativeOutput[];
}

export interface NativeExecOptions extends NativeStdio {
  /** JSON of the process object. */
  process: string;
  /** Names of the properties that are given; the others come from the container's own process. */
  given: string[];
  pidFile?: string;
  ignorePaused?: boolean;
}

export interface NativeExit {
  exitCode: number | null;
  signal: number | null;
}

/** A process that may have a terminal. */
export interface NativeConsole {
  /** Returns the master of its terminal, which the caller then owns; -1 if there is none. */
  takeConsole(): number;
  /**
   * Closes the duplicate of the master that takeConsole() keeps until the process has ended, so
   * that closing the caller's hangs the terminal up.
   */
  hangUp(): void;
}

export interface NativeProcess extends NativeConsole {
  readonly pid: number;
  wait(): Promise<NativeExit>;
  /** Returns false if the process has ended. */
  kill(signal: number): boolean;
}

/** Total resource usage of a container. */
export interface NativeTotals {
  cpuUserNs: number;
  cpuSystemNs: number;
  /** Bytes. */
  peakMemory?: number;
  oomKills?: number;
  /** Bytes; only where a reaper has reported it. */
  maxRss?: number;
}

/** The end of a container of run(). */
export interface NativeEnding extends NativeExit {
  /** Milliseconds since the process's end. */
  ageMs: number;
  totals: NativeTotals;
  /**
   * The bytes of each given output; undefined if there are none, null if the caller took it over.
   */
  outputs: (Buffer | undefined | null)[];
}

export interface NativeProblem {
  path: string;
  message: string;
  unsupported: boolean;
}

/** Promises reject with the fields of a TareError (see `settled` in errors.ts). */
export interface NativeContainer extends NativeConsole {
  start(): Promise<void>;
  /** As JSON. */
  state(): Promise<string>;
  kill(signal: number, all: boolean): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  remove(force: boolean): Promise<void>;
  exec(options: NativeExecOptions): Promise<NativeProcess>;
  processes(): Promise<number[]>;
  /** Takes the JSON of a resources object. */
  update(resources: string): Promise<void>;
  /** As JSON. */
  stats(): Promise<string>;
  watch(): Promise<NativeCgroupEvents>;
  wait(): Promise<NativeExit>;
  /** Of run(): resolves when all of its outputs have ended and it is removed. */
  ended(): Promise<NativeEnding>;
  /** Kills and removes it. */
  end(): Promise<NativeTotals>;
}

export interface NativeCgroupEvents {
  /** Resolves at the next event. Must not be called again before it resolves. */
  next(): Promise<{ oomKills: number; ended: boolean }>;
  /** Makes `next` resolve with `ended`. */
  cancel(): void;
}

export interface Binding {
  /**
   * Hands the output over to the caller. `fd`, which the caller then owns, delivers the rest, and
   * is -1 if there is none; `data` is what was read before.
   */
  takeOutput(output: NativeOutput): { fd: number; data: Buffer | undefined };
  /** Must be called in the end. Closes the pipe if no process got it. */
  closeOutput(key: number): void;
  onFull(full: (key: number) => void): void;
  create(
    runtime: NativeRuntime,
    id: string,
    options: NativeCreateOptions,
  ): Promise<NativeContainer>;
  /** Prepares run(). The configuration is read, and refused, by the first run(). */
  prepare(runtime: NativeRuntime, options: NativePrepareOptions): NativePrepared;
  /**
   * Creates and starts a container that ends with this program and is removed as soon as its
   * process has ended: see `ended`.
   */
  run(
    prepared: NativePrepared,
    id: string,
    command: NativeCommand,
    stdio: NativeRunStdio,
    cancelKey: number,
  ): Promise<NativeContainer>;
  /**
   * Cancels a create() or run() in progress, without waiting for it: kills its init, or the hook that it
   * waits for. create() undoes what it has done and rejects with `ERR_TARE_ABORTED`. Returns false
   * if create() has already made the container, or failed; if it resolves, the caller must end the
   * container.
   */
  cancelCreate(key: number): boolean;
  open(runtime: NativeRuntime, id: string): Promise<NativeContainer>;
  /** Resolves with states as JSON. */
  list(runtime: NativeRuntime): Promise<string[]>;
  /** Returns the default state directory. */
  defaultRoot(): string;
  /**
   * Returns id mappings for an ordinary user: 0 maps to the user itself, ids from 1 on to those
   * that /etc/subuid and /etc/subgid give to the user. Throws the fields of a TareError if they
   * give none.
   */
  subordinateMappings(): { uidMappings: IdMapping[]; gidMappings: IdMapping[] };
  /** Removes containers with `endsWithProgram` whose program has ended. */
  removeOrphans(runtime: NativeRuntime): Promise<void>;
  /** Kills and removes the containers with `endsWithProgram`, in bounded time. */
  endOwnedContainers(): void;
  /** Returns the problems in the text of a config.json. */
  validate(config: string): NativeProblem[];
  /** Creates a pipe. `theirs` is its read end if `theirsIsRead`, else its write end. */
  pipe(theirsIsRead: boolean): NativeEnds;
  /** Creates a bidirectional stream. */
  socketPair(): NativeEnds;
  /** Releases a descriptor. */
  release(fd: NativeDescriptor): void;
  /** Sets the size of a terminal through its master. */
  resize(fd: number, rows: number, columns: number): void;
  /** Sets the function that receives warnings. Must be called before all other functions. */
  onWarning(warn: (text: string) => void): void;
}

const require = createRequire(import.meta.url);

/**
 * Loads it from build/Release or prebuilds of the package, whose root is above both lib/ and dist/.
 */
function load(): Binding {
  const build = require('node-gyp-build') as (root: string) => Binding;
  try {
    return build(fileURLToPath(new URL('../..', import.meta.url)));
  } catch (failure) {
    throw addonMissing(failure);
  }
}

export const binding = load();
// A terminated worker thread emits no `exit` event; the addon itself does it there.
process.on('exit', () => binding.endOwnedContainers());
binding.onWarning((text) => process.emitWarning(text, 'TareWarning'));

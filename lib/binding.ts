/** The addon. Nothing else loads it. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { addonMissing } from './no-addon.js';
import type { IdMapping } from './spec.js';

export interface NativeRuntime {
  root?: string;
  rootless?: boolean;
  systemdCgroup?: boolean;
}

/** A file descriptor that closes when nobody holds it any more. */
export type NativeDescriptor = object;

/** Two file descriptors that belong together. `ours` is the caller's. */
export interface NativeEnds {
  ours: number;
  theirs: number;
  /** Holds `theirs`. */
  held: NativeDescriptor;
}

export interface NativeStdio {
  /** The process's fds 0, 1, 2, …; -1, for the first three: /dev/null. */
  stdio: number[];
  /** Of those, what is to be kept open until the call has ended. */
  held: NativeDescriptor[];
  consoleSocket?: string;
}

/** What a process writes to a pipe, to be collected by the addon. */
export interface NativeOutput {
  /** Of the process's file descriptor: 1 or 2. */
  readonly number: number;
  /** What the addon knows it by, from its first call with that until closeOutput(). */
  readonly key: number;
  /** Keeps the first so many bytes; has `full` of onFull() called if there are more. */
  readonly most: number;
}

export interface NativeCreateOptions extends NativeStdio {
  bundle: string;
  /** config.json's text; absent: the bundle's. */
  config?: string;
  /** JSON of its process object, if `config` is without that. */
  process?: string;
  /**
   * JSON of what a root gets that the configuration's first mount makes: an array of objects with
   * `path` and, for a symlink, `link`, for a file `content`, or neither for a directory.
   */
  rootEntries?: string;
  pidFile?: string;
  /** Whether the program is started at once. */
  start?: boolean;
  endsWithProgram?: boolean;
  /** Whether pid 1 is a reaper, and the program its child. */
  init?: boolean;
  /** Instead of what is in `stdio`. Only with `end`. */
  outputs?: readonly NativeOutput[];
  /** Whether it is removed as soon as its process has ended: see `ended`. */
  end?: boolean;
  noPivot?: boolean;
  noNewKeyring?: boolean;
  /** What {@link Binding.cancelCreate} knows the call by; unique in this thread. */
  cancelKey?: number;
}

export interface NativeExecOptions extends NativeStdio {
  /** JSON of the process object. */
  process: string;
  /** Names of its properties that are given; others come from the container's own process. */
  given: string[];
  pidFile?: string;
  ignorePaused?: boolean;
}

export interface NativeExit {
  exitCode: number | null;
  signal: number | null;
}

export interface NativeProcess {
  readonly pid: number;
  wait(): Promise<NativeExit>;
  /** False: the process has ended. */
  kill(signal: number): boolean;
  /** The master of its terminal, which becomes the caller's; -1 where there is none. */
  takeConsole(): number;
}

/** What a container has used in all. */
export interface NativeTotals {
  cpuUserNs: number;
  cpuSystemNs: number;
  /** Bytes. */
  peakMemory?: number;
  oomKills?: number;
  /** Bytes; where a reaper has told it. */
  maxRss?: number;
}

/** The end of a container that was created with `end`. */
export interface NativeEnding extends NativeExit {
  /** Milliseconds since the process's end. */
  ageMs: number;
  totals: NativeTotals;
  /** Of the outputs that were given: their bytes, undefined where there are none, null if taken. */
  outputs: (Buffer | undefined | null)[];
}

export interface NativeProblem {
  path: string;
  message: string;
  unsupported: boolean;
}

/** Promises reject with the fields of a TareError (see `settled` in errors.ts). */
export interface NativeContainer {
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
  watch(): Promise<NativeNews>;
  wait(): Promise<NativeExit>;
  /** As for a process. */
  takeConsole(): number;
  /** Resolves when all of its outputs have ended and it is removed. */
  ended(): Promise<NativeEnding>;
  /** Kills and removes it. */
  end(): Promise<NativeTotals>;
}

export interface NativeNews {
  /** Resolves when there is something new; not to be called before the last one has. */
  next(): Promise<{ oomKills: number; ended: boolean }>;
  /** Has `next` resolve with the end. */
  cancel(): void;
}

export interface Binding {
  /**
   * Leaves the collecting to the caller: `fd`, which becomes the caller's, is what more comes from,
   * -1 where nothing more comes; `data` is what was read before.
   */
  takeOutput(output: NativeOutput): { fd: number; data: Buffer | undefined };
  /** To be called in the end. The pipe is closed where no process got it. */
  closeOutput(key: number): void;
  onFull(full: (key: number) => void): void;
  create(
    runtime: NativeRuntime,
    id: string,
    options: NativeCreateOptions,
  ): Promise<NativeContainer>;
  /**
   * Cancels a create() that is under way, without waiting for that: its init, or the hook that it
   * waits for, is killed, what it has made is undone, and it rejects with `ERR_TARE_ABORTED`. False:
   * it has made the container before, or failed; where it resolves, the container is to be ended.
   */
  cancelCreate(key: number): boolean;
  open(runtime: NativeRuntime, id: string): Promise<NativeContainer>;
  /** States as JSON. */
  list(runtime: NativeRuntime): Promise<string[]>;
  /** Where containers are kept if nothing else is said. */
  defaultRoot(): string;
  /**
   * Mappings for an ordinary user of 0 to the user itself, and of all ids from 1 on to those that
   * /etc/subuid and /etc/subgid give to the user. Throws the fields of a TareError where they give none.
   */
  subordinateMappings(): { uidMappings: IdMapping[]; gidMappings: IdMapping[] };
  /** Removes containers that were to end with programs that have ended. */
  removeOrphans(runtime: NativeRuntime): Promise<void>;
  /** Kills and removes what `endsWithProgram` was set for, in a bounded time. */
  endMortals(): void;
  /** What is wrong with the text of a config.json. */
  validate(config: string): NativeProblem[];
  /** A pipe, of which the other end is there to read or to write. */
  pipe(theirsIsRead: boolean): NativeEnds;
  /** A stream in both directions. */
  socketPair(): NativeEnds;
  /** Lets go of a descriptor. */
  release(held: NativeDescriptor): void;
  /** Sets the size of a terminal by its master. */
  resize(fd: number, rows: number, columns: number): void;
  /** Has `warn` called with what must be told but is no failure. Must be set before other calls. */
  onWarning(warn: (text: string) => void): void;
}

const require = createRequire(import.meta.url);

/** From build/Release or prebuilds of the package, whose root is above lib/ and dist/ alike. */
function load(): Binding {
  const build = require('node-gyp-build') as (root: string) => Binding;
  try {
    return build(fileURLToPath(new URL('..', import.meta.url)));
  } catch (failure) {
    throw addonMissing(failure);
  }
}

export const binding = load();
// A worker thread that is terminated has no such event; there the addon sees to it itself.
process.on('exit', () => binding.endMortals());
binding.onWarning((text) => process.emitWarning(text, 'TareWarning'));

import { resolve } from 'node:path';
import {
  binding,
  type NativeContainer,
  type NativeEnding,
  type NativeRuntime,
} from '../native/binding.js';
import { settled, TareError } from '../errors.js';
import { stringify } from '../spec/json.js';
import { checkedProcess, checkedResources } from '../spec/checks.js';
import {
  checkedOptions,
  isAbortSignal,
  isBoolean,
  isDelay,
  isObject,
  isPath,
  isText,
  mustBe,
  type Check,
  type Checks,
} from '../options/option-values.js';
import { ContainerProcess, exitStatus, type ExitStatus } from './process.js';
import { checkSignal, signalNumber } from '../options/signals.js';
import type { Process, Resources, Spec } from '../spec/spec.js';
import type { ContainerState } from './state.js';
import {
  containerTotals,
  type ContainerEvent,
  type ContainerStats,
  type ContainerTotals,
} from './stats.js';
import { openStdio, type OpenedStdio, type ProcessStreams, type Stdio } from './stdio.js';
import { terminalOf, type Terminal } from './terminal.js';

/** Where containers are kept, and how their cgroups are managed. */
export interface RuntimeOptions {
  /**
   * State directory, as `--root` of the command line: /run/tare by default. For an ordinary user it
   * is `$XDG_RUNTIME_DIR/tare`; without that variable `/run/user/UID/tare` if the user has such a
   * directory, else `/tmp/tare-UID`. It must belong to the caller or to root, and no other user may
   * write to it; it is created with mode 0700.
   */
  root?: string;
  /**
   * Whether to continue without cgroup operations that only a privileged caller can do. True by
   * default if the caller is not root of the host.
   */
  rootless?: boolean;
  /**
   * Whether systemd creates the cgroups of new containers, as its units: `linux.cgroupsPath` is
   * then SLICE:PREFIX:NAME. Existing containers keep the setting they were created with.
   */
  systemdCgroup?: boolean;
}

/** The file descriptors of a process. */
export interface StdioOptions {
  /**
   * Standard streams and further file descriptors; `ignore` by default. Given descriptors are not
   * closed, and must stay open until the call has succeeded.
   */
  stdio?: Stdio;
  /**
   * Path of a listening AF_UNIX socket that receives the master of the process's pseudo-terminal,
   * if `process.terminal` is set. Without it this program gets the master, as `terminal` of the
   * container or process.
   */
  consoleSocket?: string;
}

/** Options of {@link Container.create}. */
export interface CreateOptions extends RuntimeOptions, StdioOptions {
  /** Bundle directory; the working directory by default. */
  bundle?: string;
  /** Configuration; config.json of the bundle by default. */
  spec?: Spec;
  /** File that receives the host pid of the container's process. */
  pidFile?: string;
  /** Starts the program at once, which costs less than {@link Container.start} afterwards. */
  start?: boolean;
  /**
   * Ends the container when this program ends, for whatever reason, or when the worker thread that
   * created it ends. If this program is killed, the next {@link run} removes what remains.
   */
  endsWithProgram?: boolean;
  /**
   * Makes the program an ordinary process: pid 1 of the container is a reaper that forwards signals
   * to it, reaps orphaned processes and reports how the program ended. False by default: the
   * program is pid 1. In a pid namespace that the container shares with others, the program is an
   * ordinary process in any case.
   */
  init?: boolean;
  /** Changes the root without pivot_root(2), for a root on the initial ramdisk. Less secure. */
  noPivot?: boolean;
  /** Lets the container use the caller's session keyring. */
  noNewKeyring?: boolean;
}

/** Options of {@link Container.exec}. */
export interface ExecOptions extends StdioOptions {
  /** File that receives the host pid of the process. */
  pidFile?: string;
  /**
   * Starts the process even if the container is paused; it then runs when the container is resumed.
   */
  ignorePaused?: boolean;
}

/** Options of {@link Container.events} and {@link Container.stats}. */
export interface EventsOptions {
  /** Milliseconds between two samples; 5000 by default. */
  interval?: number;
  /** An AbortSignal that ends the sequence. */
  signal?: AbortSignal;
}

/**
 * What {@link Container.stats} returns: a promise of one sample, and an async iterable of samples.
 */
export interface ContainerSamples extends Promise<ContainerStats>, AsyncIterable<ContainerStats> {}

/**
 * A process for {@link Container.exec}. Absent properties are those of the container's own process.
 */
export type ExecProcess = Pick<Process, 'args'> & Partial<Process>;

/** Items are checked when they are opened. */
const isStdio: Check = () => undefined;
const runtimeChecks: Checks<RuntimeOptions> = {
  root: isPath,
  rootless: isBoolean,
  systemdCgroup: isBoolean,
};
const stdioChecks: Checks<StdioOptions> = { stdio: isStdio, consoleSocket: isPath };
const createChecks: Checks<CreateOptions> = {
  ...runtimeChecks,
  ...stdioChecks,
  bundle: isPath,
  spec: isObject,
  pidFile: isPath,
  start: isBoolean,
  endsWithProgram: isBoolean,
  init: isBoolean,
  noPivot: isBoolean,
  noNewKeyring: isBoolean,
};
const execChecks: Checks<ExecOptions> = {
  ...stdioChecks,
  pidFile: isPath,
  ignorePaused: isBoolean,
};
const eventsChecks: Checks<EventsOptions> = {
  interval(name, value) {
    isDelay(name, value);
    if (value === 0) throw mustBe(name, 'greater than 0', value);
  },
  signal: isAbortSignal,
};
const killChecks: Checks<{ all?: boolean }> = { all: isBoolean };
const deleteChecks: Checks<{ force?: boolean }> = { force: isBoolean };

let newContainer: (id: string, native: NativeContainer, streams: ProcessStreams) => Container;
/** Resolves when a container that was created with `end` has ended. */
export let endingOf: (container: Container) => Promise<NativeEnding>;

/**
 * A container. It is not bound to this program or this object: the command line and other programs
 * see it, and it outlives them until it is deleted.
 *
 * The methods of one object take effect in the order of their calls, with two exceptions. No call
 * waits for the process of an {@link exec} to be executed, because the container can delay that.
 * {@link kill} and forced deletion wait for no other call longer than a moment. All methods reject
 * with a {@link TareError}. Warnings, such as an unknown capability in a configuration, are emitted
 * by `process` with the name `TareWarning`.
 *
 * The process of a container that this program creates is its child: its end raises SIGCHLD, as
 * that of any child, and it is reaped even without a call of {@link wait}. If this program ends
 * during a call, by process.exit() or a signal, the call is cut off; the calls of a worker thread
 * that ends are completed. See {@link CreateOptions.endsWithProgram}.
 */
export class Container implements ProcessStreams {
  /** Id, unique in its state directory. */
  readonly id: string;
  /**
   * Terminal of its process, if this object created the container with `process.terminal` and
   * without `consoleSocket`; else null.
   */
  readonly terminal: Terminal | null = null;
  readonly #native: NativeContainer;
  readonly #streams: ProcessStreams | undefined;

  static {
    newContainer = (id, native, streams) => new Container(id, native, streams);
    endingOf = (container) => settled(container.#native.ended());
  }

  private constructor(id: string, native: NativeContainer, streams?: ProcessStreams) {
    this.id = id;
    this.#native = native;
    this.#streams = streams;
    if (streams) this.terminal = terminalOf(native.takeConsole());
  }

  /**
   * Writable end of standard input. It and the other streams exist only if this object created the
   * container with `pipe`.
   */
  get stdin(): ProcessStreams['stdin'] {
    return this.#streams?.stdin ?? null;
  }

  get stdout(): ProcessStreams['stdout'] {
    return this.#streams?.stdout ?? null;
  }

  get stderr(): ProcessStreams['stderr'] {
    return this.#streams?.stderr ?? null;
  }

  get stdio(): ProcessStreams['stdio'] {
    return this.#streams?.stdio ?? [];
  }

  /**
   * Creates a container as its configuration describes. The program is not executed before
   * {@link start}, unless `start` is set. A failed creation leaves nothing behind.
   *
   * @param id 1 to 1024 of the characters `A-Z a-z 0-9 _ + . -`
   * @throws {@link TareError} `ERR_TARE_INVALID_CONFIG` or `ERR_TARE_UNSUPPORTED` for a
   * configuration, naming the place in it, before anything is done; `ERR_TARE_ALREADY_EXISTS`;
   * `ERR_TARE_COMMAND_NOT_FOUND`; `ERR_TARE_HOOK_FAILED`; with `start` the errors of {@link start};
   * `ERR_TARE_SYSTEM` if a system call fails.
   */
  static async create(id: string, options: CreateOptions = {}): Promise<Container> {
    isText('id', id);
    const checked = checkedOptions<CreateOptions>(options, createChecks);
    return createContainer(id, checked, openStdio(checked.stdio));
  }

  /**
   * Opens a container that exists, whichever program created it.
   *
   * @throws {@link TareError} `ERR_TARE_NOT_FOUND`
   */
  static async open(id: string, options: RuntimeOptions = {}): Promise<Container> {
    isText('id', id);
    const checked = checkedOptions<RuntimeOptions>(options, runtimeChecks);
    const native = await settled(binding.open(runtimeOf(checked), id));
    return new Container(id, native);
  }

  /** Returns the states of all containers, sorted by id. */
  static async list(options: RuntimeOptions = {}): Promise<ContainerState[]> {
    const checked = checkedOptions<RuntimeOptions>(options, runtimeChecks);
    const states = await settled(binding.list(runtimeOf(checked)));
    return states.map((state) => JSON.parse(state) as ContainerState);
  }

  /**
   * Returns the current state.
   *
   * @throws {@link TareError} `ERR_TARE_NOT_FOUND` if the container was deleted, here or elsewhere.
   */
  async state(): Promise<ContainerState> {
    return JSON.parse(await settled(this.#native.state())) as ContainerState;
  }

  /**
   * Starts the container's program. Resolves when it is executed.
   *
   * @throws {@link TareError} `ERR_TARE_COMMAND_NOT_FOUND` or `ERR_TARE_COMMAND_NOT_EXECUTABLE` if
   * execve(2) fails; `ERR_TARE_HOOK_FAILED`, after which the container is deleted;
   * `ERR_TARE_BAD_STATUS` if it is already started, or paused.
   */
  async start(): Promise<void> {
    await settled(this.#native.start());
  }

  /**
   * Sends a signal to the container's process or, with `all`, to each process in the container.
   * Resolves when it is sent; use {@link wait} to await the end.
   *
   * @param signal a name or number; SIGTERM by default
   * @throws {@link TareError} `ERR_TARE_BAD_STATUS` if the container has stopped.
   */
  async kill(
    signal: NodeJS.Signals | number = 'SIGTERM',
    options: { all?: boolean } = {},
  ): Promise<void> {
    checkSignal('signal', signal);
    const { all = false } = checkedOptions<{ all?: boolean }>(options, killChecks);
    await settled(this.#native.kill(signalNumber(signal), all));
  }

  /**
   * Freezes all processes in the container until {@link resume}. Resolves when they are frozen.
   * Uses the freezer of cgroup v2, which needs no controller.
   *
   * @throws {@link TareError} `ERR_TARE_BAD_STATUS` if the container has stopped or is paused.
   */
  async pause(): Promise<void> {
    await settled(this.#native.pause());
  }

  /**
   * Resumes the processes of a paused container.
   *
   * @throws {@link TareError} `ERR_TARE_BAD_STATUS` if it is not paused.
   */
  async resume(): Promise<void> {
    await settled(this.#native.resume());
  }

  /**
   * Changes the given limits; absent ones keep their values. The new limits are recorded for the
   * next update. If one cannot be set, all keep their previous values.
   *
   * @throws {@link TareError} `ERR_TARE_INVALID_CONFIG` or `ERR_TARE_UNSUPPORTED`, naming the
   * limit.
   */
  async update(resources: Resources): Promise<void> {
    await settled(this.#native.update(stringify(checkedResources(resources), 'resources')));
  }

  /**
   * Returns the current resource usage: await it for one sample, or iterate it with `for await` for
   * a sample now and one after each interval, until the container has ended.
   */
  stats(options: EventsOptions = {}): ContainerSamples {
    const checked = checkedOptions<EventsOptions>(options, eventsChecks);
    const now = settled(this.#native.stats()).then((text) => JSON.parse(text) as ContainerStats);
    // A loop over the samples reports a failure itself.
    now.catch(() => undefined);
    return Object.assign(now, {
      [Symbol.asyncIterator]: () => this.#samples(now, checked),
    });
  }

  async *#samples(
    now: Promise<ContainerStats>,
    options: EventsOptions,
  ): AsyncGenerator<ContainerStats, undefined> {
    if (options.signal?.aborted === true) return;
    yield await now;
    try {
      for await (const event of this.events(options)) {
        if (event.type === 'stats') yield event.data;
      }
    } catch (error) {
      // The container has ended meanwhile, and may be removed.
      const gone: unknown[] = ['ERR_TARE_BAD_STATUS', 'ERR_TARE_NOT_FOUND'];
      if (!(error instanceof TareError) || !gone.includes(error.code)) throw error;
    }
  }

  /**
   * Yields a sample after each interval, an event for each OOM kill, and finally the exit, when no
   * process is left in the container. Keeps this program running until then, or until the caller
   * leaves the loop.
   */
  async *events(options: EventsOptions = {}): AsyncGenerator<ContainerEvent> {
    const { interval = 5000, signal } = checkedOptions<EventsOptions>(options, eventsChecks);
    const watch = await settled(this.#native.watch());
    const stop = (): void => watch.cancel();
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
    // Cgroup events; undefined for a tick of the timer.
    const told: ({ oomKills: number; ended: boolean } | undefined)[] = [];
    let wake = (): void => undefined;
    const tell = (news?: (typeof told)[number]): void => {
      told.push(news);
      wake();
    };
    // Ticks that the caller missed are not repeated.
    const tick = (): unknown => told.includes(undefined) || tell();
    const clock = interval === Infinity ? undefined : setInterval(tick, interval);
    const listen = (): void => void watch.next().then(tell);
    listen();
    try {
      for (;;) {
        while (told.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        const news = told.shift();
        if (news === undefined) {
          const data = await this.stats().catch(() => undefined);
          // Without a sample the container is just ending, which the watch reports.
          if (data) yield { type: 'stats', id: this.id, data };
          continue;
        }
        for (let kill = 0; kill < news.oomKills; kill++) yield { type: 'oom', id: this.id };
        if (news.ended) {
          if (signal?.aborted !== true) {
            yield { type: 'exit', id: this.id, ...exitStatus(await settled(this.#native.wait())) };
          }
          return;
        }
        listen();
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      clearInterval(clock);
      watch.cancel();
    }
  }

  /**
   * Deletes a container that has stopped or was never started; with `force` it is killed first.
   *
   * @throws {@link TareError} `ERR_TARE_BAD_STATUS` if it is running; `ERR_TARE_NOT_FOUND` if it is
   * already deleted, even with `force`.
   */
  async delete(options: { force?: boolean } = {}): Promise<void> {
    const { force = false } = checkedOptions<{ force?: boolean }>(options, deleteChecks);
    await settled(this.#native.remove(force));
  }

  /**
   * Resolves when the container's process has ended, also if it ended earlier. Keeps this program
   * running until then. The exit status is known if this object created the container.
   */
  async wait(): Promise<ExitStatus> {
    return exitStatus(await settled(this.#native.wait()));
  }

  /**
   * Starts another process in the container. Resolves when it is executed.
   *
   * @throws {@link TareError} `ERR_TARE_COMMAND_NOT_FOUND` or `ERR_TARE_COMMAND_NOT_EXECUTABLE`;
   * `ERR_TARE_BAD_STATUS` if the container has stopped, or is paused and `ignorePaused` is not set.
   */
  async exec(process: ExecProcess, options: ExecOptions = {}): Promise<ContainerProcess> {
    const own = checkedProcess(process);
    const text = stringify(own, 'process');
    const checked = checkedOptions<ExecOptions>(options, execChecks);
    const { consoleSocket, pidFile, ignorePaused } = checked;
    const stdio = openStdio(checked.stdio);
    const native = await started(stdio, () =>
      this.#native.exec({
        process: text,
        // What is not given is as in the container.
        given: Object.keys(own),
        stdio: stdio.fds,
        held: stdio.held,
        consoleSocket,
        pidFile: pidFile && resolve(pidFile),
        ignorePaused,
      }),
    );
    return new ContainerProcess(native, stdio.streams);
  }

  /** Returns the host pids of all processes in the container. */
  async ps(): Promise<number[]> {
    return settled(this.#native.processes());
  }

  /**
   * Kills and deletes the container, as {@link delete} with `force`, and returns its total resource
   * usage.
   */
  async end(): Promise<ContainerTotals> {
    return containerTotals(await settled(this.#native.end()));
  }

  /** For `await using`: kills and deletes the container if it still exists. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.delete({ force: true });
    } catch (error) {
      if (!(error instanceof TareError && error.code === 'ERR_TARE_NOT_FOUND')) throw error;
    }
  }
}

/** The configuration of a container, as JSON. */
export interface ConfigTexts {
  /** The configuration, or all of it except the process. */
  config: string;
  /** The process, if `config` does not contain it. */
  process?: string;
  /** The entries of a new root, see `NativeCreateOptions`. */
  rootEntries?: string;
}

/**
 * Container.create() with file descriptors that are already open. With `end`, the container is
 * removed as soon as its process has ended. `cancelKey` is for `binding.cancelCreate()`.
 */
export async function createContainer(
  id: string,
  options: CreateOptions & { end?: boolean; cancelKey?: number } & Partial<ConfigTexts>,
  stdio: OpenedStdio,
): Promise<Container> {
  const {
    bundle,
    spec,
    pidFile,
    start,
    endsWithProgram,
    init,
    noPivot,
    noNewKeyring,
    consoleSocket,
    end,
    cancelKey,
  } = options;
  const native = await started(stdio, () =>
    binding.create(runtimeOf(options), id, {
      bundle: resolve(bundle ?? '.'),
      config: options.config ?? (spec && stringify(spec)),
      process: options.process,
      rootEntries: options.rootEntries,
      pidFile: pidFile && resolve(pidFile),
      start,
      endsWithProgram,
      init,
      noPivot,
      noNewKeyring,
      stdio: stdio.fds,
      held: stdio.held,
      outputs: stdio.outputs,
      end,
      consoleSocket,
      cancelKey,
    }),
  );
  return newContainer(id, native, stdio.streams);
}

/**
 * Calls `start`, which starts a process with the file descriptors of `stdio`, and closes this
 * program's ends that are no longer needed.
 */
async function started<T>(stdio: OpenedStdio, start: () => Promise<T>): Promise<T> {
  let native;
  try {
    native = await settled(start());
  } catch (error) {
    stdio.failed();
    throw error;
  }
  stdio.started();
  return native;
}

function runtimeOf({ root, rootless, systemdCgroup }: RuntimeOptions): NativeRuntime {
  return { root: root === undefined ? undefined : resolve(root), rootless, systemdCgroup };
}

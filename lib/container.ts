import { resolve } from 'node:path';
import { binding, type NativeContainer, type NativeEnding, type NativeRuntime } from './binding.js';
import { settled, TareError } from './errors.js';
import { stringify } from './json.js';
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
} from './option-values.js';
import { ContainerProcess, exitStatus, type ExitStatus } from './process.js';
import { checkSignal, signalNumber } from './signals.js';
import type { Process, Resources, Spec } from './spec.js';
import type { ContainerState } from './state.js';
import {
  containerTotals,
  type ContainerEvent,
  type ContainerStats,
  type ContainerTotals,
} from './stats.js';
import { openStdio, type OpenedStdio, type ProcessStreams, type Stdio } from './stdio.js';
import { terminalOf, type Terminal } from './terminal.js';

/** Where containers are kept, and how the host is to be treated. */
export interface RuntimeOptions {
  /**
   * The directory that holds the states, as `--root` of the command line: /run/tare by default. An
   * ordinary user's is `$XDG_RUNTIME_DIR/tare`; without that variable `/run/user/UID/tare` where the user
   * has such a directory, else `/tmp/tare-UID`. It must belong to the caller, or to root, and nobody else
   * may write to it; it is made with mode 0700.
   */
  root?: string;
  /**
   * Whether to go on without what only a privileged caller can do to cgroups. By default that is
   * so where the caller is not root of the host.
   */
  rootless?: boolean;
  /**
   * Whether the cgroups of new containers are made by systemd, as units of it: `linux.cgroupsPath`
   * is then SLICE:PREFIX:NAME. Existing containers remember what they were created with.
   */
  systemdCgroup?: boolean;
}

/** What the file descriptors of a process are. */
export interface StdioOptions {
  /**
   * The process's standard streams and further file descriptors; `ignore` by default. Those that
   * are given are not closed here, and must stay open until the call has succeeded.
   */
  stdio?: Stdio;
  /**
   * A listening AF_UNIX socket that gets the master of the process's pseudo-terminal, if
   * `process.terminal` is set. Without it the terminal is this program's, as `terminal` of the
   * container or the process.
   */
  consoleSocket?: string;
}

export interface CreateOptions extends RuntimeOptions, StdioOptions {
  /** The bundle's directory; the working directory by default. */
  bundle?: string;
  /** The configuration; by default that is config.json of the bundle. */
  spec?: Spec;
  /** A file that gets the host's id of the container's process. */
  pidFile?: string;
  /** Starts the program at once, which costs less than {@link Container.start} afterwards. */
  start?: boolean;
  /**
   * Ends the container with this program, however that ends, and with the worker thread that made it.
   * What stays of one whose program was killed, the next {@link run} removes.
   */
  endsWithProgram?: boolean;
  /**
   * Makes the program an ordinary process: pid 1 of the container is a reaper that passes signals on
   * to it, reaps what it leaves and tells how it ended. False by default: the program is pid 1. In a
   * pid namespace of others the program is an ordinary process in any case.
   */
  init?: boolean;
  /** Changes the root without pivot_root(2), for a root on the initial ramdisk. Less safe. */
  noPivot?: boolean;
  /** Lets the container use the caller's session keyring. */
  noNewKeyring?: boolean;
}

/** How {@link Container.exec} starts a process. */
export interface ExecOptions extends StdioOptions {
  /** A file that gets the host's id of the process. */
  pidFile?: string;
  /** Starts the process even if the container is paused; it then runs when that is resumed. */
  ignorePaused?: boolean;
}

/** How {@link Container.events} and {@link Container.stats} tell. */
export interface EventsOptions {
  /** Milliseconds between two samples; 5000 by default. */
  interval?: number;
  /** Ends the events. */
  signal?: AbortSignal;
}

/** What {@link Container.stats} gives: a promise of one sample, and a sequence of samples. */
export interface ContainerSamples extends Promise<ContainerStats>, AsyncIterable<ContainerStats> {}

/** A process for {@link Container.exec}: what is absent is as in the container's own process. */
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
/** How a container that was created with `end` ended. */
export let endingOf: (container: Container) => Promise<NativeEnding>;

/**
 * A container. It is not bound to this program or this object: the command line and other programs
 * see it, and it lives on when they end, until it is deleted.
 *
 * The methods of one object take effect in the order of their calls; but none waits until the process
 * of an {@link exec} is executed, which the container can hold up, and {@link kill} and deletion by force wait
 * for none longer than a moment. They reject with a
 * {@link TareError}. What must be told but is no failure, as an unknown capability in a
 * configuration, is a warning of the process, by the name of `TareWarning`.
 *
 * The process of a container that this program creates is a child of it: its end raises SIGCHLD, as
 * that of any child, and it is reaped whether or not anybody waits. If this program ends in the
 * middle of a call, by process.exit() or a signal, the call is cut off; a worker thread's end lets
 * its calls be carried through. See {@link CreateOptions.endsWithProgram}.
 */
export class Container implements ProcessStreams {
  /** Its name, unique in its state directory. */
  readonly id: string;
  /**
   * The terminal of its process, where this object created the container, `process.terminal` is set
   * and no `consoleSocket` took it.
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

  /** These four where this object created the container with `pipe`. */
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
   * Makes a container with all that its configuration asks for; its program is held until
   * {@link start}, unless `start` is set. If it fails, nothing stays behind.
   *
   * @param id 1 to 1024 of the characters `A-Z a-z 0-9 _ + . -`
   * @throws {@link TareError} `ERR_TARE_INVALID_CONFIG` and `ERR_TARE_UNSUPPORTED` for a configuration,
   * naming its place, before anything is done; `ERR_TARE_ALREADY_EXISTS`;
   * `ERR_TARE_COMMAND_NOT_FOUND`; `ERR_TARE_HOOK_FAILED`; with `start` what {@link start} throws;
   * `ERR_TARE_SYSTEM` for what the kernel refuses.
   */
  static async create(id: string, options: CreateOptions = {}): Promise<Container> {
    isText('id', id);
    const checked = checkedOptions<CreateOptions>(options, createChecks);
    return createContainer(id, checked, openStdio(checked.stdio));
  }

  /**
   * Finds a container, whoever created it.
   *
   * @throws {@link TareError} `ERR_TARE_NOT_FOUND`
   */
  static async open(id: string, options: RuntimeOptions = {}): Promise<Container> {
    isText('id', id);
    const checked = checkedOptions<RuntimeOptions>(options, runtimeChecks);
    const native = await settled(binding.open(runtimeOf(checked), id));
    return new Container(id, native);
  }

  /** The states of all containers, by id. */
  static async list(options: RuntimeOptions = {}): Promise<ContainerState[]> {
    const checked = checkedOptions<RuntimeOptions>(options, runtimeChecks);
    const states = await settled(binding.list(runtimeOf(checked)));
    return states.map((state) => JSON.parse(state) as ContainerState);
  }

  /**
   * What it is and how it is, now.
   *
   * @throws {@link TareError} `ERR_TARE_NOT_FOUND` if it is deleted, here or elsewhere.
   */
  async state(): Promise<ContainerState> {
    return JSON.parse(await settled(this.#native.state())) as ContainerState;
  }

  /**
   * Lets the container's program go. Resolves when it is executed.
   *
   * @throws {@link TareError} `ERR_TARE_COMMAND_NOT_FOUND` or `ERR_TARE_COMMAND_NOT_EXECUTABLE` if
   * execve(2) does not take the program; `ERR_TARE_HOOK_FAILED`, by which the container is deleted;
   * `ERR_TARE_BAD_STATUS` if it is started already, or paused.
   */
  async start(): Promise<void> {
    await settled(this.#native.start());
  }

  /**
   * Sends a signal to the container's process, or with `all` to each process in the container.
   * Resolves when it is sent; {@link wait} for the end.
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
   * Stops all processes in the container until {@link resume}. Resolves when they stand still. By the
   * freezer of cgroup v2, which every container has.
   *
   * @throws {@link TareError} `ERR_TARE_BAD_STATUS` if it has stopped or is paused.
   */
  async pause(): Promise<void> {
    await settled(this.#native.pause());
  }

  /**
   * Lets the processes of a paused container go on.
   *
   * @throws {@link TareError} `ERR_TARE_BAD_STATUS` if it is not paused.
   */
  async resume(): Promise<void> {
    await settled(this.#native.resume());
  }

  /**
   * Changes limits: those that are given, absent ones stay as they are. They are remembered for the
   * next update. Where one cannot be set, all are as before.
   *
   * @throws {@link TareError} `ERR_TARE_INVALID_CONFIG` and `ERR_TARE_UNSUPPORTED`, naming the limit.
   */
  async update(resources: Resources): Promise<void> {
    await settled(this.#native.update(stringify(resources, 'resources')));
  }

  /**
   * What the container uses now: await it for one sample, or loop over it by `for await` for one now
   * and one after each interval, until the container has ended.
   */
  stats(options: EventsOptions = {}): ContainerSamples {
    const checked = checkedOptions<EventsOptions>(options, eventsChecks);
    const now = settled(this.#native.stats()).then((text) => JSON.parse(text) as ContainerStats);
    // Who loops hears of a failure there.
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
      // It has ended since, and may be removed.
      const gone: unknown[] = ['ERR_TARE_BAD_STATUS', 'ERR_TARE_NOT_FOUND'];
      if (!(error instanceof TareError) || !gone.includes(error.code)) throw error;
    }
  }

  /**
   * A sample after each interval, each kill for want of memory when it happens, and as the last one
   * the exit, when no process is left in the container. Keeps this program running until then, or until the caller leaves the
   * loop.
   */
  async *events(options: EventsOptions = {}): AsyncGenerator<ContainerEvent> {
    const { interval = 5000, signal } = checkedOptions<EventsOptions>(options, eventsChecks);
    const watch = await settled(this.#native.watch());
    const stop = (): void => watch.cancel();
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
    // News, and undefined for the tick of the clock.
    const told: ({ oomKills: number; ended: boolean } | undefined)[] = [];
    let wake = (): void => undefined;
    const tell = (news?: (typeof told)[number]): void => {
      told.push(news);
      wake();
    };
    // What nobody has waited for is not made up for.
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
          // Without: it is just ending, which the watch will tell.
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
   * Removes a container that has stopped or was never started; with `force` it is killed first.
   *
   * @throws {@link TareError} `ERR_TARE_BAD_STATUS` if it runs; `ERR_TARE_NOT_FOUND` if it is deleted
   * already, also with `force`.
   */
  async delete(options: { force?: boolean } = {}): Promise<void> {
    const { force = false } = checkedOptions<{ force?: boolean }>(options, deleteChecks);
    await settled(this.#native.remove(force));
  }

  /**
   * Resolves when the container's process has ended, also if it has ended before. Until then it
   * keeps this program running. How the process ended is known where this object created it.
   */
  async wait(): Promise<ExitStatus> {
    return exitStatus(await settled(this.#native.wait()));
  }

  /**
   * Starts a further process in the container. Resolves when it is executed.
   *
   * @throws {@link TareError} `ERR_TARE_COMMAND_NOT_FOUND` or `ERR_TARE_COMMAND_NOT_EXECUTABLE`;
   * `ERR_TARE_BAD_STATUS` if the container has stopped, or is paused and `ignorePaused` is not set.
   */
  async exec(process: ExecProcess, options: ExecOptions = {}): Promise<ContainerProcess> {
    const text = stringify(process, 'process');
    const checked = checkedOptions<ExecOptions>(options, execChecks);
    const { consoleSocket, pidFile, ignorePaused } = checked;
    const stdio = openStdio(checked.stdio);
    const native = await started(stdio, () =>
      this.#native.exec({
        process: text,
        // Of the text: a property that is undefined is not in it, and is as in the container.
        given: Object.keys(JSON.parse(text) as object),
        stdio: stdio.fds,
        held: stdio.held,
        consoleSocket,
        pidFile: pidFile && resolve(pidFile),
        ignorePaused,
      }),
    );
    return new ContainerProcess(native, stdio.streams);
  }

  /** The host's ids of all processes in the container. */
  async ps(): Promise<number[]> {
    return settled(this.#native.processes());
  }

  /**
   * Kills and deletes the container, and tells what it has used. As {@link delete} with `force`,
   * in one step.
   */
  async end(): Promise<ContainerTotals> {
    return containerTotals(await settled(this.#native.end()));
  }

  /** For `await using`: kills and deletes the container, if it is still there. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.delete({ force: true });
    } catch (error) {
      if (!(error instanceof TareError && error.code === 'ERR_TARE_NOT_FOUND')) throw error;
    }
  }
}

/** What a container is made of, as text. */
export interface ConfigTexts {
  /** Its configuration, or that without its process. */
  config: string;
  /** Its process, where that is not in the configuration. */
  process?: string;
  /** What is in a root of its own, see `NativeCreateOptions`. */
  rootEntries?: string;
}

/**
 * Container.create() with file descriptors that are made already; with `end` the container is
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

/** Settles what starts a process with file descriptors of `stdio`. */
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

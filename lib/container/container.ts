import { resolve } from 'node:path';
import { binding, type NativeContainer, type NativeRuntime } from '../native/binding.js';
import { settled, TareError } from '../errors.js';
import { stringify } from '../spec/json.js';
import { checkedProcess, checkedResources } from '../spec/checks.js';
import { checkedOptions, isText } from '../options/option-values.js';
import { checkSignal, signalNumber } from '../options/signals.js';
import type { Resources } from '../spec/spec.js';
import { eventsOf, samplesOf, type ContainerSamples } from './events.js';
import {
  createChecks,
  deleteChecks,
  eventsChecks,
  execChecks,
  killChecks,
  runtimeChecks,
  type CreateOptions,
  type EventsOptions,
  type ExecOptions,
  type ExecProcess,
  type RuntimeOptions,
} from './options.js';
import { ContainerProcess, exitStatus, type ExitStatus } from './process.js';
import type { ContainerState } from './state.js';
import { containerTotals, type ContainerEvent, type ContainerTotals } from './stats.js';
import { openStdio, type OpenedStdio, type ProcessStreams } from './stdio.js';
import { terminalOf, type Terminal } from './terminal.js';

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

  private constructor(id: string, native: NativeContainer, streams?: ProcessStreams) {
    this.id = id;
    this.#native = native;
    this.#streams = streams;
    if (streams) this.terminal = terminalOf(native);
  }

  /**
   * Returns the object for a container that the addon has created.
   *
   * @internal
   */
  static of(id: string, native: NativeContainer, streams: ProcessStreams): Container {
    return new Container(id, native, streams);
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
   * configuration, naming the path in it, before anything is done; `ERR_TARE_ALREADY_EXISTS`;
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
    return samplesOf(this.id, this.#native, checked);
  }

  /**
   * Yields a sample after each interval, an event for each OOM kill, and finally the exit, when no
   * process is left in the container. Keeps this program running until then, or until the caller
   * leaves the loop.
   */
  async *events(options: EventsOptions = {}): AsyncGenerator<ContainerEvent> {
    const checked = checkedOptions<EventsOptions>(options, eventsChecks);
    yield* eventsOf(this.id, this.#native, checked);
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
        keepOpen: stdio.keepOpen,
        consoleSocket,
        pidFile: pidFile && resolve(pidFile),
        ignorePaused,
      }),
    );
    return ContainerProcess.of(native, stdio.streams);
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

/**
 * Container.create() with file descriptors that are already open. `cancelKey` is for
 * `binding.cancelCreate()`.
 */
export async function createContainer(
  id: string,
  options: CreateOptions & { cancelKey?: number },
  stdio: OpenedStdio,
): Promise<Container> {
  const { bundle, spec, pidFile, start, endsWithProgram, init } = options;
  const { noPivot, noNewKeyring, consoleSocket, cancelKey } = options;
  const native = await started(stdio, () =>
    binding.create(runtimeOf(options), id, {
      bundle: resolve(bundle ?? '.'),
      config: spec && stringify(spec),
      pidFile: pidFile && resolve(pidFile),
      start,
      endsWithProgram,
      init,
      noPivot,
      noNewKeyring,
      stdio: stdio.fds,
      keepOpen: stdio.keepOpen,
      consoleSocket,
      cancelKey,
    }),
  );
  return Container.of(id, native, stdio.streams);
}

/**
 * Calls `start`, which starts a process with the file descriptors of `stdio`, and closes this
 * program's ends that are no longer needed.
 */
export async function started<T>(stdio: OpenedStdio, start: () => Promise<T>): Promise<T> {
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

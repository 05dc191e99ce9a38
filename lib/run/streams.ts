/** The standard streams of a command: its descriptors, what collects its output, and its targets. */
import type { Readable } from 'node:stream';
import { PipeOutput, StreamOutput } from '../container/output.js';
import { openStdio, type OpenedStdio, type StdioItem } from '../container/stdio.js';
import type { NativeEnding } from '../native/binding.js';
import type { InputFeed } from './input.js';
import { isFile, itemsOf, type InputItem, type RunOptions } from './options.js';
import { merged } from './running.js';
import { filesOf, OpenFiles, outputPlan, Relay, type OutputPlan } from './targets.js';

/** What a command's streams report. */
export interface StreamEvents {
  /** An output exceeds `maxBuffer`. */
  tooLong(): void;
  /** A target of an output has failed. `name` is the caller's name for it. */
  failed(name: string, cause: unknown): void;
}

export class RunStreams {
  readonly stdio: OpenedStdio;
  /** Both outputs merged. */
  readonly all: Readable | null;
  /** Whether standard output and error are `pipe`. */
  readonly isPiped: readonly boolean[];
  readonly #options: RunOptions;
  readonly #maxBuffer: number;
  readonly #events: StreamEvents;
  readonly #stdin: InputItem;
  /** Standard output and error, where they are collected from pipes. */
  readonly #outputs: PipeOutput[] = [];
  /** None with a terminal. */
  readonly #plans: readonly [OutputPlan, OutputPlan] | undefined;
  #all: StreamOutput | undefined;
  #relay: Relay | undefined;
  #files: OpenFiles | undefined;

  constructor(
    options: RunOptions,
    maxBuffer: number,
    input: InputFeed | undefined,
    events: StreamEvents,
  ) {
    this.#options = options;
    this.#maxBuffer = maxBuffer;
    this.#events = events;
    const [stdin, stdout, stderr, more] = itemsOf(options);
    this.#stdin = stdin;
    const { tty = false } = options;
    if (tty === false) this.#plans = [outputPlan(stdout), outputPlan(stderr)];
    this.isPiped = this.#plans?.map((plan) => plan.isPiped) ?? [true, false];
    this.stdio = this.#open(more, input);
    try {
      this.all = this.#collectAll();
    } catch (error) {
      this.stdio.failed();
      throw error;
    }
  }

  #open(more: readonly StdioItem[], input: InputFeed | undefined): OpenedStdio {
    const [stdout, stderr] = this.#plans ?? [];
    const { buffer = true } = this.#options;
    const output = (number: number): PipeOutput | undefined => {
      const { isPiped = false, targets = [] } = (number === 1 ? stdout : stderr) ?? {};
      const keep = buffer && isPiped;
      if (!keep && targets.length === 0) return undefined;
      const tooLong = (): void => this.#events.tooLong();
      const one = new PipeOutput(number, this.#maxBuffer, tooLong, { keep, isShown: isPiped });
      this.#outputs.push(one);
      return one;
    };
    const first = isFile(this.#stdin) ? 'ignore' : this.#stdin;
    const stdio = openStdio(
      [first, stdout?.item ?? 'ignore', stderr?.item ?? 'ignore', ...more],
      output,
    );
    // The command need not read what is written, so the caller need not handle the stream's errors.
    if (first === 'pipe') {
      stdio.streams.stdin!.on('error', () => undefined);
      input?.to(stdio.streams.stdin!, false);
    }
    return stdio;
  }

  #collectAll(): Readable | null {
    const { all = false, buffer = true } = this.#options;
    if (!all) return null;
    // Reading these properties creates the streams.
    const { stdout, stderr } = this.stdio.streams;
    const streams = [stdout, stderr].filter((stream) => stream !== null);
    if (streams.length === 0) return null;
    const stream = merged(streams);
    if (buffer) {
      // Each of the two streams enforces its own limit.
      this.#all = new StreamOutput(2 * this.#maxBuffer, () => undefined);
      this.#all.collect(stream);
    }
    return stream;
  }

  /** The caller's names for standard output and error. */
  get names(): readonly [string, string] {
    return [this.#nameOf(1), this.#nameOf(2)];
  }

  /** Returns the caller's name for a standard stream. */
  #nameOf(number: number): string {
    if (this.#options.stdio !== undefined) return `stdio[${number}]`;
    return ['stdin', 'stdout', 'stderr'][number]!;
  }

  /** Opens the named files, and connects the outputs with their targets. */
  async openTargets(): Promise<void> {
    const plans = this.#plans ?? [];
    const stdin = this.#stdin;
    if (!isFile(stdin) && !plans.some(({ file, targets }) => file || targets.length > 0)) return;
    const files = filesOf(stdin, plans).map(([number, suffix, source]) => ({
      name: this.#nameOf(number) + suffix,
      source,
      writes: number > 0,
    }));
    if (files.length > 0) this.#files = await OpenFiles.open(files);
    const own = [isFile(stdin) ? stdin : undefined, ...plans.map(({ file }) => file)];
    for (const [number, file] of own.entries()) {
      if (file) this.stdio.fds[number] = this.#files!.get(file, number > 0).fd;
    }
    for (const output of this.#outputs) {
      const { number } = output;
      const { targets } = plans[number - 1]!;
      if (targets.length === 0) continue;
      this.#relay ??= new Relay(this.#files, (name, error) => this.#events.failed(name, error));
      this.#relay.add(this.#nameOf(number), number, output.stream, targets);
    }
  }

  /** Must be called if the command is not started, or its end is unknown. */
  closeTargets(): void {
    this.#relay?.close();
    this.#files?.close();
  }

  /** Must be called when the process has ended. */
  ended(): void {
    this.stdio.streams.stdin?.destroy();
    this.stdio.ended();
    for (const output of this.#outputs) output.close();
  }

  /**
   * Returns the collected standard output and error, and both merged, when all targets have got
   * what is theirs. `shown` collects from a terminal instead.
   */
  async collected(
    { outputs }: NativeEnding,
    shown: StreamOutput | undefined,
    hurries: () => boolean,
  ): Promise<[stdout?: Buffer, stderr?: Buffer, all?: Buffer]> {
    const all: [stdout?: Buffer, stderr?: Buffer, all?: Buffer] = [];
    if (shown) all[0] = await shown.all(hurries);
    for (const [index, output] of this.#outputs.entries()) {
      all[output.number - 1] = await output.all(outputs[index], hurries);
    }
    if (this.#all) all[2] = await this.#all.all(hurries);
    await this.#relay?.end(hurries);
    this.#files?.close();
    return all;
  }
}

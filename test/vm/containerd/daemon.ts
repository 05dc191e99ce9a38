/** A containerd of our own with its root, state and socket in one directory, and ctr for it. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Readable, type Writable } from 'node:stream';
import { once } from 'node:events';
import { imageName, writeImage } from './image.js';

export const namespace = 'tare';

export interface Result {
  status: number;
  stdout: string;
  stderr: string;
}

/** A command under way. */
export class Running {
  stdout = '';
  stderr = '';
  readonly result: Promise<Result>;
  #expecting: { text: string; found: () => void }[] = [];

  constructor(readonly child: ChildProcessByStdio<Writable, Readable, Readable>) {
    child.stdout.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString();
      this.#expecting = this.#expecting.filter(({ text, found }) => {
        if (!this.stdout.includes(text)) return true;
        found();
        return false;
      });
    });
    child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.result = once(child, 'close').then(([status, signal]) => {
      if (signal !== null) throw new Error(`${child.spawnfile} ended by ${signal}: ${this.stderr}`);
      return { status: status as number, stdout: this.stdout, stderr: this.stderr };
    });
    this.result.catch(() => {});
  }

  /** Resolves when standard output has `text`; rejects when the command ends without. */
  async output(text: string): Promise<void> {
    if (this.stdout.includes(text)) return;
    await Promise.race([
      new Promise<void>((found) => this.#expecting.push({ text, found })),
      this.result.then(({ status, stderr }) => {
        throw new Error(`ended with status ${status} before it printed ${text}: ${stderr}`);
      }),
    ]);
  }
}

export class Containerd {
  readonly directory = mkdtempSync('/run/tare-containerd-');
  readonly runtimeRoot = join(this.directory, 'runtime');
  readonly #socket = join(this.directory, 'containerd.sock');
  #daemon: ChildProcessByStdio<null, null, Readable> | undefined;
  #log = '';

  constructor(
    /** The OCI runtime that its containers are made with. */
    readonly runtime: string,
  ) {}

  async start(): Promise<void> {
    const config = join(this.directory, 'config.toml');
    mkdirSync(this.runtimeRoot, { mode: 0o700 });
    writeFileSync(
      config,
      `version = 2
root = "${this.directory}/root"
state = "${this.directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${this.#socket}"
`,
    );
    const daemon = spawn('containerd', ['--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#daemon = daemon;
    await new Promise<void>((ready, reject) => {
      daemon.on('error', reject);
      daemon.on('exit', (status) => reject(new Error(`containerd exits, ${status}: ${this.#log}`)));
      daemon.stderr.on('data', (chunk: Buffer) => {
        this.#log += chunk.toString();
        if (this.#log.includes('containerd successfully booted')) ready();
      });
    });
    const archive = join(this.directory, 'image.tar');
    await writeImage(archive);
    const { status, stderr } = await this.ctr(['image', 'import', archive]).result;
    if (status !== 0) throw new Error(`ctr image import: ${stderr}`);
    rmSync(archive);
  }

  get log(): string {
    return this.#log;
  }

  #words(args: string[]): string[] {
    return ['--address', this.#socket, '--namespace', namespace, ...args];
  }

  ctr(args: string[]): Running {
    const stdio = ['pipe', 'pipe', 'pipe'] as const;
    return new Running(spawn('ctr', this.#words(args), { stdio: [...stdio] }));
  }

  /** ctr on a terminal of its own: its output, also what it prints as an error, is on stdout. */
  ctrOnTerminal(args: string[]): Running {
    const quoted = ['ctr', ...this.#words(args)].map(
      (word) => `'${word.replaceAll("'", `'\\''`)}'`,
    );
    const words = ['--quiet', '--return', '--command', quoted.join(' '), '/dev/null'];
    return new Running(spawn('script', words, { stdio: ['pipe', 'pipe', 'pipe'] }));
  }

  /** Words of `ctr run` for a container of the test image. */
  runWords(flags: string[], id: string, command: string[]): string[] {
    const runtime = ['--runc-binary', this.runtime, '--runc-root', this.runtimeRoot];
    return ['run', ...runtime, ...flags, imageName, id, ...command];
  }

  run(flags: string[], id: string, command: string[]): Running {
    return this.ctr(this.runWords(flags, id, command));
  }

  async stop(): Promise<void> {
    if (this.#daemon && this.#daemon.exitCode === null) {
      this.#daemon.removeAllListeners('exit');
      const exit = once(this.#daemon, 'exit');
      this.#daemon.kill('SIGTERM');
      await exit;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

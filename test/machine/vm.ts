/**
 * A guest with the kernel features that this machine may lack: cgroup v2 with all controllers,
 * AppArmor, every capability. It runs Debian's kernel on this machine's root file system, covered
 * by a tmpfs: what a command writes is gone with the guest.
 *
 *     const vm = await Vm.boot();
 *     const { status, stdout } = await vm.run('cat /sys/fs/cgroup/cgroup.controllers');
 *     vm.stop();
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Unavailable } from '../../scripts/debian.js';
import { foreignPrograms } from './foreign.js';
import { obtainKernel } from './kernel.js';
import { MarkedStream } from './marked-stream.js';
import { ownArchitecture, platforms, type Architecture } from './platform.js';
import { findExecutable, qemuArguments } from './qemu.js';
import { machineTree, shareTree, treeOf } from './share.js';

export { Unavailable } from '../../scripts/debian.js';

/**
 * The guest panicked or hung, or its QEMU ended. This says nothing about the command, which may be
 * tried in a new guest.
 */
export class GuestDied extends Error {
  override name = 'GuestDied';

  /** The kernel's panic message, or else the first line of the error's message. */
  get reason(): string {
    const lines = this.message.split('\n');
    return lines.find((line) => line.includes('Kernel panic')) ?? lines[0] ?? '';
  }
}

/** The command exceeded its timeout in a guest that still answers. */
export class CommandTimeout extends Error {
  override name = 'CommandTimeout';
}

export interface VmOptions {
  /** This machine's by default; another one is emulated, with programs of its own. */
  architecture?: Architecture;
  /** Root file system of the guest instead of this machine's; the repository is added to it. */
  root?: string;
  /** MiB; file systems under /tmp or / use this memory, too. */
  memory?: number;
  cpus?: number;
  /** AppArmor by default. */
  lsm?: 'apparmor' | 'selinux';
  /**
   * Milliseconds within which a guest must answer, else it counts as hanging; 20,000 by default.
   */
  answerTimeout?: number;
  /** Directories below /tmp or /run that are visible in the guest; the repository always is. */
  directories?: string[];
  /** Whether systemd is the guest's init; it starts a message bus and nothing else. */
  systemd?: boolean;
  /** Receives the guest's console output. */
  onConsole?: (text: string) => void;
}

export interface RunOptions {
  /** Called with output as it arrives; the result contains all of it, too. */
  onStdout?: (chunk: Buffer) => void;
  onStderr?: (chunk: Buffer) => void;
  /** Working directory; the repository by default. */
  cwd?: string;
  env?: Record<string, string>;
  /** Milliseconds; 120,000 by default. */
  timeout?: number;
}

export interface RunResult {
  /** Exit status, or 128 + signal if a signal ended the command. */
  status: number;
  stdout: Buffer;
  stderr: Buffer;
}

export const repository = resolve(import.meta.dirname, '../..');
const bootTimeout = 120_000;
const portNames = ['control', 'stdout', 'stderr', 'alive'] as const;
type Port = (typeof portNames)[number];

/** Quotes a word for a POSIX shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export class Vm {
  readonly #children: ChildProcess[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), 'tare-vm-'));
  #ports = {} as Record<Port, Socket>;
  readonly #servers: Server[] = [];
  #console = '';
  #queue: Promise<unknown> = Promise.resolve();
  #commands = 0;
  #fail!: (error: GuestDied) => void;
  /** Rejects when the guest has died. */
  readonly #death = new Promise<never>((_, reject) => (this.#fail = reject));
  readonly #options: VmOptions;
  /** From the start of QEMU to the guest's readiness, in milliseconds. */
  bootTime = 0;
  /** Whether stop() was called, or a command or the guest failed. */
  stopped = false;

  private constructor(options: VmOptions) {
    this.#options = options;
    this.#death.catch(() => {});
  }

  /** Boots a guest; tries up to three times if the guest dies before it is ready. */
  static async boot(options: VmOptions = {}): Promise<Vm> {
    for (let attempt = 1; ; attempt++) {
      const vm = new Vm(options);
      try {
        await vm.#start();
        return vm;
      } catch (error) {
        vm.stop();
        if (!(error instanceof GuestDied) || attempt === 3) throw error;
        process.stderr.write(
          `test/machine: the guest died while it booted, trying again: ${error.reason}\n`,
        );
      }
    }
  }

  async #start(): Promise<void> {
    const own = ownArchitecture();
    const architecture = this.#options.architecture ?? own;
    if (!architecture) throw new Unavailable('test/machine has guests for x64 and arm64 only');
    const platform = platforms[architecture];
    const qemu = findExecutable(platform.qemu);
    if (!qemu)
      throw new Unavailable(
        `${platform.qemu} is not installed: apt-get install ${platform.package}`,
      );
    const { root, systemd = false } = this.#options;
    if (systemd && !existsSync(join(root ?? '/', 'lib/systemd/systemd')))
      throw new Unavailable('systemd is not installed: apt-get install systemd dbus');
    const kernel = await obtainKernel(architecture);
    const rootSocket = join(this.#directory, 'root');
    const replaced = architecture === own ? [] : await foreignPrograms(architecture, repository);
    const tree = root ? treeOf(root, [repository, kernel.modules]) : machineTree();
    this.#children.push(await shareTree(rootSocket, [...tree, ...replaced]));
    const ports = this.#listen();
    const started = performance.now();
    this.#launch(
      qemu,
      qemuArguments({
        architecture,
        kernel,
        memory: this.#options.memory ?? 2048,
        cpus: this.#options.cpus ?? 2,
        rootSocket,
        portSockets: portNames.map((name) => join(this.#directory, name)),
        lsm: this.#options.lsm ?? 'apparmor',
        init: join(import.meta.dirname, 'guest-init.sh'),
        directories: hidden([repository, ...(this.#options.directories ?? [])]),
        systemd,
      }),
    );
    const ready = (async () => {
      await ports;
      // The sockets are no longer needed; removed now, nothing is left even if this process is
      // killed.
      rmSync(this.#directory, { recursive: true });
      await line(this.#ports.control);
    })();
    await this.#within(ready, bootTimeout, 'the guest was not ready');
    this.bootTime = performance.now() - started;
  }

  /** Opens one Unix socket for each port; resolves when QEMU has connected to all of them. */
  async #listen(): Promise<void> {
    await Promise.all(
      portNames.map(
        (name) =>
          new Promise<void>((done, fail) => {
            const server = createServer((connection) => {
              this.#ports[name] = connection;
              connection.on('error', () => {}); // the exit of the child reports it
              connection.pause();
              server.close();
              done();
            });
            this.#servers.push(server);
            server.on('error', fail).listen(join(this.#directory, name));
          }),
      ),
    );
  }

  #launch(qemu: string, args: string[]): void {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', qemu, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#options.onConsole?.(chunk.toString());
        this.#console = (this.#console + chunk.toString()).slice(-16384);
      });
    }
    child.on('error', (error) => this.#fail(new GuestDied(`setpriv: ${error.message}`)));
    // `close` comes after the last console output.
    child.on('close', (status, signal) => {
      this.#fail(
        new GuestDied(`QEMU ended (${signal ?? `status ${status}`}), console:\n${this.#console}`),
      );
    });
  }

  async #within<T>(work: Promise<T>, milliseconds: number, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new GuestDied(`${what} within ${milliseconds / 1000} s, console:\n${this.#console}`),
          ),
        milliseconds,
      );
    });
    try {
      return await Promise.race([work, this.#death, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Runs a command, a shell script or a list of words, as root. Commands run one after the other.
   * Throws GuestDied or CommandTimeout; after either the guest is stopped.
   */
  run(command: string | readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const result = this.#queue.then(() => this.#run(command, options));
    this.#queue = result.catch(() => {});
    return result;
  }

  async #run(command: string | readonly string[], options: RunOptions): Promise<RunResult> {
    const script = [
      `cd ${quote(options.cwd ?? repository)} || exit 125`,
      ...Object.entries(options.env ?? {}).map(([key, value]) => `export ${key}=${quote(value)}`),
      typeof command === 'string' ? command : `exec ${command.map(quote).join(' ')}`,
    ].join('\n');
    const marker = `--${this.#directory.slice(-6)}-${++this.#commands}`;
    const stdout = new MarkedStream(this.#ports.stdout, marker, options.onStdout);
    const stderr = new MarkedStream(this.#ports.stderr, marker, options.onStderr);
    this.#ports.control.write(`${marker} ${Buffer.from(script).toString('base64')}\n`);
    const timeout = options.timeout ?? 120_000;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((done) => (timer = setTimeout(done, timeout, 'late')));
    try {
      const ended = Promise.all([stdout.end, stderr.end]);
      const outcome = await Promise.race([ended, this.#death, late]);
      if (outcome === 'late') {
        this.#ports.alive.write('ping\n');
        const answer = line(this.#ports.alive);
        const within = this.#options.answerTimeout ?? 20_000;
        await this.#within(answer, within, 'the guest hangs: no answer');
        throw new CommandTimeout(
          `no end within ${timeout / 1000} s of: ${typeof command === 'string' ? command : command.join(' ')}\n` +
            `stdout: ${stdout.output().toString().slice(-2000)}\nstderr: ${stderr.output().toString().slice(-2000)}`,
        );
      }
      return { status: Number(outcome[0]), stdout: stdout.output(), stderr: stderr.output() };
    } catch (error) {
      this.stop();
      throw error;
    } finally {
      clearTimeout(timer);
      stdout.detach();
      stderr.detach();
    }
  }

  /** Ends the guest immediately. */
  stop(): void {
    this.stopped = true;
    this.#fail(new GuestDied('the guest is stopped'));
    for (const child of this.#children) child.kill('SIGKILL');
    for (const server of this.#servers) server.close();
    for (const port of Object.values(this.#ports)) port.destroy();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/** Returns the next line from a port. */
function line(port: Socket): Promise<string> {
  return new Promise((done) => {
    let text = '';
    const onData = (chunk: Buffer) => {
      text += chunk.toString();
      if (!text.endsWith('\n')) return;
      port.off('data', onData).pause();
      done(text.slice(0, -1));
    };
    port.on('data', onData).resume();
  });
}

/** Returns the directories that the guest's own /tmp and /run would hide. */
function hidden(directories: string[]): string[] {
  return [...new Set(directories)].filter((path) => /^\/(tmp|run)\//.test(path));
}

/**
 * Does work in a guest, and again in a new one if the guest dies, three times at most. Any other
 * error is a failure of the work itself and is not retried.
 */
export async function inGuest<T>(
  work: (vm: Vm) => Promise<T>,
  options: VmOptions = {},
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const vm = await Vm.boot(options);
    try {
      return await work(vm);
    } catch (error) {
      if (!(error instanceof GuestDied) || attempt === 3) throw error;
      process.stderr.write(
        `test/machine: the guest died, trying again in a new one: ${error.reason}\n`,
      );
    } finally {
      vm.stop();
    }
  }
}

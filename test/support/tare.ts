/**
 * Shared by the tests of the command line: bundles with one busybox, calls, and the check that
 * nothing is left behind.
 */
import './view.js';
import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { cli, errorIn } from './build.js';

export { cli, errorIn, program, staticCli, staticProgram } from './build.js';
export { skipReason } from './view.js';

const applets =
  'cat chmod cut date dd dirname echo env false find grep head hostname id kill ls mkdir mount nc ' +
  'ps printf readlink rm sed seq sh sleep sort stat stty tail test touch tr true tty umount uname wc';

export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

/** The parts of config.json that tests change. */
export interface Config {
  process: {
    terminal: boolean;
    args: string[];
    cwd: string;
    env: string[];
    user: Record<string, unknown>;
    capabilities?: Record<string, string[]>;
    [name: string]: unknown;
  };
  root: { path: string; readonly: boolean };
  mounts: {
    destination: string;
    type?: string;
    source?: string;
    options?: string[];
    uidMappings?: IdMapping[];
    gidMappings?: IdMapping[];
  }[];
  hooks?: Record<string, unknown>;
  annotations?: Record<string, string>;
  linux: {
    namespaces: { type: string; path?: string }[];
    cgroupsPath?: string;
    [name: string]: unknown;
  };
  [name: string]: unknown;
}

export interface Result {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** The message of the error in the log, without time and level. */
  error: string;
}

export interface CallOptions {
  input?: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Milliseconds after which SIGTERM ends the call. */
  timeout?: number;
  /** Global flags, before the verb. */
  global?: string[];
  stdio?: SpawnOptions['stdio'];
}

export function state(text: string): Record<string, unknown> & { pid: number; status: string } {
  return JSON.parse(text) as Record<string, unknown> & { pid: number; status: string };
}

/**
 * Calls `tare` directly, and returns when it has ended. Its output goes to files: a container that
 * keeps running would hold pipes open.
 */
export function tare(args: string[], options: CallOptions = {}): Result {
  return call(cli, args, options);
}

/** As tare(), for another program, which calls `tare`. */
export function call(program: string, args: string[], options: CallOptions = {}): Result {
  const outputs = [new OutputFile(), new OutputFile()] as const;
  const done = spawnSync(program, args, {
    input: options.input ?? '',
    stdio: ['pipe', outputs[0].fd, outputs[1].fd],
    env: { PATH: process.env['PATH'], ...options.env },
    cwd: options.cwd,
    timeout: options.timeout,
  });
  const [stdout, stderr] = outputs.map((output) => output.take()) as [string, string];
  if (done.error && (done.error as NodeJS.ErrnoException).code !== 'ETIMEDOUT') throw done.error;
  const { status, signal } = done;
  return { status, signal, stdout, stderr, error: errorIn(stderr) };
}

class OutputFile {
  private readonly path = join(tmpdir(), `tare-test-output-${randomBytes(8).toString('hex')}`);
  readonly fd = openSync(this.path, 'w+', 0o600);

  /** Returns the output so far, and removes the file. */
  take(): string {
    unlinkSync(this.path);
    const bytes = Buffer.alloc(fstatSync(this.fd).size);
    readSync(this.fd, bytes, 0, bytes.length, 0);
    closeSync(this.fd);
    return bytes.toString();
  }
}

/** The state root, bundles and ids of one test file, and the mounts that existed before. */
export class Sandbox {
  readonly tag = `tare-test-${randomBytes(4).toString('hex')}`;
  readonly directory = mkdtempSync(join(tmpdir(), `${this.tag}-`));
  readonly root = join(this.directory, 'state');
  private readonly mountsBefore = readFileSync('/proc/self/mountinfo', 'utf8');
  private bundles = 0;

  private readonly onTerminate = (): void => {
    this.remove();
    process.exit(128 + 15);
  };

  /** The teardown of `t` removes it; without `t` the caller must do so. */
  constructor(t?: Test) {
    process.once('SIGTERM', this.onTerminate);
    t?.teardown(() => this.remove());
  }

  /** Returns a container id that no other test uses. */
  id(name: string): string {
    return `${this.tag}-${name}`;
  }

  /**
   * Creates a bundle with a busybox and the default config without a terminal; `edit` changes the
   * config.
   */
  bundle(args: string[], edit?: (config: Config) => void): string {
    const bundle = join(this.directory, `bundle${this.bundles++}`);
    makeRootfs(join(bundle, 'rootfs'));
    const made = tare(['spec', '--bundle', bundle]);
    if (made.status !== 0) throw new Error(made.stderr);
    this.edit(bundle, (config) => {
      config.process.args = args;
      config.process.terminal = false;
      edit?.(config);
    });
    return bundle;
  }

  edit(bundle: string, edit: (config: Config) => void): void {
    const path = join(bundle, 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as Config;
    edit(config);
    writeFileSync(path, JSON.stringify(config));
  }

  tare(args: string[], options: CallOptions = {}): Result {
    return tare(['--root', this.root, ...(options.global ?? []), ...args], options);
  }

  /** As tare(), but throws Error if the call fails. */
  must(args: string[], options: CallOptions = {}): Result {
    const result = this.tare(args, options);
    if (result.status !== 0) {
      throw new Error(`tare ${args.join(' ')}: ${result.status}: ${result.stderr}`);
    }
    return result;
  }

  spawn(args: string[], options: CallOptions = {}): ChildProcess {
    return spawn(cli, ['--root', this.root, ...(options.global ?? []), ...args], {
      stdio: options.stdio ?? 'pipe',
      env: { PATH: process.env['PATH'], ...options.env },
      cwd: options.cwd,
    });
  }

  /** Defines a test that must leave nothing of this sandbox behind. */
  test(name: string, body: (t: Test) => Promise<void>): void {
    void t.test(name, async (t) => {
      await body(t);
      t.strictSame(this.leftovers(), [], 'nothing stays');
    });
  }

  /**
   * Returns everything that is left of this sandbox's containers: state, cgroups, mounts,
   * processes.
   */
  leftovers(): string[] {
    return [
      ...entries(this.root).map((name) => `state: ${join(this.root, name)}`),
      ...cgroups(this.tag).map((path) => `cgroup: ${path}`),
      ...this.newMounts().map((line) => `mount: ${line}`),
      ...processesBelow(this.directory),
    ];
  }

  remove(): void {
    process.off('SIGTERM', this.onTerminate);
    for (const id of entries(this.root)) this.tare(['delete', '--force', id]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  private newMounts(): string[] {
    const before = new Set(this.mountsBefore.split('\n'));
    return readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => !before.has(line) && line.includes(this.tag));
  }
}

export function makeRootfs(rootfs: string): void {
  for (const directory of ['bin', 'dev', 'etc', 'proc', 'root', 'run', 'sys', 'tmp']) {
    mkdirSync(join(rootfs, directory), { recursive: true });
  }
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'));
  for (const applet of applets.split(' ')) symlinkSync('busybox', join(rootfs, 'bin', applet));
}

/** Returns the containers in a state root. The names of the runtime's own caches contain "@". */
function entries(root: string): string[] {
  return existsSync(root) ? readdirSync(root).filter((name) => !name.includes('@')) : [];
}

function cgroups(tag: string, below = '/sys/fs/cgroup'): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(below, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const path = join(below, entry.name);
    if (entry.name.includes(tag)) found.push(path);
    try {
      found.push(...cgroups(tag, path));
    } catch {
      // Another test has removed its cgroup meanwhile.
    }
  }
  return found;
}

/**
 * Returns the processes whose root or program is a file below `directory`: those of containers, and
 * waiting inits.
 */
function processesBelow(directory: string): string[] {
  const ours = new Set<string>();
  for (const name of readdirSync(directory)) {
    const rootfs = join(directory, name, 'rootfs');
    for (const path of [rootfs, join(rootfs, 'bin/busybox')]) {
      if (existsSync(path)) ours.add(identity(path));
    }
  }
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const link of ['root', 'exe']) {
      const path = `/proc/${pid}/${link}`;
      try {
        if (!ours.has(identity(`${path}${link === 'root' ? '/' : ''}`))) continue;
        found.push(`process: ${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8')}`);
        break;
      } catch {
        // The process has ended, or is a kernel thread.
      }
    }
  }
  return found;
}

function identity(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/** The output of a stream. */
export class Output {
  text = '';
  private position = 0;
  private ended = false;
  private wake: () => void = () => undefined;

  constructor(stream: NodeJS.ReadableStream | null) {
    if (stream === null) throw new Error('no pipe');
    stream.on('data', (chunk: Buffer) => {
      this.text += chunk.toString();
      this.wake();
    });
    stream.on('end', () => {
      this.ended = true;
      this.wake();
    });
  }

  /**
   * Waits until `wanted` appears after the end of the last match; returns the text up to its end.
   * Throws Error if the stream ends first.
   */
  async until(wanted: string): Promise<string> {
    for (;;) {
      const found = this.text.indexOf(wanted, this.position);
      if (found >= 0) {
        const begin = this.position;
        this.position = found + wanted.length;
        return this.text.slice(begin, this.position);
      }
      if (this.ended) throw new Error(`the end without ${JSON.stringify(wanted)}: ${this.text}`);
      await this.news();
    }
  }

  /** Waits until the stream ends; returns all of its text. */
  async all(): Promise<string> {
    while (!this.ended) await this.news();
    return this.text;
  }

  private news(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }
}

/** Resolves to the exit status of a child, or to 128 + N if signal N has ended it. */
export function exitOf(child: ChildProcess): Promise<number> {
  const statusOf = (code: number | null, signal: NodeJS.Signals | null): number =>
    code ?? (signal === null ? -1 : 128 + constants.signals[signal]);
  const { exitCode, signalCode } = child;
  if (exitCode !== null || signalCode !== null) {
    return Promise.resolve(statusOf(exitCode, signalCode));
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(statusOf(code, signal)));
  });
}

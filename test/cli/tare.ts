/** What the tests of the command line share: bundles of one busybox, calls, and the proof that nothing stays. */
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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { cli, errorIn } from './build.js';

export { cli, errorIn, program, staticCli, staticProgram } from './build.js';
export { whyNot } from './view.js';

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
  /** The text of the one error that the log has, without time and level. */
  error: string;
}

export interface CallOptions {
  input?: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Milliseconds; then SIGTERM ends it. */
  timeout?: number;
  /** Global flags, before the verb. */
  global?: string[];
  stdio?: SpawnOptions['stdio'];
}

export function state(text: string): Record<string, unknown> & { pid: number; status: string } {
  return JSON.parse(text) as Record<string, unknown> & { pid: number; status: string };
}

/**
 * Calls `tare` with nothing around it, and returns when it has ended. Its output goes to files: a
 * container that lives on would keep pipes open.
 */
export function tare(args: string[], options: CallOptions = {}): Result {
  return call(cli, args, options);
}

/** The same for another program, which calls `tare` in turn. */
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

  /** What has been written until now. */
  take(): string {
    unlinkSync(this.path);
    const bytes = Buffer.alloc(fstatSync(this.fd).size);
    readSync(this.fd, bytes, 0, bytes.length, 0);
    closeSync(this.fd);
    return bytes.toString();
  }
}

/** A state root, bundles and the ids of one test file, with a memory of how the machine was before. */
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

  constructor() {
    process.once('SIGTERM', this.onTerminate);
  }

  /** A container id that no other test has. */
  id(name: string): string {
    return `${this.tag}-${name}`;
  }

  /** A bundle with a busybox and the default config, quiet and without a terminal; `edit` changes that. */
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

  /** As tare(), but an error is an exception. */
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

  /** A test that leaves nothing of this sandbox behind. */
  test(name: string, body: (t: Test) => Promise<void>): void {
    void t.test(name, async (t) => {
      await body(t);
      t.strictSame(this.leftovers(), [], 'nothing stays');
    });
  }

  /** All that is left of containers of this sandbox: state, cgroups, mounts, processes. */
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

/** Containers in a state root; the names of the runtime's own caches contain "@". */
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
      // Another test's cgroup that has gone meanwhile.
    }
  }
  return found;
}

/** Processes whose root or program is a file below `directory`: those of containers, and inits that wait. */
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
        // It has ended, or is a kernel thread.
      }
    }
  }
  return found;
}

function identity(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/** What a stream says. */
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

  /** Waits until `wanted` has been said since the last call; what was said until then. */
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

  /** All of it, once the stream has ended. */
  async all(): Promise<string> {
    while (!this.ended) await this.news();
    return this.text;
  }

  private news(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }
}

/** The exit status of a child, or 128 + signal as a shell has it. */
export function exitOf(child: ChildProcess): Promise<number> {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? (signal === null ? -1 : 128)));
  });
}

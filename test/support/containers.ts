/**
 * Fixtures of the library's tests: containers in a sandbox, and a check that nothing is left
 * behind.
 */
import { Sandbox, type Config } from './tare.js';
import { closeSync, openSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import {
  Container,
  type CreateOptions,
  type ExitStatus,
  run,
  type RunOptions,
  type Running,
  type Spec,
  TareError,
} from '../../lib/index.js';

export { skipReason } from './tare.js';

/** The containers of one test. The teardown fails the test if anything of them is left. */
export class Containers {
  readonly sandbox = new Sandbox();
  private files = 0;

  constructor(t: Test) {
    t.teardown(() => {
      const leftovers = this.sandbox.leftovers();
      this.sandbox.remove();
      if (leftovers.length > 0) throw new Error(`left behind: ${leftovers.join('; ')}`);
    });
  }

  id(name: string): string {
    return this.sandbox.id(name);
  }

  /** Options that place a container in this sandbox. */
  get options(): { root: string } {
    return { root: this.sandbox.root };
  }

  bundle(args: string[], edit?: (config: Config) => void): string {
    return this.sandbox.bundle(args, edit);
  }

  spec(bundle: string): Spec {
    return JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as Spec;
  }

  create(name: string, bundle: string, options: CreateOptions = {}): Promise<Container> {
    return Container.create(this.id(name), { bundle, ...this.options, ...options });
  }

  /** Runs a container to its end and deletes it. */
  async run(name: string, bundle: string, options: CreateOptions = {}): Promise<ExitStatus> {
    const container = await this.create(name, bundle, options);
    await container.start();
    const status = await container.wait();
    await container.delete();
    return status;
  }

  /** Returns what a container writes to its standard output and error. */
  async output(name: string, args: string[], edit?: (config: Config) => void): Promise<string> {
    const path = join(this.sandbox.directory, `output${this.files++}`);
    const fd = openSync(path, 'w');
    try {
      await this.run(name, this.bundle(args, edit), { stdio: ['ignore', fd, fd] });
    } finally {
      closeSync(fd);
    }
    return readFileSync(path, 'utf8');
  }
}

/** run() with a state root that belongs to one test. */
interface Inside {
  (command: string[]): Running;
  <const Options extends RunOptions>(command: string[], options: Options): Running<Options>;
}

/**
 * Returns run() for the commands of one test, with `defaults`. The teardown fails the test if
 * anything of them is left.
 */
export function runInside(t: Test, defaults: RunOptions = {}): Inside {
  const { options: own } = new Containers(t);
  const inside = (command: string[], options?: RunOptions): unknown =>
    run(command, { ...own, ...defaults, ...options });
  return inside as Inside;
}

/** The command that runs a script with a shell. */
export const sh = (script: string): string[] => ['/bin/sh', '-c', script];

/** Returns the error of a promise that must reject. */
export async function failure(promise: Promise<unknown>): Promise<TareError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof TareError) return error;
    throw new Error(`no TareError but ${String(error)}`, { cause: error });
  }
  throw new Error('it succeeded');
}

/**
 * Lists the open file descriptors of this process and what each refers to, except the one that
 * reads the list.
 */
export function openFiles(): string[] {
  const directory = '/proc/self/fd';
  return readdirSync(directory).flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(join(directory, fd))}`];
    } catch {
      return [];
    }
  });
}

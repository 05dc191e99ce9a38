/**
 * library-process.ts KIND JSON: commands in containers from within Node, for library.ts.
 *
 * For each byte on stdin it runs one command and prints a line {"ns":...}. With `inFlight` in JSON
 * it keeps that many running until `count` have ended: once at the start, and then prints the event
 * loop's delay, and once for each byte, and then prints how long that took.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { Container, run } from '../lib/index.js';
import { connect, dockerOptions, type Docker } from './docker.js';
import { requireFrom } from './npm-package.js';

export interface Work {
  /** State directory of the library. */
  root: string;
  bundle: string;
  /** Prefix of the container ids. */
  id: string;
  /** Command line of the peer; `ID` in it stands for the container's id. */
  command?: string[];
  /** Directory of the package to compare with, see npm-package.ts. */
  packages?: string;
  /** Docker's name of the root file system. */
  image?: string;
  /** See `RunOptions.init`. */
  init?: boolean;
  inFlight?: number;
  count?: number;
}

/** Result of a flight, which keeps many commands running at a time. */
export interface Flight {
  seconds: number;
  rssMb: number;
}

/** Result of the first flight. */
export interface FirstFlight {
  loopDelayMaxMs: number;
}

const [kind = '', json = '{}'] = process.argv.slice(2);
const work = JSON.parse(json) as Work;
let count = 0;
let docker: Docker | undefined;
let isolatedVm: IsolatedVm | undefined;

/** The part of isolated-vm that is used here. */
interface IsolatedVm {
  Isolate: new (options: { memoryLimit: number }) => {
    createContext(): Promise<object>;
    compileScript(code: string): Promise<{
      run(context: object, options: { timeout: number }): Promise<unknown>;
    }>;
    dispose(): void;
  };
}

const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });

const kinds: Record<string, () => Promise<void>> = {
  /** run() with a given root file system. */
  async run() {
    await run(['/bin/true'], {
      ...{ root: work.root, rootfs: `${work.bundle}/rootfs`, cwd: '/' },
      init: work.init,
    });
  },
  /** run() without options. */
  async host() {
    await run(['/bin/true'], { root: work.root });
  },
  /** A snippet of untrusted JavaScript, in its own Node process. */
  async node() {
    await run(['node', '-e', '6 * 7'], { root: work.root });
  },
  /** The same in a V8 isolate within this process. */
  async isolate() {
    isolatedVm ??= requireFrom(work.packages!, 'isolated-vm') as IsolatedVm;
    const isolate = new isolatedVm.Isolate({ memoryLimit: 128 });
    const [context, script] = await Promise.all([
      isolate.createContext(),
      isolate.compileScript('6 * 7'),
    ]);
    await script.run(context, { timeout: 5000 });
    isolate.dispose();
  },
  /** A container of docker's daemon, removed as run() removes its own. */
  async docker() {
    docker ??= connect(work.packages!);
    const streams = [nowhere(), nowhere()];
    const command = ['/bin/true'];
    const [{ StatusCode }, container] = await docker.run(
      work.image!,
      command,
      streams,
      dockerOptions,
    );
    if (StatusCode !== 0) throw new Error(`docker's container exited with ${StatusCode}`);
    await container.remove();
  },
  /** The OCI level, with the default configuration of `spec`. */
  async container() {
    const id = `${work.id}${count++}`;
    const container = await Container.create(id, {
      root: work.root,
      bundle: work.bundle,
      start: true,
    });
    const { exitCode } = await container.wait();
    if (exitCode !== 0) throw new Error(`the container exited with ${exitCode}`);
    await container.delete();
  },
  /** Another program, spawned from Node. */
  async spawn() {
    const id = `${work.id}${count++}`;
    const [command = '', ...args] = work.command!.map((word) => (word === 'ID' ? id : word));
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.resume();
    child.stderr.resume();
    const [status] = (await once(child, 'close')) as [number | null];
    if (status !== 0) throw new Error(`${command} exited with ${status}`);
  },
};
const cycle = kinds[kind];
if (cycle === undefined) throw new Error(`no kind ${kind}`);

async function fly(inFlight: number, total: number): Promise<number> {
  let left = total;
  const one = async (): Promise<void> => {
    while (left-- > 0) await cycle!();
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, one));
  return (performance.now() - began) / 1000;
}

/**
 * Measures the event loop's delay. The monitor runs every millisecond, so the other flights do
 * without it.
 */
async function loopDelayMax(flight: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await flight();
  // A delay that has not ended yet is counted only when it ends.
  await setTimeout(5);
  delay.disable();
  return delay.max / 1e6;
}

if (work.inFlight !== undefined) {
  const { inFlight, count: total = 0 } = work;
  for (let i = 0; i < 10; i++) await cycle();
  const loopDelayMaxMs = await loopDelayMax(() => fly(inFlight, total));
  const print = (told: object): void => console.log(JSON.stringify(told));
  print({ loopDelayMaxMs });
  for await (const bytes of process.stdin) {
    for (let i = 0; i < (bytes as Buffer).length; i++) {
      // Warm up: this process was idle while other contenders ran.
      await fly(inFlight, Math.ceil(total / 10));
      const seconds = await fly(inFlight, total);
      print({ seconds, rssMb: process.memoryUsage().rss / 2 ** 20 });
    }
  }
} else {
  for await (const bytes of process.stdin) {
    if ((bytes as Buffer).length !== 1) {
      throw new Error('asked for a cycle before the last had ended');
    }
    const begin = process.hrtime.bigint();
    await cycle();
    console.log(JSON.stringify({ ns: Number(process.hrtime.bigint() - begin) }));
  }
}

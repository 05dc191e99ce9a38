/**
 * library-process.ts KIND JSON: commands in containers from within Node, for library.ts.
 *
 * For each byte on stdin one command is run, and a line {"ns":...} printed. With `inFlight` in JSON
 * that many are kept running until `count` have ended: at once, after which a line says how long the
 * loop was held up, and again for each byte, after which one says how long that took.
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
  /** What the ids begin with. */
  id: string;
  /** The command line of the peer; `ID` in it is the container's id. */
  command?: string[];
  /** Where the package is that is compared with, see npm-package.ts. */
  packages?: string;
  /** docker's name of the root file system. */
  image?: string;
  inFlight?: number;
  count?: number;
}

/** What keeping many in flight came to. */
export interface Flight {
  seconds: number;
  rssMb: number;
}

/** Of the first one. */
export interface FirstFlight {
  loopDelayMaxMs: number;
}

const [kind = '', json = '{}'] = process.argv.slice(2);
const work = JSON.parse(json) as Work;
let count = 0;
let docker: Docker | undefined;
let isolatedVm: IsolatedVm | undefined;

/** As far as it is used of isolated-vm. */
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
  /** run() with a root of its own. */
  async run() {
    await run(['/bin/true'], { root: work.root, rootfs: `${work.bundle}/rootfs`, cwd: '/' });
  },
  /** run() as it is without options. */
  async host() {
    await run(['/bin/true'], { root: work.root });
  },
  /** A snippet of JavaScript that somebody else wrote, in a Node of its own. */
  async node() {
    await run(['node', '-e', '6 * 7'], { root: work.root });
  },
  /** The same in an isolate of V8 within this process. */
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
  /** Another program, as one would call it from Node. */
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

/** Which takes a turn of the loop each millisecond, so that the other flights are without. */
async function loopDelayMax(flight: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await flight();
  // A delay that lasts until now is counted when it is over.
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
      // It has stood still while others were flying.
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

/**
 * What does it cost to run a command in a container from Node, by the library, by spawning another
 * program, and by the kernel alone? See bench/README.md.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { makeBundle } from './bundle.js';
import { findContenders, type Contender } from './library-contenders.js';
import type { Flight } from './library-process.js';
import { positive } from './options.js';
import { Paced } from './paced.js';
import { machine, prepareWork, spawnProgram, work, writeRaw, type Machine } from './place.js';
import { cgroupPrefix, runInPrivateView } from './private-view.js';
import { formatTable, median, quantile } from './statistics.js';

const usage = `usage: npm run bench -- library [OPTION...]
  --rounds N         rounds of one command at a time (200)
  --warmup N         rounds before them that are not counted (10)
  --count N          commands of each measurement with many at a time (600)
  --peers-root DIR   take crun and bwrap from the file system in DIR instead of this one
  --out FILE         write the raw results there; without it to bench/runs`;

/** How many are kept running at a time. */
const flights = [1, 8, 64];

export interface Results extends Machine {
  rounds: number;
  /** Of those that are not ours. */
  versions: Record<string, string>;
  /** Nanoseconds, a number a round. */
  latency: Record<string, number[]>;
  /** By contender and number in flight. */
  throughput: Record<string, Record<number, Partial<Flight> & { perSecond: number }>>;
}

async function timeOneAtATime(
  all: Contender[],
  floor: [string, string[]],
  warmup: number,
  rounds: number,
): Promise<Results['latency']> {
  const paced = [
    { name: 'floor', process: new Paced(...floor) },
    ...all.map(({ name, command }) => ({ name, process: new Paced(...command({})) })),
  ];
  const ns: Results['latency'] = Object.fromEntries(paced.map(({ name }) => [name, []]));
  for (let round = 0; round < warmup + rounds; round++) {
    for (let i = 0; i < paced.length; i++) {
      const { name, process } = paced[(round + i) % paced.length]!;
      const elapsed = await process.cycle();
      if (round >= warmup) ns[name]!.push(elapsed);
    }
  }
  for (const { process } of paced) await process.close();
  return ns;
}

async function output([command, args]: [string, string[]]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [out, [status]] = await Promise.all([
    text(child.stdout),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exited with ${status}`);
  return out;
}

/** The kernel alone: as many floor programs beside each other. */
async function floorRate(
  floor: (name: string, count: number) => [string, string[]],
  inFlight: number,
  count: number,
): Promise<number> {
  const each = Math.ceil(count / inFlight);
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, (_, i) => output(floor(`flight${i}`, each))));
  return (each * inFlight) / ((performance.now() - began) / 1000);
}

async function timeFlights(
  all: Contender[],
  floor: (name: string, count: number) => [string, string[]],
  count: number,
): Promise<Results['throughput']> {
  const results: Results['throughput'] = { floor: {} };
  for (const inFlight of flights) {
    results['floor']![inFlight] = { perSecond: await floorRate(floor, inFlight, count) };
    for (const { name, command, slow } of all) {
      process.stderr.write(`${name}, ${inFlight} in flight ...\n`);
      const some = slow ? Math.ceil(count / 10) : count;
      const flight = JSON.parse(await output(command({ inFlight, count: some }))) as Flight;
      results[name] ??= {};
      results[name][inFlight] = { ...flight, perSecond: some / flight.seconds };
    }
  }
  return results;
}

function print({ latency, throughput }: Results): void {
  const ms = (ns: number): string => (ns / 1e6).toFixed(2);
  const floor = median(latency['floor']!);
  const crun = latency['crun'] && median(latency['crun']);
  const part = (value: number, of: number | undefined): string =>
    of === undefined ? '' : (value / of).toFixed(2);
  console.log(
    formatTable([
      ['one at a time, ms', 'p50', 'p90', 'p99', 'of floor', 'of crun'],
      ...Object.entries(latency).map(([name, ns]) => [
        name,
        ...[0.5, 0.9, 0.99].map((q) => ms(quantile(ns, q))),
        part(median(ns), floor),
        part(median(ns), crun),
      ]),
    ]),
  );
  console.log();
  const rate = (name: string, inFlight: number): number =>
    throughput[name]?.[inFlight]?.perSecond ?? NaN;
  const last = flights.at(-1)!;
  console.log(
    formatTable([
      ['per second, in flight', ...flights.map(String), 'of floor', 'loop delay, ms', 'RSS, MB'],
      ...Object.entries(throughput).map(([name, byFlight]) => [
        name,
        ...flights.map((inFlight) => rate(name, inFlight).toFixed(0)),
        part(rate(name, last), rate('floor', last)),
        byFlight[last]?.loopDelayMaxMs?.toFixed(1) ?? '',
        byFlight[last]?.rssMb?.toFixed(0) ?? '',
      ]),
    ]),
  );
  const check = (what: string, value: number, limit: number, atMost: boolean): void => {
    const held = atMost ? value <= limit : value >= limit;
    console.log(
      `${held ? 'pass' : 'FAIL'}  ${what}: ${value.toFixed(2)}, wanted ${atMost ? 'at most' : 'at least'} ${limit}`,
    );
  };
  console.log();
  const ours = median(latency['run() with rootfs']!);
  check('run() of the floor', ours / floor, 1.8, true);
  if (crun !== undefined) check('run() of crun', ours / crun, 0.4, true);
  check(
    `rate with ${last} in flight, of the floor's`,
    rate('run() with rootfs', last) / rate('floor', last),
    0.7,
    false,
  );
}

export async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '200' },
      warmup: { type: 'string', default: '10' },
      count: { type: 'string', default: '600' },
      'peers-root': { type: 'string', default: '/' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const rounds = positive('rounds', values.rounds, usage);
  const warmup = positive('warmup', values.warmup, usage);
  const count = positive('count', values.count, usage);
  const status = await runInPrivateView();
  if (status !== undefined) return status;

  const floorProgram = join(work, 'build/bench/floor');
  prepareWork([floorProgram, spawnProgram]);
  const bundle = makeBundle(join(work, 'true'), ['true']);
  const contenders = await findContenders(bundle, values['peers-root']);
  for (const [name, why] of Object.entries(contenders.absent))
    console.log(`without ${name}: ${why}`);
  const floor = (name: string, loops: number, ...more: string[]): [string, string[]] => [
    floorProgram,
    [
      ...['--loop', String(loops), ...more, '--cgroup', `/sys/fs/cgroup/${cgroupPrefix()}${name}`],
      ...[join(bundle, 'rootfs'), '/bin/true'],
    ],
  ];
  const paced = floor('floor', warmup + rounds, '--paced', '--heap', '50');
  const measure = async (): Promise<Pick<Results, 'latency' | 'throughput'>> => ({
    latency: await timeOneAtATime(contenders.all, paced, warmup, rounds),
    throughput: await timeFlights(contenders.all, floor, count),
  });
  const measured = await measure().finally(() => contenders.dispose());
  const results: Results = {
    ...machine(),
    rounds,
    versions: contenders.versions,
    ...measured,
  };
  print(results);
  writeRaw(results, 'library', values.out);
  return 0;
}

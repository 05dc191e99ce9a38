/**
 * What does it cost to run a command in a container from Node: by the library, by spawning another
 * program, and by the kernel alone? See bench/README.md.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { makeBundle } from './bundle.js';
import { findContenders, withoutReaper, type Contender } from './library-contenders.js';
import type { FirstFlight, Flight } from './library-process.js';
import { positive } from './options.js';
import { Paced } from './paced.js';
import {
  machine,
  prepareWork,
  spawnProgram,
  work,
  writeRaw,
  type Machine,
} from './work-directory.js';
import { cgroupPrefix, runInPrivateView } from './private-view.js';
import { formatTable, median, quantile } from './statistics.js';

const usage = `usage: npm run bench -- library [OPTION...]
  --rounds N         rounds of one command at a time (200)
  --warmup N         rounds before them that are not counted (10)
  --count N          commands of each of five measurements with many at a time (1000)
  --peers-root DIR   take crun and bwrap from the file system in DIR instead of this one
  --out FILE         write the raw results there; without it to bench/runs`;

/** Numbers of commands kept running at a time. */
const flights = [1, 8, 64];
/** Flights of each contender; the contenders take turns. */
const flightRounds = 5;
/** Milliseconds between two flights, in which the kernel cleans up after the previous contender. */
const settling = 300;

export interface Results extends Machine {
  rounds: number;
  /** Versions of the contenders other than tare. */
  versions: Record<string, string>;
  /** Nanoseconds, one number per round. */
  latency: Record<string, number[]>;
  /** By contender and number of commands in flight. */
  throughput: Record<string, Record<number, Throughput>>;
}

/** Medians of several flights, and the event loop's max delay in one before them. */
interface Throughput extends Partial<Omit<Flight, 'seconds'> & FirstFlight> {
  perSecond: number;
  /** Rate of each flight. */
  rates: number[];
}

/** Command line of the floor program, given the name of its cgroup and the number of containers. */
type Floor = (name: string, loops: number, ...more: string[]) => [string, string[]];

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

/** A contender that makes flights repeatedly. */
interface Flyer {
  name: string;
  /** Number of commands per flight. */
  count: number;
  first?: FirstFlight;
  fly(): Promise<Partial<Flight> & { seconds: number }>;
  close(): Promise<void>;
}

/**
 * The kernel alone: `inFlight` floor programs in parallel, each of which has already run one
 * container.
 */
async function floorFlyer(floor: Floor, inFlight: number, count: number): Promise<Flyer> {
  const each = Math.ceil(count / inFlight);
  const all = Array.from(
    { length: inFlight },
    (_, i) => new Paced(...floor(`flight${i}`, 1 + (1 + each) * flightRounds, '--paced')),
  );
  await Promise.all(all.map((one) => one.cycle()));
  return {
    name: 'floor',
    count: each * inFlight,
    async fly() {
      await Promise.all(all.map((one) => one.cycle()));
      const began = performance.now();
      const ended = all.map(async (one) => {
        one.ask(each);
        for (let i = 0; i < each; i++) await one.next();
      });
      await Promise.all(ended);
      return { seconds: (performance.now() - began) / 1000 };
    },
    close: async () => void (await Promise.all(all.map((one) => one.close()))),
  };
}

/** A contender in a process that has already made one flight. */
async function contenderFlyer(
  { name, command, slow }: Contender,
  inFlight: number,
  total: number,
): Promise<Flyer> {
  const count = slow ? Math.ceil(total / 10) : total;
  const process = new Paced(...command({ inFlight, count }));
  const first = await process.next<FirstFlight>();
  return {
    name,
    count,
    first,
    async fly() {
      process.ask();
      return process.next<Flight>();
    },
    close: () => process.close(),
  };
}

const medianOf = (values: (number | undefined)[]): number | undefined =>
  values[0] === undefined ? undefined : median(values as number[]);

async function timeFlights(
  all: Contender[],
  floor: Floor,
  count: number,
): Promise<Results['throughput']> {
  const results: Results['throughput'] = {};
  for (const inFlight of flights) {
    process.stderr.write(`${inFlight} in flight ...\n`);
    const flyers = [await floorFlyer(floor, inFlight, count)];
    for (const one of all) flyers.push(await contenderFlyer(one, inFlight, count));
    const flown = flyers.map((): Awaited<ReturnType<Flyer['fly']>>[] => []);
    for (let round = 0; round < flightRounds; round++) {
      for (let i = 0; i < flyers.length; i++) {
        const at = (round + i) % flyers.length;
        flown[at]!.push(await flyers[at]!.fly());
        await sleep(settling);
      }
    }
    for (const [i, flyer] of flyers.entries()) {
      const { name, count } = flyer;
      const rates = flown[i]!.map(({ seconds }) => count / seconds);
      results[name] ??= {};
      results[name][inFlight] = {
        perSecond: median(rates),
        rates,
        ...flyer.first,
        rssMb: medianOf(flown[i]!.map(({ rssMb }) => rssMb)),
      };
      await flyer.close();
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
  // Ratios are taken per round: a machine that is slower for a while is slower for all contenders.
  const ofFloor = (name: string): number =>
    median(
      throughput[name]![last]!.rates.map((one, i) => one / throughput['floor']![last]!.rates[i]!),
    );
  console.log(
    formatTable([
      ['per second, in flight', ...flights.map(String), 'of floor', 'loop delay, ms', 'RSS, MB'],
      ...Object.entries(throughput).map(([name, byFlight]) => [
        name,
        ...flights.map((inFlight) => rate(name, inFlight).toFixed(0)),
        ofFloor(name).toFixed(2),
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
  const bare = median(latency[withoutReaper]!);
  check('the reaper, ms', (ours - bare) / 1e6, 0.1, true);
  if (crun !== undefined) check('run() of crun', ours / crun, 0.4, true);
  check(`rate with ${last} in flight, of the floor's`, ofFloor('run() with rootfs'), 0.7, false);
}

export async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '200' },
      warmup: { type: 'string', default: '10' },
      count: { type: 'string', default: '1000' },
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
  const floor: Floor = (name, loops, ...more) => [
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

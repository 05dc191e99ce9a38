/**
 * What does a container's life cost with tare, with crun and runc, and with the kernel alone? See
 * bench/README.md.
 */
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeBundle } from './bundle.js';
import type { Contender } from './contenders.js';
import { cgroupPrefix, runInPrivateView } from './private-view.js';
import { printReport, type ContenderResult, type Results } from './lifecycle-report.js';
import { scenarios, type Place } from './lifecycle-scenarios.js';
import { positive, runOptions, runUsage } from './options.js';
import { Paced } from './paced.js';
import {
  findContenders,
  machine,
  prepareWork,
  spawnProgram,
  work,
  writeRaw,
} from './work-directory.js';
import { takeSamples, type Sample } from './sample.js';

const usage = `usage: npm run bench -- lifecycle [OPTION...]
${runUsage}
  --scenario NAME    only this one; may be given more than once
  --out FILE         write the raw results there; without it to bench/runs, if all scenarios ran`;

interface Options {
  help: boolean;
  rounds: number;
  warmup: number;
  scenario: string[];
  peer: string[];
  peersRoot: string;
  out: string | undefined;
}

function parseOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: { ...runOptions, scenario: { type: 'string', multiple: true, default: [] } },
  });
  const known = [...scenarios.map(({ name }) => name), ...inProcess.map(({ name }) => name)];
  for (const name of values.scenario) {
    if (!known.includes(name)) {
      throw new Error(`--scenario ${name}: there are ${known.join(', ')}`);
    }
  }
  return {
    help: values.help,
    rounds: positive('rounds', values.rounds, usage),
    warmup: positive('warmup', values.warmup, usage),
    scenario: values.scenario,
    peer: values.peer,
    peersRoot: values['peers-root'],
    out: values.out,
  };
}

/** Heap sizes, in MB, of the processes that create containers through the library. */
const inProcess = [50, 500].map((heap) => ({ name: `node-${heap}MB`, heap }));

/**
 * Alternates between the library in a Node process and the floor program, both with the same heap.
 */
async function timeInProcess(heap: number, place: Place, options: Options, withTare: boolean) {
  const total = options.warmup + options.rounds;
  const cgroup = `/sys/fs/cgroup/${cgroupPrefix()}floor-loop`;
  const loop = ['--loop', String(total), '--paced', '--heap', String(heap), '--cgroup', cgroup];
  const processes = [
    { name: 'floor', paced: new Paced(place.floor, [...loop, place.rootfs, '/bin/true']) },
  ];
  if (withTare) {
    const script = fileURLToPath(new URL('in-process.ts', import.meta.url));
    const id = `${cgroupPrefix()}node`;
    const args = [script, join(work, 'state/node'), place.trueBundle, id, String(heap)];
    const command = [...process.execArgv, ...args];
    processes.push({ name: 'tare', paced: new Paced(process.execPath, command) });
  }
  const ns: Record<string, number[][]> = {};
  for (const { name } of processes) ns[name] = [];
  for (let round = 0; round < total; round++) {
    const order = round % 2 === 0 ? processes : [...processes].reverse();
    for (const { name, paced } of order) {
      const elapsed = await paced.cycle();
      if (round >= options.warmup) ns[name]?.push([elapsed]);
    }
  }
  for (const { paced } of processes) await paced.close();
  return ns;
}

function preparePlace(): Place {
  const floor = join(work, 'build/bench/floor');
  prepareWork([floor, spawnProgram]);
  const trueBundle = makeBundle(join(work, 'true'), ['true']);
  return {
    work,
    trueBundle,
    bindsBundle: makeBundle(join(work, 'binds'), ['true'], { binds: 20 }),
    sleepBundle: makeBundle(join(work, 'sleep'), ['sleep', '86400']),
    rootfs: join(trueBundle, 'rootfs'),
    floor,
    idPrefix: cgroupPrefix(),
  };
}

function resultOf(samples: Sample[]): ContenderResult {
  const timed = samples.filter(({ ns }) => ns.length > 0);
  return {
    ns: timed.map(({ ns }) => ns),
    rss_kib: timed.map(({ rss_kib }) => Math.max(...rss_kib)),
    pss_kib: samples.flatMap(({ pss_kib }) => pss_kib),
  };
}

async function measure(options: Options, place: Place, contenders: Contender[], prefix: string[]) {
  const results: Results['scenarios'] = {};
  const wanted = (name: string) => options.scenario.length === 0 || options.scenario.includes(name);
  const spawn = [...prefix, spawnProgram];
  for (const scenario of scenarios.filter(({ name }) => wanted(name))) {
    process.stderr.write(`${scenario.name} ...\n`);
    const rounds = scenario.rounds ?? options.rounds;
    const turns = scenario.turns(place, contenders);
    const { samples, ownRssKib } = takeSamples(spawn, turns, options.warmup + rounds);
    const counted = samples.filter(({ round }) => round >= options.warmup);
    const ofContender = (name: string) => counted.filter(({ contender }) => contender === name);
    results[scenario.name] = {
      ownRssKib,
      contenders: Object.fromEntries(
        turns.map(({ contender }) => [contender, resultOf(ofContender(contender))]),
      ),
    };
  }
  const withTare = contenders.some(({ name }) => name === 'tare');
  for (const { name, heap } of inProcess.filter(({ name }) => wanted(name))) {
    process.stderr.write(`${name} ...\n`);
    const ns = await timeInProcess(heap, place, options, withTare);
    results[name] = {
      contenders: Object.fromEntries(
        Object.entries(ns).map(([contender, ns]) => [contender, { ns, rss_kib: [], pss_kib: [] }]),
      ),
    };
  }
  return results;
}

export async function main(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    console.log(usage);
    return 0;
  }
  const status = await runInPrivateView();
  if (status !== undefined) return status;

  const place = preparePlace();
  const { contenders, prefix } = findContenders(options.peer, options.peersRoot);

  const results: Results = {
    ...machine(),
    rounds: options.rounds,
    contenders: Object.fromEntries(contenders.map(({ name, version }) => [name, version])),
    scenarios: {},
  };
  results.scenarios = await measure(options, place, contenders, prefix);
  printReport(results);
  if (options.out !== undefined || options.scenario.length === 0) {
    writeRaw(results, 'lifecycle', options.out);
  }
  return 0;
}

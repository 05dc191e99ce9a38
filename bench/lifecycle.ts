/**
 * What does a container's life cost with tare, with crun and runc, and with the kernel alone?
 * See bench/README.md.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { spawnSync } from 'node:child_process';
import { makeBundle } from './bundle.js';
import { findPeers, findTare, type Contender } from './contenders.js';
import { cgroupPrefix, rootPrefix, runInPrivateView } from './private-view.js';
import { printReport, type ContenderResult, type Results } from './lifecycle-report.js';
import { scenarios, type Place } from './lifecycle-scenarios.js';
import { Paced } from './paced.js';
import { takeSamples, type Sample } from './sample.js';

const usage = `usage: npm run bench -- lifecycle [OPTION...]
  --rounds N         rounds of each scenario (200)
  --warmup N         rounds before them that are not counted (10)
  --scenario NAME    only this one; may be given more than once
  --peer NAME=PATH   time this runtime too, or this one instead of the NAME that PATH has
  --peers-root DIR   run all command lines with DIR as root file system, and take peers from there
  --out FILE         write the raw results there; without it to bench/runs, if all scenarios ran`;

const repository = fileURLToPath(new URL('..', import.meta.url));
const work = '/run/bench';

interface Options {
  help: boolean;
  rounds: number;
  warmup: number;
  scenario: string[];
  peer: string[];
  peersRoot: string;
  out: string | undefined;
}

function positive(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number <= 0) {
    throw new Error(`--${name} ${value}: wanted a whole number above 0\n${usage}`);
  }
  return number;
}

function parseOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '200' },
      warmup: { type: 'string', default: '10' },
      scenario: { type: 'string', multiple: true, default: [] },
      peer: { type: 'string', multiple: true, default: [] },
      'peers-root': { type: 'string', default: '/' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const known = [...scenarios.map(({ name }) => name), ...inProcess.map(({ name }) => name)];
  for (const name of values.scenario) {
    if (!known.includes(name)) {
      throw new Error(`--scenario ${name}: there are ${known.join(', ')}`);
    }
  }
  return {
    help: values.help,
    rounds: positive('rounds', values.rounds),
    warmup: positive('warmup', values.warmup),
    scenario: values.scenario,
    peer: values.peer,
    peersRoot: values['peers-root'],
    out: values.out,
  };
}

/** Heaps, in MB, of the processes that run containers within themselves. */
const inProcess = [50, 500].map((heap) => ({ name: `node-${heap}MB`, heap }));

/** Alternates the library in a Node process and the floor program, both with the same heap. */
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
  mkdirSync(join(work, 'build'), { recursive: true });
  // A bind mount and no copy: the executables stay on their own file system, as the peers' do.
  const build = join(repository, 'build');
  const { status } = spawnSync('mount', ['--bind', build, join(work, 'build')], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`could not bind ${build}`);
  mkdirSync(join(work, 'state'));
  const trueBundle = makeBundle(join(work, 'true'), ['true']);
  return {
    work,
    trueBundle,
    bindsBundle: makeBundle(join(work, 'binds'), ['true'], 20),
    sleepBundle: makeBundle(join(work, 'sleep'), ['sleep', '86400']),
    rootfs: join(trueBundle, 'rootfs'),
    floor: join(work, 'build/bench/floor'),
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
  const spawn = [...prefix, join(work, 'build/bench/spawn')];
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

function writeResults(options: Options, results: Results): void {
  const day = results.date.slice(0, 10);
  const file = options.out ?? join(repository, 'bench/runs', `${day}-lifecycle.json`);
  if (options.out === undefined && options.scenario.length > 0) return;
  mkdirSync(join(file, '..'), { recursive: true });
  // One line a contender: the file is read by people as well.
  const text = JSON.stringify(results, null, 1).replace(/\n\s+(?=[\d[\]])/g, '');
  writeFileSync(file, `${text}\n`);
  console.log(`\nraw results: ${relative(process.cwd(), file)}`);
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
  for (const program of [place.floor, join(work, 'build/bench/spawn')]) {
    if (!existsSync(program)) throw new Error(`${program} is not built: npm run build`);
  }
  const prefix = options.peersRoot === '/' ? [] : rootPrefix(options.peersRoot, work);
  const contenders = findPeers(options.peer, options.peersRoot, prefix);
  const tare = findTare(join(work, 'build/tare'));
  if (tare === undefined) console.log('build/tare is absent: tare is not timed');
  else contenders.unshift(tare);

  const results: Results = {
    date: new Date().toISOString(),
    kernel: release(),
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    node: process.version,
    rounds: options.rounds,
    contenders: Object.fromEntries(contenders.map(({ name, version }) => [name, version])),
    scenarios: {},
  };
  results.scenarios = await measure(options, place, contenders, prefix);
  printReport(results);
  writeResults(options, results);
  return 0;
}

/**
 * How long does a container's whole life take by `ctr run --rm` and `podman run --rm` with tare,
 * crun and runc, and what share of it is the runtime's? See bench/README.md.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultRelease, unpackEngines } from '../test/engines/root.js';
import { imageName, writeImage } from '../test/engines/image.js';
import type { Contender } from './contenders.js';
import { positive, runOptions, runUsage } from './options.js';
import {
  findContenders,
  machine,
  prepareWork,
  spawnProgram,
  work,
  writeRaw,
  type Machine,
} from './work-directory.js';
import { runInPrivateView } from './private-view.js';
import { takeSamples, type Turn } from './sample.js';
import { formatTable, median, quantile } from './statistics.js';

const usage = `usage: npm run bench -- engines [OPTION...]
${runUsage}; by default a Debian with containerd and podman
  --release NAME     Debian's of which that is (trixie)
  --engine NAME      only this one; may be given more than once
  --out FILE         write the raw results there; without it to bench/runs`;

/** Durations of a contender's runs, and of the runtime's commands alone. */
interface Result {
  ns: number[];
  runtime_ns: number[];
}

interface Results extends Machine {
  rounds: number;
  /** Versions by name. */
  contenders: Record<string, string>;
  engines: Record<string, Record<string, Result>>;
}

const archive = join(work, 'image.tar');
const stopwatch = join(work, 'build/bench/stopwatch');
const timed = (name: string) => join(work, 'timed', name);

/** The scripts that set an engine up and tear it down, and one run with the runtime at a path. */
interface Engine {
  name: string;
  ready: string;
  run(path: string, name: string): string[];
  /** Ends what `ready` started. */
  over: string;
}

const containerdSocket = join(work, 'containerd.sock');
const ctr = ['/usr/bin/ctr', '--address', containerdSocket];
const podman = [
  ...['/usr/bin/podman', '--root', join(work, 'podman'), '--runroot', join(work, 'podman-run')],
  ...['--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
];

/**
 * Without limits: if controllers are missing, the engine's default limits would make every runtime
 * fail.
 */
const engines: Engine[] = [
  {
    name: 'containerd',
    ready: `
      cat >${work}/containerd.toml <<'END'
version = 2
root = "${work}/containerd"
state = "${work}/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${containerdSocket}"
END
      containerd --config ${work}/containerd.toml >${work}/containerd.log 2>&1 </dev/null &
      echo $! >${work}/containerd.pid
      for try in $(seq 100); do ${ctr.join(' ')} version && break; sleep 0.1; done >/dev/null
      ${ctr.join(' ')} image import ${archive} >/dev/null`,
    run: (path, name) => [
      ...[...ctr, 'run', '--rm', '--cpu-shares', '0', '--runc-binary', path],
      ...['--runc-root', join(work, 'state', name), imageName, `bench-${name}`, 'true'],
    ],
    over: `kill $(cat ${work}/containerd.pid)`,
  },
  {
    name: 'podman',
    ready: `${podman.join(' ')} load --quiet --input ${archive}`,
    run: (path) => [
      ...[...podman, '--runtime', path, 'run', '--rm', '--network', 'none', '--pids-limit', '0'],
      ...['--log-driver', 'none', imageName, 'true'],
    ],
    over: 'true',
  },
];

/**
 * A contender has two turns: on its own, and run by the stopwatch, which itself takes a little
 * time.
 */
function turnsOf(engine: Engine, contenders: Contender[]): Turn[] {
  const step = (what: 'ready' | 'over') => {
    const file = join(work, `${engine.name}-${what}`);
    writeFileSync(file, engine[what]);
    return ['run', '/bin/sh', '-e', file];
  };
  return contenders.flatMap(({ name, path }, index) => [
    {
      contender: name,
      before: index === 0 ? [step('ready')] : [],
      each: [['time', ...engine.run(path, name)]],
      after: [],
    },
    {
      contender: `${name}, timed`,
      before: [],
      each: [['time', ...engine.run(timed(name), name)]],
      after: index === contenders.length - 1 ? [step('over')] : [],
    },
  ]);
}

function makeStopwatches(contenders: Contender[]): void {
  mkdirSync(join(work, 'timed'));
  for (const { name, path } of contenders) {
    copyFileSync(stopwatch, timed(name));
    symlinkSync(path, `${timed(name)}.program`);
  }
}

/**
 * Returns the sum of the stopwatch's records for each round; the engine calls the runtime equally
 * often in each.
 */
function takeNotes(name: string, rounds: number): number[] {
  const file = `${timed(name)}.ns`;
  const notes = readFileSync(file, 'utf8').trimEnd().split('\n').map(Number);
  rmSync(file);
  const calls = notes.length / rounds;
  if (!Number.isInteger(calls))
    throw new Error(`${name}: ${notes.length} calls in ${rounds} rounds`);
  return Array.from({ length: rounds }, (_, round) =>
    notes.slice(round * calls, (round + 1) * calls).reduce((sum, ns) => sum + ns, 0),
  );
}

function measure(
  engine: Engine,
  contenders: Contender[],
  prefix: string[],
  { rounds, warmup }: { rounds: number; warmup: number },
): Record<string, Result> {
  process.stderr.write(`${engine.name} ...\n`);
  const total = warmup + rounds;
  const { samples } = takeSamples([...prefix, spawnProgram], turnsOf(engine, contenders), total);
  return Object.fromEntries(
    contenders.map(({ name }) => [
      name,
      {
        ns: samples
          .filter(({ contender, round }) => contender === name && round >= warmup)
          .map(({ ns }) => ns[0]!),
        runtime_ns: takeNotes(name, total).slice(warmup),
      },
    ]),
  );
}

/** The limit that the project has set itself. */
const runtimeOfCrun = 0.45;

function printReport(results: Results): void {
  const milliseconds = (ns: number) => (ns / 1e6).toFixed(2);
  for (const [engine, byRuntime] of Object.entries(results.engines)) {
    const crun = byRuntime['crun'];
    const part = (result: Result, of: (result: Result) => number) =>
      crun === undefined ? '-' : (of(result) / of(crun)).toFixed(2);
    const whole = ({ ns }: Result) => median(ns);
    const runtime = ({ runtime_ns }: Result) => median(runtime_ns);
    const rows = Object.entries(byRuntime).map(([name, result]) => [
      name,
      milliseconds(whole(result)),
      milliseconds(quantile(result.ns, 0.95)),
      part(result, whole),
      milliseconds(runtime(result)),
      `${((100 * runtime(result)) / whole(result)).toFixed(0)} %`,
      part(result, runtime),
    ]);
    const title = ['ms', 'median', '95 %', 'of crun', 'runtime', 'share', 'of crun'];
    console.log(`\n${engine}: run --rm of true\n${formatTable([title, ...rows])}`);
    const tare = byRuntime['tare'];
    if (tare === undefined || crun === undefined) continue;
    const ratio = runtime(tare) / runtime(crun);
    const outcome = ratio <= runtimeOfCrun ? 'met' : 'MISSED';
    console.log(
      `the runtime's part: ${ratio.toFixed(2)} of crun's (at most ${runtimeOfCrun}: ${outcome})`,
    );
  }
}

export async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...runOptions,
      rounds: { type: 'string', default: '50' },
      warmup: { type: 'string', default: '3' },
      release: { type: 'string', default: defaultRelease },
      engine: { type: 'string', multiple: true, default: engines.map(({ name }) => name) },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const counts = {
    rounds: positive('rounds', values.rounds, usage),
    warmup: positive('warmup', values.warmup, usage),
  };
  const status = await runInPrivateView();
  if (status !== undefined) return status;

  const root =
    values['peers-root'] === '/' ? await unpackEngines(values.release) : values['peers-root'];
  prepareWork([spawnProgram, stopwatch]);
  await writeImage(archive);
  const { contenders, prefix } = findContenders(values.peer, root);
  makeStopwatches(contenders);
  const results: Results = {
    ...machine(),
    rounds: counts.rounds,
    contenders: Object.fromEntries(contenders.map(({ name, version }) => [name, version])),
    engines: {},
  };
  for (const engine of engines.filter(({ name }) => values.engine.includes(name)))
    results.engines[engine.name] = measure(engine, contenders, prefix, counts);
  printReport(results);
  writeRaw(results, 'engines', values.out);
  return 0;
}

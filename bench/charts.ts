/**
 * npm run charts: draws the figures of bench/runs, and writes the table of docs/comparison.md.
 * test/pages/charts.test.ts checks that both match the runs.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { colors, drawBars, drawDots, type Figure } from './plot.js';
import type { Results as LibraryResults } from './library.js';
import type { Results as LifecycleResults } from './lifecycle-report.js';
import { median, quantile } from './statistics.js';

const repository = fileURLToPath(new URL('..', import.meta.url));
const comparison = 'docs/comparison.md';

interface Run<Results> {
  file: string;
  results: Results;
}

/** Returns the runs of a question, newest first. */
function runsOf<Results extends { date: string }>(question: string): Run<Results>[] {
  const directory = join(repository, 'bench/runs');
  return readdirSync(directory)
    .filter((name) => new RegExp(`^[\\d-]{10}-${question}(-.*)?\\.json$`).test(name))
    .map((name) => ({
      file: `bench/runs/${name}`,
      results: JSON.parse(readFileSync(join(directory, name), 'utf8')) as Results,
    }))
    .sort((a, b) => b.results.date.localeCompare(a.results.date));
}

/** Returns the newest of the runs with the most contenders: not every machine has all of them. */
function fullestLibraryRun(): Run<LibraryResults> {
  const runs = runsOf<LibraryResults>('library');
  const size = ({ results }: Run<LibraryResults>): number => Object.keys(results.latency).length;
  const max = Math.max(...runs.map(size));
  return runs.find((run) => size(run) === max)!;
}

const ms = (ns: number): number => ns / 1e6;

/** Labels of the library benchmark's contenders in charts and tables. */
const labels: Record<string, string> = {
  floor: 'the kernel alone',
  'run() with rootfs': 'run(), a root of its own',
  'run() with rootfs, init: false': 'run(), a root of its own, no reaper',
  'run()': "run(), the host's root",
  Container: 'Container, spec defaults',
  bwrap: 'bwrap, spawned',
  crun: 'crun, spawned',
  dockerode: 'dockerode',
  'node in run()': 'run() of node -e',
  'isolated-vm': 'isolated-vm (a snippet)',
};
const ours = [
  'run() with rootfs',
  'run() with rootfs, init: false',
  'run()',
  'Container',
  'node in run()',
];
const whose = (name: string): string =>
  name === 'floor' ? 'floor' : ours.includes(name) ? 'tare' : 'others';

async function startChart({ latency }: LibraryResults): Promise<string> {
  const figures = Object.entries(latency)
    .map(([name, ns]): Figure => ({
      row: labels[name] ?? name,
      series: whose(name),
      value: ms(median(ns)),
      low: ms(quantile(ns, 0.1)),
      high: ms(quantile(ns, 0.9)),
    }))
    .sort((a, b) => a.value - b.value);
  return drawDots({
    title: 'A command in a container from Node, one at a time',
    axis: 'ms from call to result: median, and from the 10th to the 90th percentile',
    series: [
      ['floor', colors.kernel],
      ['tare', colors.ours],
      ['others', colors.first],
    ],
    figures,
  });
}

async function throughputChart({ throughput }: LibraryResults): Promise<string> {
  const rate = (name: string): number =>
    Math.max(...Object.values(throughput[name]!).map(({ perSecond }) => perSecond));
  const figures = Object.keys(throughput)
    .sort((a, b) => rate(b) - rate(a))
    .flatMap((name) =>
      Object.entries(throughput[name]!).map(([inFlight, { perSecond }]): Figure => ({
        row: labels[name] ?? name,
        series: `${inFlight} in flight`,
        value: perSecond,
      })),
    );
  return drawBars({
    title: 'Commands in containers from Node, many at a time',
    axis: 'per second',
    series: [
      ['1 in flight', colors.kernel],
      ['8 in flight', colors.first],
      ['64 in flight', colors.ours],
    ],
    figures,
  });
}

async function lifecycleChart({ scenarios }: LifecycleResults): Promise<string> {
  const shown = ['run', 'create+start+delete', 'exec', 'state'];
  const figures = shown.flatMap((row) =>
    Object.entries(scenarios[row]!.contenders).map(([series, { ns }]): Figure => ({
      row,
      series,
      value: ms(median(ns.map((steps) => steps.reduce((sum, step) => sum + step, 0)))),
    })),
  );
  return drawDots({
    title: "A container's life by the command line",
    axis: 'ms, median',
    series: [
      ['floor', colors.kernel],
      ['tare', colors.ours],
      ['crun', colors.first],
      ['runc', colors.second],
    ],
    figures,
  });
}

/** Returns the rows of the comparison's table, and the run that they come from. */
function table({ file, results }: Run<LibraryResults>): string {
  const { latency, throughput, node, kernel, rounds, versions } = results;
  const rows = Object.entries(latency)
    .sort(([, a], [, b]) => median(a) - median(b))
    .map(([name, ns]) => {
      const many = throughput[name]![64]!;
      const cells = [
        labels[name] ?? name,
        ...[0.5, 0.9, 0.99].map((part) => ms(quantile(ns, part)).toFixed(2)),
        (median(ns) / median(latency['floor']!)).toFixed(2),
        ...[1, 8, 64].map((inFlight) => throughput[name]![inFlight]!.perSecond.toFixed(0)),
        many.loopDelayMaxMs?.toFixed(0) ?? '',
        many.rssMb?.toFixed(0) ?? '',
      ];
      return `| ${cells.join(' | ')} |`;
    });
  const others = Object.entries(versions).map(([name, version]) => {
    return version.includes(name) || name === 'bwrap' ? version : `${name} ${version}`;
  });
  return [
    '| | p50, ms | p90 | p99 | time/floor | per second, 1 in flight | 8 | 64 | loop delay, ms | RSS, MB |',
    '|---|---|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    `${rounds} rounds, Node ${node}, Linux ${kernel}; ${others.join('; ')}. Every sample is in \`${file}\`.`,
  ].join('\n');
}

const marked = /(<!-- npm run charts writes this -->\n)[\s\S]*?(\n<!-- to here -->)/;

/** Returns the contents of the generated files, by their paths in the repository. */
export async function drawCharts(): Promise<Record<string, string>> {
  const library = fullestLibraryRun();
  const lifecycle = runsOf<LifecycleResults>('lifecycle')[0]!.results;
  const page = readFileSync(join(repository, comparison), 'utf8');
  return {
    'docs/charts/start.svg': await startChart(library.results),
    'docs/charts/throughput.svg': await throughputChart(library.results),
    'docs/charts/lifecycle.svg': await lifecycleChart(lifecycle),
    [comparison]: page.replace(marked, (_all, before: string, after: string) =>
      [before, table(library), after].join(''),
    ),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, text] of Object.entries(await drawCharts())) {
    const path = join(repository, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    console.log(file);
  }
}

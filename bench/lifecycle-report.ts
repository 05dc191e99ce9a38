import type { Machine } from './work-directory.js';
import { formatTable, median, quantile } from './statistics.js';

export interface ContenderResult {
  /** One array per round: the nanoseconds of each of its commands. */
  ns: number[][];
  /** One number per round: the max of its commands. */
  rss_kib: number[];
  /** One number per round: all processes of a created container. */
  pss_kib: number[];
}

export interface Results extends Machine {
  rounds: number;
  /** Versions by name. */
  contenders: Record<string, string>;
  scenarios: Record<string, { ownRssKib?: number; contenders: Record<string, ContenderResult> }>;
}

type Quantity = 'ns' | 'rss_kib' | 'pss_kib';

interface Target {
  scenario: string;
  quantity: Quantity;
  /** Contender whose value the limit is a fraction of; without one the limit is in KiB. */
  of?: string;
  limit: number;
}

const targets: Target[] = [
  { scenario: 'run', quantity: 'ns', of: 'crun', limit: 0.45 },
  { scenario: 'run', quantity: 'ns', of: 'floor', limit: 1.4 },
  { scenario: 'create+start+delete', quantity: 'ns', of: 'crun', limit: 0.4 },
  { scenario: 'exec', quantity: 'ns', of: 'crun', limit: 0.35 },
  { scenario: 'state', quantity: 'ns', of: 'crun', limit: 0.3 },
  { scenario: 'run', quantity: 'rss_kib', limit: 2048 },
  { scenario: 'created', quantity: 'pss_kib', limit: 200 },
  { scenario: 'node-50MB', quantity: 'ns', of: 'floor', limit: 1.8 },
  { scenario: 'node-500MB', quantity: 'ns', of: 'floor', limit: 1.8 },
];

/** Returns one number per round; none if the scenario lacks the contender or the quantity. */
function valuesOf(
  results: Results,
  scenario: string,
  contender: string,
  quantity: Quantity,
): number[] {
  const result = results.scenarios[scenario]?.contenders[contender];
  if (result === undefined) return [];
  if (quantity !== 'ns') return result[quantity];
  return result.ns.map((parts) => parts.reduce((sum, part) => sum + part, 0));
}

function medianOf(
  results: Results,
  scenario: string,
  contender: string,
  quantity: Quantity,
): number | undefined {
  const values = valuesOf(results, scenario, contender, quantity);
  return values.length === 0 ? undefined : median(values);
}

const milliseconds = (ns: number) => (ns / 1e6).toFixed(2);

function ratio(value: number, base: number | undefined): string {
  return base === undefined ? '-' : (value / base).toFixed(2);
}

function timeRows(results: Results, scenario: string): string[][] {
  const crun = medianOf(results, scenario, 'crun', 'ns');
  const floor = medianOf(results, scenario, 'floor', 'ns');
  return Object.keys(results.scenarios[scenario]?.contenders ?? {}).flatMap((contender) => {
    const values = valuesOf(results, scenario, contender, 'ns');
    if (values.length === 0) return [];
    const half = median(values);
    const tail = quantile(values, 0.95);
    const best = Math.min(...values);
    const memory = valuesOf(results, scenario, contender, 'rss_kib');
    return [
      [
        `${scenario}: ${contender}`,
        milliseconds(half),
        milliseconds(tail),
        milliseconds(best),
        ratio(half, crun),
        ratio(half, floor),
        memory.length === 0 ? '-' : Math.max(...memory).toFixed(0),
      ],
    ];
  });
}

function targetRow(results: Results, { scenario, quantity, of, limit }: Target): string[] {
  const ours = medianOf(results, scenario, 'tare', quantity);
  const base = of === undefined ? 1 : medianOf(results, scenario, of, quantity);
  const label = { ns: 'time', rss_kib: 'peak RSS, KiB', pss_kib: 'PSS, KiB' }[quantity];
  const title = `${scenario}: ${label}${of === undefined ? '' : `, of ${of}'s`}`;
  const digits = of === undefined ? 0 : 2;
  if (ours === undefined || base === undefined) {
    return [title, '-', limit.toFixed(digits), 'not measured'];
  }
  const reached = ours / base;
  return [
    title,
    reached.toFixed(digits),
    limit.toFixed(digits),
    reached <= limit ? 'pass' : 'MISS',
  ];
}

function printMemory(results: Results): void {
  const created = Object.keys(results.scenarios.created?.contenders ?? {});
  if (created.length === 0) return;
  const rows = created.map((contender) => [
    contender,
    String(medianOf(results, 'created', contender, 'pss_kib') ?? '-'),
  ]);
  console.log(`\n${formatTable([['between create and start', 'PSS, KiB'], ...rows])}`);
}

/** The lead over crun must be at least as large with twenty additional bind mounts as without. */
function leadRow(results: Results): string[] {
  const lead = (scenario: string): number | undefined => {
    const ours = medianOf(results, scenario, 'tare', 'ns');
    const theirs = medianOf(results, scenario, 'crun', 'ns');
    return ours === undefined || theirs === undefined ? undefined : theirs - ours;
  };
  const title = 'run-20-binds: lead over crun, ms, at least that of run';
  const [plain, binds] = [lead('run'), lead('run-20-binds')];
  if (plain === undefined || binds === undefined) return [title, '-', '-', 'not measured'];
  return [title, milliseconds(binds), milliseconds(plain), binds >= plain ? 'pass' : 'MISS'];
}

/** Prints medians, ratios and targets. */
export function printReport(results: Results): void {
  console.log(`Linux ${results.kernel}, ${results.cpu}, Node ${results.node}`);
  for (const [name, version] of Object.entries(results.contenders)) {
    console.log(`${name}: ${version}`);
  }
  const head = ['ms', 'median', 'p95', 'best', '/crun', '/floor', 'peak RSS, KiB'];
  const rows = Object.keys(results.scenarios).flatMap((name) => timeRows(results, name));
  if (rows.length > 0) console.log(`\n${formatTable([head, ...rows])}`);
  printMemory(results);
  const targetRows = [...targets.map((target) => targetRow(results, target)), leadRow(results)];
  console.log(`\n${formatTable([['target (medians)', 'tare', 'at most', ''], ...targetRows])}`);
}

/**
 * npm run test:engines [-- OPTION...]: runs container engines with tare as their runtime, and with
 * the runtimes that Debian packages for them, with either cgroup driver; prints one line for each
 * case. A case that succeeds with another runtime and not with tare is a failure; a case that
 * succeeds with none is reported, and is no failure.
 *
 *   --engine NAME      only this one; may be given more than once, as may those below
 *   --case NAME        only cases with that in their name
 *   --runtime NAME     tare, crun or runc
 *   --cgroup-driver D  cgroupfs or systemd, which is then the guest's init
 *   --release NAME     Debian release that has the engines, such as sid
 *   --verbose          also prints the failures of the other runtimes
 */
import { parseArgs } from 'node:util';
import { Unavailable } from '../machine/vm.js';
import { cgroupDrivers, type Outcome } from './case.js';
import { engines } from './engines.js';
import { defaultRelease } from './root.js';
import { runCases, runtimeOf } from './run.js';

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true },
    case: { type: 'string', multiple: true },
    runtime: { type: 'string', multiple: true },
    'cgroup-driver': { type: 'string', multiple: true },
    release: { type: 'string', default: defaultRelease },
    verbose: { type: 'boolean', default: false },
  },
});

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function told({ engine, name, runtime, driver, failure, skip, seconds }: Outcome): void {
  const verdict = skip !== undefined ? `skipped, ${skip}` : failure === undefined ? 'ok' : 'not ok';
  print(`${engine}: ${name}: ${verdict} (${runtime}, ${driver}, ${seconds.toFixed(1)} s)`);
  if (failure !== undefined && (runtime === 'tare' || options.verbose))
    print(failure.replace(/^/gm, '    '));
}

const counts = { passed: 0, failed: 0, skipped: 0 };

function count(outcomes: Outcome[]): void {
  const key = ({ engine, driver, name }: Outcome) => [engine, driver, name].join('/');
  const peersOf = (outcome: Outcome) =>
    outcomes.filter((other) => other.runtime !== 'tare' && key(other) === key(outcome));
  for (const outcome of outcomes.filter(({ runtime }) => runtime === 'tare')) {
    const peers = peersOf(outcome);
    if (outcome.skip !== undefined) counts.skipped++;
    else if (outcome.failure === undefined) counts.passed++;
    else if (peers.length > 0 && peers.every(({ failure }) => failure !== undefined)) {
      print(`${outcome.engine}: ${outcome.name}: not with any runtime`);
      counts.skipped++;
    } else counts.failed++;
  }
}

const outcomes: Outcome[] = [];
const tested = engines.filter(({ name }) => options.engine?.includes(name) ?? true);
try {
  const runs = tested.flatMap((engine) =>
    ['tare', ...engine.peers].flatMap((name) =>
      cgroupDrivers.map((driver) => ({ engine, name, driver })),
    ),
  );
  for (const { engine, name, driver } of runs) {
    if (options.runtime?.includes(name) === false) continue;
    if (options['cgroup-driver']?.includes(driver) === false) continue;
    const version = await runCases(engine, runtimeOf(name, driver), {
      release: options.release,
      wanted: (name) => options.case?.some((part) => name.includes(part)) ?? true,
      told(outcome) {
        outcomes.push(outcome);
        told(outcome);
      },
    });
    print(`${engine.name}: with ${name}, ${driver}: ${version}`);
  }
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  process.stderr.write(`engines: ${error.message}\n`);
  counts.failed++;
}
if (outcomes.length === 0 && counts.failed === 0) {
  process.stderr.write('engines: the options leave nothing to be tried\n');
  counts.failed++;
}
count(outcomes);
print(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed > 0 ? 1 : 0;

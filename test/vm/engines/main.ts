/**
 * npm run test:engines [-- OPTION...]: container engines with tare as their runtime, and with the runtimes that Debian
 * packages for them: a line a case. What goes well with one of those and not with tare is a failure; what goes well
 * with none is told, and is none.
 *
 *   --engine NAME      only this one; may be given more than once, as may those below
 *   --case NAME        only cases with that in their name
 *   --runtime NAME     tare, crun or runc
 *   --release NAME     Debian's from which the engines are, such as sid
 *   --verbose          also tells what went wrong with the others
 */
import { parseArgs } from 'node:util';
import { Unavailable } from '../vm.js';
import type { Outcome } from './case.js';
import { engines } from './engines.js';
import { defaultRelease } from './root.js';
import { runCases, runtimeOf } from './run.js';

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true },
    case: { type: 'string', multiple: true },
    runtime: { type: 'string', multiple: true },
    release: { type: 'string', default: defaultRelease },
    verbose: { type: 'boolean', default: false },
  },
});

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function told({ engine, name, runtime, failure, skip, seconds }: Outcome): void {
  const verdict = skip !== undefined ? `skipped, ${skip}` : failure === undefined ? 'ok' : 'not ok';
  print(`${engine}: ${name}: ${verdict} (${runtime}, ${seconds.toFixed(1)} s)`);
  if (failure !== undefined && (runtime === 'tare' || options.verbose))
    print(failure.replace(/^/gm, '    '));
}

const counts = { passed: 0, failed: 0, skipped: 0 };

function count(outcomes: Outcome[]): void {
  const peersOf = ({ engine, name }: Outcome) =>
    outcomes.filter(
      (other) => other.runtime !== 'tare' && other.engine === engine && other.name === name,
    );
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
  for (const engine of tested) {
    for (const name of ['tare', ...engine.peers]) {
      if (options.runtime && !options.runtime.includes(name)) continue;
      const version = await runCases(engine, runtimeOf(name), {
        release: options.release,
        wanted: (name) => options.case?.some((part) => name.includes(part)) ?? true,
        told(outcome) {
          outcomes.push(outcome);
          told(outcome);
        },
      });
      print(`${engine.name}: with ${name}: ${version}`);
    }
  }
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  process.stderr.write(`engines: ${error.message}\n`);
  counts.failed++;
}
count(outcomes);
print(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed > 0 ? 1 : 0;

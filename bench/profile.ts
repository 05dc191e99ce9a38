/**
 * npm run profile [-- OPTION...]: runs the library under clinic.js, whose pages show where its time
 * goes. See bench/README.md.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { makeBundle } from './bundle.js';
import { printFlame } from './flame.js';
import type { Work } from './library-process.js';
import { installedPackage } from './npm-package.js';
import { positive } from './options.js';
import { prepareWork, work } from './work-directory.js';
import { cgroupPrefix, runInPrivateView } from './private-view.js';

/**
 * Max number of commands that each tool can watch. bubbleprof cannot join several files of trace
 * events, and Node starts a new one after 2^19 events; a command has about 1,400.
 */
const tools: Record<string, number> = { doctor: 3000, flame: 3000, bubbleprof: 300 };
const kinds = ['run', 'host', 'container'];

const usage = `usage: npm run profile [-- OPTION...]
  --tool NAME     doctor, flame or bubbleprof; may be given several times (all of them)
  --kind KIND     run: run() with rootfs, host: run() without, container: Container (run)
  --in-flight N   commands at a time (8)
  --count N       commands in all (${Object.entries(tools)
    .map(([tool, count]) => `${tool}: ${count}`)
    .join(', ')})`;

const repository = fileURLToPath(new URL('..', import.meta.url));
const directory = join(repository, 'build/profile');

/**
 * Compiles the measured program to JavaScript; it uses the library as it is shipped. A TypeScript
 * loader has a thread of its own, and Node 20's trace events, which bubbleprof reads, crash with
 * two.
 */
async function compileProgram(): Promise<string> {
  const outfile = join(directory, 'library-process.mjs');
  await build({
    entryPoints: [join(repository, 'bench/library-process.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    plugins: [
      {
        name: 'the package by its name',
        setup(building) {
          building.onResolve({ filter: /lib\/index\.js$/ }, () => ({
            path: 'tare',
            external: true,
          }));
        },
      },
    ],
  });
  return outfile;
}

async function watch(tool: string, program: string, kind: string, given: Work): Promise<void> {
  const clinic = join(installedPackage('clinic'), 'node_modules/.bin/clinic');
  const args = [tool, '--open=false', `--dest=${directory}`, `--name=${kind}`];
  const child = spawn(clinic, [...args, '--', 'node', program, kind, JSON.stringify(given)], {
    cwd: directory,
    stdio: ['ignore', 'inherit', 'inherit'],
    // Disables clinic's usage reporting.
    env: { ...process.env, NO_INSIGHT: '1' },
  });
  const [status] = (await once(child, 'exit')) as [number | null];
  if (status !== 0) throw new Error(`clinic ${tool} exited with ${status}`);
}

export async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      tool: { type: 'string', multiple: true, default: Object.keys(tools) },
      kind: { type: 'string', default: 'run' },
      'in-flight': { type: 'string', default: '8' },
      count: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const { kind } = values;
  const inFlight = positive('in-flight', values['in-flight'], usage);
  for (const tool of values.tool) {
    if (!(tool in tools)) throw new Error(`--tool ${tool}: there is no such tool\n${usage}`);
  }
  if (!kinds.includes(kind)) throw new Error(`--kind ${kind}: there is no such kind\n${usage}`);
  const status = await runInPrivateView();
  if (status !== undefined) return status;

  prepareWork([]);
  const bundle = makeBundle(join(work, 'true'), ['true']);
  mkdirSync(directory, { recursive: true });
  const program = await compileProgram();
  for (const tool of values.tool) {
    const count = values.count ? positive('count', values.count, usage) : tools[tool]!;
    const data = join(directory, `${kind}.clinic-${tool}`);
    rmSync(data, { recursive: true, force: true });
    console.log(`\n${tool}: ${count} commands, ${inFlight} at a time`);
    const root = join(work, 'state/node');
    await watch(tool, program, kind, { root, bundle, id: cgroupPrefix(), inFlight, count });
    if (tool === 'flame') {
      printFlame(readFileSync(join(data, `${kind}.clinic-flame-samples`), 'utf8'));
    }
    console.log(`build/profile/${kind}.clinic-${tool}.html`);
  }
  return 0;
}

process.exitCode = await main(process.argv.slice(2));

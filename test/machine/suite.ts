/**
 * A suite is a tap program in a file named *.guest.ts. Each is bundled into one file: an emulated
 * guest takes ten seconds to load tap and a transpiler file by file.
 */
import { build } from 'esbuild';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { bundleOptions, repository } from '../support/bundle.js';

export interface Suite {
  /** Path relative to the repository. */
  source: string;
  /** The program that node runs in the guest. */
  program: string;
}

export function findSuites(): string[] {
  return readdirSync(join(repository, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.guest.ts'))
    .map((name) => join('test', name))
    .sort();
}

/** Bundles a suite. `directory` is mounted at build/ in the guest. */
export async function bundleSuite(source: string, directory = 'build'): Promise<Suite> {
  const file = join('guest', `${source.replaceAll('/', '-')}.mjs`);
  const program = join(repository, 'build', file);
  await build({
    // Native addons are found relative to their module; esbuild is not used in guests.
    ...bundleOptions(['node-gyp-build', 'esbuild']),
    entryPoints: [source],
    outfile: join(repository, directory, file),
  });
  return { source, program };
}

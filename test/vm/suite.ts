/**
 * A suite is a tap program in a file named *.guest.ts. Reading tap and a transpiler file by file
 * takes an emulated guest ten seconds, so each suite is bundled into one file first.
 */
import { build, type Plugin } from 'esbuild';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repository } from './vm.js';

export interface Suite {
  /** Relative to the repository. */
  source: string;
  /** What node runs, in the guest. */
  program: string;
}

/** Keeps the place that a module of the project is at what it is in the source. */
const sourcePlaces: Plugin = {
  name: 'source-places',
  setup(bundle) {
    bundle.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (path.includes('/node_modules/')) return undefined;
      const contents = readFileSync(path, 'utf8')
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href));
      return { contents, loader: 'ts' };
    });
  },
};

export function findSuites(): string[] {
  return readdirSync(join(repository, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.guest.ts'))
    .map((name) => join('test', name))
    .sort();
}

/** `directory` is what a guest has at build/. */
export async function bundleSuite(source: string, directory = 'build'): Promise<Suite> {
  const file = join('guest', `${source.replaceAll('/', '-')}.mjs`);
  const program = join(repository, 'build', file);
  await build({
    absWorkingDir: repository,
    entryPoints: [source],
    outfile: join(repository, directory, file),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Native addons are found by their place; esbuild is not for guests.
    external: ['node-gyp-build', 'esbuild'],
    banner: {
      js:
        'import { createRequire as requireFrom } from "node:module";' +
        'const require = requireFrom(import.meta.url);',
    },
    plugins: [sourcePlaces],
    logLevel: 'warning',
  });
  return { source, program };
}

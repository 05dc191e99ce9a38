/**
 * A suite is a tap program in a file named *.guest.ts. An emulated guest takes ten seconds to load
 * tap and a transpiler file by file, so each suite is bundled into one file first.
 */
import { build, type Plugin } from 'esbuild';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repository } from './vm.js';

export interface Suite {
  /** Path relative to the repository. */
  source: string;
  /** The program that node runs in the guest. */
  program: string;
}

/** Keeps the path that a module of the project sees as its own that of its source. */
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

/** Bundles a suite. `directory` is mounted at build/ in the guest. */
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
    // Native addons are found relative to their module; esbuild is not used in guests.
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

/**
 * Bundles test files into plain JavaScript, with tap: loading tap and a transpiler module by module
 * takes two seconds of processor time for each file, and ten in an emulated guest.
 */
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const repository = join(import.meta.dirname, '../..');

/** Keeps the path that a module of the project sees as its own that of its source. */
const sourcePaths: Plugin = {
  name: 'source-paths',
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

/** What all bundles have in common; `external` are packages that stay outside. */
export function bundleOptions(external: string[]): BuildOptions {
  return {
    absWorkingDir: repository,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external,
    banner: {
      js:
        'import { createRequire as requireFrom } from "node:module";' +
        'const require = requireFrom(import.meta.url);',
    },
    plugins: [sourcePaths],
    logLevel: 'warning',
  };
}

/**
 * Bundles test files into `directory`, and returns the program of each. What several files import
 * is in one module that they share.
 */
export async function bundleFiles(
  files: readonly string[],
  directory: string,
): Promise<Map<string, string>> {
  const { devDependencies } = JSON.parse(
    readFileSync(join(repository, 'package.json'), 'utf8'),
  ) as { devDependencies: Record<string, string> };
  const packages = Object.keys(devDependencies).filter((name) => name !== 'tap');
  const entries = files.map((file, index) => ({ in: file, out: String(index) }));
  await build({
    ...bundleOptions(['node-gyp-build', ...packages]),
    entryPoints: entries,
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    splitting: true,
    sourcemap: 'linked',
  });
  return new Map(files.map((file, index) => [file, join(directory, `${index}.mjs`)]));
}

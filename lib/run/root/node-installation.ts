/** Finds the parts of this Node installation that other programs need to run Node. */
import { lstat, readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { execPath } from 'node:process';

/** Path of the installation in a container; its directories `bin` and `lib` are below it. */
const shownPrefix = '/opt/node';

/** An installation of Node, as a container shows it. */
export interface NodeInstallation {
  /** Files on the host, and their paths in the container. */
  shown: { source: string; path: string; isDirectory: boolean }[];
  /** Symlinks in the container. */
  links: { path: string; link: string }[];
  /** Directories to search for programs. */
  programs: string[];
}

const nothing: NodeInstallation = { shown: [], links: [], programs: [] };

/**
 * Returns the executable, its own libraries and, if npm or corepack is installed with it, the
 * modules beside it. The installation's directory as a whole is never shown: it may be a home or an
 * application's.
 *
 * @param isShown whether a container has that path anyway
 */
export async function nodeInstallation(
  isShown: (path: string) => boolean,
): Promise<NodeInstallation> {
  const executable = await realpath(execPath).catch(() => undefined);
  // A program with an embedded Node is not a Node executable.
  if (executable === undefined || isShown(executable) || !/^node/.test(basename(executable))) {
    return nothing;
  }
  const bin = dirname(executable);
  const prefix = basename(bin) === 'bin' ? dirname(bin) : undefined;
  const shown = [{ source: executable, path: `${shownPrefix}/bin/node`, isDirectory: false }];
  for (const library of await librariesIn(bin, prefix)) {
    if (isShown(library)) continue;
    const path = join(shownPrefix, dirname(library) === bin ? 'bin' : 'lib', basename(library));
    shown.push({ source: library, path, isDirectory: false });
  }
  const links: NodeInstallation['links'] = [];
  const modules = prefix && join(prefix, 'lib/node_modules');
  if (modules && (await hasPackageManager(modules))) {
    shown.push({ source: modules, path: `${shownPrefix}/lib/node_modules`, isDirectory: true });
    links.push(...(await linksInto(modules, bin)));
  }
  return { shown, links, programs: [`${shownPrefix}/bin`] };
}

/**
 * Returns the libraries that this process has loaded from beside the executable, such as
 * libnode.so.
 */
async function librariesIn(bin: string, prefix: string | undefined): Promise<string[]> {
  const directories = prefix === undefined ? [bin] : [bin, join(prefix, 'lib')];
  const maps = await readFile('/proc/self/maps', 'utf8').catch(() => '');
  const files = maps.split('\n').flatMap((line) => /\/.*\.so(?:\.[\d.]+)?$/.exec(line) ?? []);
  return [...new Set(files)].filter((file) => directories.includes(dirname(file)));
}

async function hasPackageManager(modules: string): Promise<boolean> {
  const isDirectory = async (path: string): Promise<boolean> =>
    lstat(path).then(
      (status) => status.isDirectory(),
      () => false,
    );
  return (
    (await isDirectory(modules)) &&
    ((await isDirectory(join(modules, 'npm'))) || (await isDirectory(join(modules, 'corepack'))))
  );
}

/** Returns the links in `bin` that lead into `modules`: npm, npx and others. */
async function linksInto(modules: string, bin: string): Promise<{ path: string; link: string }[]> {
  const entries = await readdir(bin, { withFileTypes: true }).catch(() => []);
  const links = entries
    .filter((entry) => entry.isSymbolicLink())
    .map(async ({ name }) => {
      const target = relative(modules, resolve(bin, await readlink(join(bin, name))));
      return target === '' || target.startsWith('..')
        ? []
        : [{ path: `${shownPrefix}/bin/${name}`, link: `../lib/node_modules/${target}` }];
    });
  return (await Promise.all(links)).flat();
}

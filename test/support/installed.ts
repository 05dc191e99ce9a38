/** The npm package, packed from this tree, and projects that have it installed. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { findExecutable } from '../machine/qemu.js';
import { temporaryDirectory } from './directory.js';

export const repository = join(import.meta.dirname, '../..');

/** Returns a temporary directory that the teardown removes. */
export function temporary(t: Test): string {
  const directory = temporaryDirectory(t, 'package');
  return directory;
}

/** Whether this machine can build prebuilds for an architecture. */
export function isBuildable(architecture: 'x64' | 'arm64'): boolean {
  if (architecture === process.arch) return true;
  const compiler = { x64: 'x86_64-linux-gnu-g++', arm64: 'aarch64-linux-gnu-g++' }[architecture];
  return findExecutable(compiler) !== undefined;
}

export interface Packed {
  /** The directory that was packed. */
  source: string;
  /** The archive. */
  file: string;
  /** Size of the archive in bytes. */
  size: number;
  unpackedSize: number;
  files: { path: string }[];
}

/** Runs `npm pack` with the prebuilds of these architectures. */
export function pack(directory: string, architectures: readonly string[]): Packed {
  const source = join(directory, 'source');
  mkdirSync(source);
  for (const name of ['package.json', 'README.md', 'LICENSE', 'dist', 'docs', 'lib']) {
    cpSync(join(repository, name), join(source, name), { recursive: true });
  }
  execFileSync('sh', [join(repository, 'scripts/prebuild'), source, ...architectures]);
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], {
      cwd: source,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  ) as [Omit<Packed, 'source' | 'file'> & { filename: string }];
  return { ...packed, source, file: join(directory, packed.filename) };
}

/** Makes a project that has the package installed; `flags` are npm's. */
export function install(packed: Packed, project: string, ...flags: string[]): void {
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{"private":true}');
  execFileSync(
    'npm',
    [
      'install',
      ...['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', ...flags],
      packed.file,
    ],
    { cwd: project, stdio: ['ignore', 'ignore', 'inherit'] },
  );
}

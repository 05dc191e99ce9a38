/**
 * Installs the npm packages of bench/packages when a benchmark needs them: they are large, one is
 * compiled at installation, and nothing else here needs them. Each has a lock file, so that every
 * run has the same versions.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';

const packages = fileURLToPath(new URL('packages', import.meta.url));

/** Returns the version of the package `name` that its lock file has. */
export function lockedVersion(name: string): string {
  const lock = JSON.parse(readFileSync(join(packages, name, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string }>;
  };
  return lock.packages[`node_modules/${name}`]!.version;
}

/**
 * Returns the directory that holds the package `name` and its dependencies, as its lock file has
 * them; it is kept for the next run.
 */
export function installedPackage(name: string): string {
  const files = ['package.json', 'package-lock.json'];
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(packages, name, file)));
  const cache = env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const version = `${hash.digest('hex').slice(0, 12)}-${process.versions.modules}`;
  const directory = join(cache, 'tare', `${name}-${version}`);
  if (existsSync(join(directory, 'node_modules/.package-lock.json'))) return directory;
  process.stderr.write(`installing ${name} ${lockedVersion(name)} ...\n`);
  mkdirSync(directory, { recursive: true });
  for (const file of files) copyFileSync(join(packages, name, file), join(directory, file));
  const { status, stderr } = spawnSync(
    'npm',
    ['ci', '--prefix', directory, '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] },
  );
  if (status !== 0) throw new Error(`npm could not install ${name}: ${stderr.trim()}`);
  return directory;
}

/** Returns `require(name)` from a directory of {@link installedPackage}. */
export function requireFrom(directory: string, name: string): unknown {
  return createRequire(join(directory, 'package.json'))(name);
}

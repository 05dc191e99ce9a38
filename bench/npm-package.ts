/**
 * Installs npm packages that a benchmark compares with when it is run: they are large, some are
 * compiled at installation, and nothing else here needs them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';

/**
 * Returns the directory that holds `name@version` and its dependencies; it is kept for the next
 * run.
 */
export function installedPackage(name: string, version: string): string {
  const cache = env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const directory = join(cache, 'tare', `${name}-${version}-${process.versions.modules}`);
  if (existsSync(join(directory, 'node_modules/.package-lock.json'))) return directory;
  process.stderr.write(`installing ${name}@${version} ...\n`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"private":true}');
  const { status, stderr } = spawnSync(
    'npm',
    ['install', '--prefix', directory, '--no-audit', '--no-fund', `${name}@${version}`],
    { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] },
  );
  if (status !== 0) throw new Error(`npm could not install ${name}@${version}: ${stderr.trim()}`);
  return directory;
}

/** Returns `require(name)` from a directory of {@link installedPackage}. */
export function requireFrom(directory: string, name: string): unknown {
  return createRequire(join(directory, 'package.json'))(name);
}

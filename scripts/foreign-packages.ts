/**
 * foreign-packages ARCHITECTURE PACKAGE...: unpacks Debian packages of another architecture into
 * the cache (debian.ts) and prints their directories as a CMake list.
 */
import { Unavailable, unpackPackage } from './debian.js';

const [architecture, ...packages] = process.argv.slice(2);
try {
  const directories: string[] = [];
  for (const name of packages) directories.push(await unpackPackage(name, { architecture }));
  process.stdout.write(`${directories.join(';')}\n`);
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  process.stderr.write(`foreign-packages: ${error.message}\n`);
  process.exitCode = 1;
}

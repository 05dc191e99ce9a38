/**
 * The library creates and changes no file of the host for a container: the core does so, by
 * descriptor, below the container's root. The installer of the command line is exempt.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const lib = fileURLToPath(new URL('../../lib', import.meta.url));
const reads = new Set([
  ...[
    'access',
    'constants',
    'existsSync',
    'fstatSync',
    'lstat',
    'opendirSync',
    'readFile',
    'readdir',
    'readlink',
  ],
  ...['realpath', 'stat'],
]);
const exceptions = new Map([
  // Files to which the caller redirects a command's output.
  ['run/targets.ts', ['createWriteStream', 'open', 'type FileHandle', 'write', 'writev']],
]);
const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter(
  (name) => /\.c?ts$/.test(name) && !name.startsWith('install'),
);
t.ok(files.includes('run/root/host-root.ts') && files.includes('run/run.ts'));

for (const name of files) {
  const text = readFileSync(join(lib, name), 'utf8');
  const imported = [
    ...text.matchAll(/import\s*(?:type\s*)?\{([^}]*)\}\s*from '(?:node:)?fs(?:\/promises)?'/g),
  ].flatMap(([, names = '']) => names.split(',').map((one) => one.trim().replace(/ as .*/, '')));
  const may = new Set([...reads, ...(exceptions.get(name) ?? [])]);
  const writes = imported.filter((one) => one !== '' && !may.has(one));
  if (imported.length > 0) t.strictSame(writes, [], name);
  t.notMatch(
    text,
    /(?:import \* as \w+|import \w+) from '(?:node:)?fs|require\('(?:node:)?fs/,
    name,
  );
}

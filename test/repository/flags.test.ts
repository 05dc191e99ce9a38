/** Every flag of the command line is in the table of a command, and a command reads it. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const directory = fileURLToPath(new URL('../../addon/cli', import.meta.url));
const read = (name: string): string => readFileSync(join(directory, name), 'utf8');
const table = read('verbs.cc');
const commands = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.cc') && name !== 'verbs.cc')
  .map(read)
  .join('\n');
const flags = [...read('verbs.h').matchAll(/^inline constexpr Flag (\w+)/gm)].map(
  ([, name]) => name!,
);

t.ok(flags.length > 50, `${flags.length} flags`);
for (const name of flags) {
  const used = new RegExp(`\\bflag::${name}\\b`);
  t.match(table, used, `${name}: verbs.cc has it among the flags of a command`);
  t.match(commands, used, `${name}: a command reads it and does not ignore it`);
}

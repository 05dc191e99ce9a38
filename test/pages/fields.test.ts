/**
 * docs/fields.md has a row for each field that the parser reads, and no other; each row names
 * existing tests that mention the field. The parser's fields come from its tables (`constexpr
 * Field<Type> …_fields[]`), and their nesting from the structs that these fill.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

function readAll(directory: string, pattern: RegExp): string {
  return readdirSync(join(root, directory))
    .filter((name) => pattern.test(name))
    .map((name) => readFileSync(join(root, directory, name), 'utf8'))
    .join('\n');
}

const headers = readAll('include/tare', /^spec\.h$/) + readAll('include/tare/spec', /\.h$/);
const sources = readAll('addon/core/spec', /\.(cc|h)$/);

interface Key {
  readonly name: string;
  readonly reader: string;
}

/** The struct and the keys that each table reads, by the table's name. */
const tables = new Map<string, { type: string; keys: Key[] }>();
for (const [, type, table, body] of sources.matchAll(
  /Field<(\w+)> (\w+)_fields\[\] = \{([\s\S]*?)\n\};/g,
)) {
  const keys = [...(body ?? '').matchAll(/\{"(\w+)",\s*([\s\S]*?)\}/g)].map(
    ([, name = '', reader = '']) => ({ name, reader }),
  );
  tables.set(table ?? '', { type: type ?? '', keys });
}

/**
 * The type of each member, by struct and member, without std::optional and std::vector around it.
 */
const members = new Map<string, string>();
for (const [, struct, body] of headers.matchAll(/^struct (\w+) \{\n([\s\S]*?)^\};/gm)) {
  for (const [, type = '', member] of (body ?? '').matchAll(
    /^ {2}([\w:<>, ]+?) (\w+)(?: = .*)?;/gm,
  ))
    members.set(
      `${struct ?? ''}::${member ?? ''}`,
      type.replace(/^(?:std::(?:optional|vector)<)+|>+$/g, ''),
    );
}

function snakeCase(name: string): string {
  return name
    .replace(/([a-z])([A-Z]+)/g, (_, before: string, after: string) => `${before}_${after}`)
    .toLowerCase();
}

/**
 * Returns the table for a key's members: if several fill one struct, the one named after the key.
 */
function tableBelow(owner: string, key: Key): string | undefined {
  const read = /<&(\w+::\w+)>/.exec(key.reader)?.[1];
  const type = members.get(read ?? `${owner}::${snakeCase(key.name)}`);
  const names = [...tables].filter(([, table]) => table.type === type).map(([name]) => name);
  if (names.includes(snakeCase(key.name))) return snakeCase(key.name);
  if (names.length > 0) return names[0];
  // A part that has no struct of its own.
  return read === undefined && tables.get(key.name)?.type === owner ? key.name : undefined;
}

const parsed = new Map<string, string>();
function walk(table: string, prefix: string): void {
  const { type, keys } = tables.get(table) ?? { type: '', keys: [] };
  for (const key of keys) {
    const path = prefix + key.name;
    const below = tableBelow(type, key);
    if (below === undefined) parsed.set(path, key.reader);
    else walk(below, `${path}.`);
  }
}
walk('spec', '');
const annotations = readAll('addon/core/spec', /^annotations\.cc$/);
for (const [, name = '', reader = ''] of annotations.matchAll(/^ {4}\{"([\w.-]+)", (\w+)\}/gm))
  parsed.set(`run.oci.${name}`, reader);

interface Row {
  readonly path: string;
  readonly tests: string[];
  readonly since: string;
}

function readRows(): Row[] {
  const text = readFileSync(join(root, 'docs/fields.md'), 'utf8');
  return [...text.matchAll(/^\| `([^`]+)` \|([^|]*)\|([^|]*)\|$/gm)].map(
    ([, path = '', tests = '', since = '']) => ({
      path,
      tests: [...tests.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
      since: since.trim(),
    }),
  );
}

/** Fields of one shape (hooks, mappings) may share rows: `hooks.*.path`. */
function covers(row: string, path: string): boolean {
  const pattern = row.split('.').map((part) => (part === '*' ? '\\w+' : part));
  const expression = new RegExp(`^${pattern.join('\\.')}$`);
  return expression.test(path) || row.startsWith(`${path}.`);
}

const rows = readRows();

t.test('the tables were found', (t) => {
  t.ok(parsed.size > 100, `${String(parsed.size)} fields`);
  for (const path of [
    'process.user.uid',
    'linux.resources.memory.limit',
    'hooks.poststop.path',
    'run.oci.handler',
  ])
    t.ok(parsed.has(path), path);
  t.end();
});

t.test('every field that the parser reads has a row', (t) => {
  for (const path of parsed.keys()) {
    t.ok(
      rows.some((row) => covers(row.path, path)),
      path,
    );
  }
  t.end();
});

t.test('every row is of a field that the parser reads', (t) => {
  for (const { path } of rows)
    t.ok(
      [...parsed.keys()].some((name) => covers(path, name)),
      path,
    );
  t.equal(new Set(rows.map(({ path }) => path)).size, rows.length, 'no field twice');
  t.end();
});

/** Fields that a fixture of test/support sets: a test that uses it need not name them. */
const setByFixture: Record<string, string> = {
  'linux.uidMappings.*': 'inNewUserNamespace',
  'linux.gidMappings.*': 'inNewUserNamespace',
};

t.test('every row names tests that speak of the field, and a kernel', (t) => {
  for (const { path, tests, since } of rows) {
    const name = path.replace(/\.\*$/, '').split('.').at(-1) ?? '';
    const names = [name, setByFixture[path] ?? name];
    t.match(since, /^(any|refused|ignored|\d+\.\d+)$/, `${path}: since`);
    t.ok(tests.length > 0, `${path}: has tests`);
    for (const file of tests) {
      if (!t.ok(existsSync(join(root, file)), `${path}: ${file} exists`)) continue;
      const text = readFileSync(join(root, file), 'utf8');
      t.ok(
        names.some((one) => text.includes(one)),
        `${path}: ${file} has "${name}"`,
      );
    }
  }
  t.end();
});

t.test('every member of Linux has a use beyond the checks of the configuration', (t) => {
  const used = readdirSync(join(root, 'addon/core'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /(?<!_test)\.cc$/.test(name) && !/^(spec|validate)\//.test(name))
    .map((name) => readFileSync(join(root, 'addon/core', name), 'utf8'))
    .join('\n');
  const own = [...members.keys()].filter((member) => member.startsWith('Linux::'));
  t.ok(own.length > 10, 'the struct was found');
  for (const member of own) t.ok(used.includes(`.${member.slice('Linux::'.length)}`), member);
  t.end();
});

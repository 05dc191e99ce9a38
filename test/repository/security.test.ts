/**
 * docs/security.md and the tests in test/security agree: each flaw has the tests that the page
 * names, and no other flaw has tests. Each test says how it was seen to fail, or why it never can.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** The names of the flaws, each with the files that the page names. */
const rows = new Map<string, string[]>();
for (const [, name = '', files = ''] of read('docs/security.md').matchAll(
  /^\| (\w[^|]*?) \|[^|]*\|[^|]*\|([^|]*)\|$/gm,
)) {
  if (name === 'flaw') continue;
  if (rows.has(name)) throw new Error(`docs/security.md: ${name} has two rows`);
  rows.set(
    name,
    [...files.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file),
  );
}

interface Told {
  file: string;
  name: string;
  /** The text above the test, back to the previous test. */
  above: string;
}

const directory = 'test/security';
const tests: Told[] = readdirSync(join(root, directory), {
  recursive: true,
  encoding: 'utf8',
})
  .filter((name) => /\.(test|guest)\.ts$/.test(name))
  .flatMap((name) => {
    const file = `${directory}/${name}`;
    const text = read(file);
    let end = 0;
    return [...text.matchAll(/['"](CVE-\d+-\d+|crun [\d.]+): /g)].map((found) => {
      const above = text.slice(end, found.index);
      end = found.index;
      return { file, name: found[1]!, above };
    });
  });

t.test('the page and the tests were found', (t) => {
  t.ok(rows.size > 25, `${rows.size} rows`);
  t.ok(tests.length >= rows.size, `${tests.length} tests`);
  t.end();
});

t.test('each flaw has the tests that the page names', (t) => {
  for (const [name, files] of rows) {
    const having = new Set(tests.filter((test) => test.name === name).map(({ file }) => file));
    t.strictSame([...files].sort(), [...having].sort(), name);
    t.ok(files.length > 0, `${name} has one`);
  }
  t.end();
});

t.test('each test is of a flaw that the page has', (t) => {
  for (const { file, name } of tests) t.ok(rows.has(name), `${file}: ${name}`);
  t.end();
});

t.test('each test tells how tare was weakened to see it fail, or why it never can', (t) => {
  for (const { file, name, above } of tests) {
    t.match(above, /^ *\/\/ (?:Weakened|By design): /m, `${file}: ${name}`);
  }
  t.end();
});

/** The pages that people read name only files that are there. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
/** A path below a directory of the repository, as a whole word in backquotes or the like. */
const path = /(?<![\w./-])(?:addon|bench|cmake|docs|include|lib|scripts|test)\/[\w./-]*\w/g;

for (const page of pages) {
  t.test(page, async (t) => {
    const named = new Set(readFileSync(join(root, page), 'utf8').match(path));
    const missing = [...named].filter((name) => !existsSync(join(root, name)));
    t.strictSame(missing, []);
  });
}
t.ok(pages.includes('SECURITY.md'));

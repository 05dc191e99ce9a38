/** The documentation names only files that exist. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
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

/**
 * On the package's page, npm resolves the links and pictures of README.md in the repository that
 * package.json names: those that are relative, lead to a file, and stay below its top directory.
 */
t.test('the links and pictures of README.md, as npm resolves them', async (t) => {
  const { repository, homepage, bugs } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as { repository: { type: string; url: string }; homepage: string; bugs: { url: string } };
  t.equal(repository.type, 'git');
  const [, address = ''] =
    /^git\+(https:\/\/github\.com\/[\w-]+\/[\w-]+)\.git$/.exec(repository.url) ?? [];
  t.strictSame([homepage, bugs.url], [`${address}#readme`, `${address}/issues`]);
  const committed = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n');
  const text = readFileSync(join(root, 'README.md'), 'utf8').replace(/^(```|~~~)[^]*?^\1/gm, '');
  const links = [...text.matchAll(/(!?)\[[^\]]*\]\(([^)\s]+)[^)]*\)/g)];
  t.ok(links.length > 5, 'there are some');
  t.ok(
    links.some(([, picture]) => picture === '!'),
    'and pictures',
  );
  for (const [, picture, target = ''] of links) {
    if (/^https:\/\//.test(target)) continue;
    const [file = '', anchor] = target.split('#');
    t.ok(file === '' || committed.includes(file), `${target} is a file of the repository`);
    if (picture === '!')
      t.match(file, /\.(svg|png)$/, `${target}: a picture that GitHub serves as such`);
    if (anchor !== undefined) {
      const headings =
        readFileSync(join(root, file || 'README.md'), 'utf8').match(/^#+ .*/gm) ?? [];
      const anchors = headings.map((heading) =>
        heading
          .replace(/^#+ /, '')
          .toLowerCase()
          .replace(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      );
      t.ok(anchors.includes(anchor), `${target}: there is a heading for it`);
    }
  }
  t.notMatch(text, /<(img|a) /, 'no HTML, whose links npm treats otherwise');
});

/**
 * No C++ file has more than 400 lines and no function more than 60, as eslint.config.js says of
 * TypeScript. clang-tidy could measure functions, but would read every system header for it.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const maxFileLines = 400;
const maxFunctionLines = 60;

/** Still to be split. */
const longFunctions: readonly string[] = ['on_memory'];

interface CxxFunction {
  readonly name: string;
  readonly line: number;
  readonly lines: readonly string[];
}

/** Blanks comments, strings and preprocessor lines, so that every brace left is one of the code. */
function codeOf(text: string): string {
  const blank = (part: string): string => part.replace(/[^\n]/g, ' ');
  const literals =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|R"(\w*)\([\s\S]*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'(?!\d)/g;
  return text.replace(literals, blank).replace(/^ *#(?:[^\n]*\\\n)*[^\n]*/gm, blank);
}

/** Whether the text before a brace, at namespace or class scope, is the head of a function. */
function isFunctionHead(head: string): boolean {
  const words = head.trim();
  return /\)/.test(words) && !/^(namespace|extern|enum)\b/.test(words) && !/[=(,]$/.test(words);
}

/** Whether only declarations follow a head's brace. */
const isScopeHead = (head: string): boolean =>
  /^\s*(?:template\s*<[^{]*>\s*)?(?:inline\s+)?(?:namespace|extern|struct|class|union)\b/.test(
    head,
  );

/** Returns the functions that namespaces and classes of `text` define. */
function functionsOf(text: string): CxxFunction[] {
  const code = codeOf(text);
  const lines = code.split('\n');
  const lineAt = (offset: number): number => code.slice(0, offset).split('\n').length;
  const found: CxxFunction[] = [];
  let head = 0;
  let depth = 0;
  let start: { readonly head: number; readonly text: string } | undefined;
  for (let at = 0; at < code.length; at++) {
    if (code[at] === ';' && depth === 0) head = at + 1;
    if (code[at] === '{') {
      const before = code.slice(head, at).replace(/\b(?:public|private|protected):/g, '');
      if (depth === 0 && isScopeHead(before)) {
        head = at + 1;
        continue;
      }
      if (depth++ === 0) start = { head, text: before };
    } else if (code[at] === '}') {
      if (depth > 0 && --depth === 0 && start !== undefined && isFunctionHead(start.text)) {
        const indent = /^(?:\s|(?:public|private|protected):)*/.exec(code.slice(start.head, at));
        const first = lineAt(start.head + (indent?.[0].length ?? 0));
        const name = /([\w:~]+)\s*\(/.exec(start.text)?.[1] ?? '';
        found.push({ name, line: first, lines: lines.slice(first - 1, lineAt(at)) });
      }
      if (depth === 0) head = at + 1;
    }
  }
  return found;
}

/** Whether a function is a table: one switch with a line for each case. */
const isTable = ({ lines }: CxxFunction): boolean =>
  lines.filter((line) => !/^\s*(?:case [\w:]+:|return .*;|)\s*$/.test(line)).length <= 5;

const sources = ['addon', 'include', 'bench', 'test'].flatMap((directory) =>
  readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(cc|h)$/.test(name))
    .map((name) => {
      const file = join(directory, name);
      return { file, text: readFileSync(join(root, file), 'utf8') };
    }),
);

t.test('functions are found with their length', (t) => {
  const body = '  call("{");  // {\n'.repeat(3);
  const text = `namespace a {\nint one(int x,\n        int y) {\n${body}}\n\nclass B {\n public:\n  B() : b_(R"x({)x") {}\n  int two() const {\n${body}  }\n};\nconst int table[] = {f(1)};\n}\n`;
  t.strictSame(
    functionsOf(text).map(({ name, line, lines }) => [name, line, lines.length]),
    [
      ['one', 2, 6],
      ['B', 11, 1],
      ['two', 12, 5],
    ],
  );
  const cases = Array.from({ length: 99 }, (_, i) => `    case A${i}:\n      return "${i}";\n`);
  const [named] = functionsOf(`int name(int a) {\n  switch (a) {\n${cases.join('')}  }\n}\n`);
  t.ok(named !== undefined && isTable(named), 'and a switch with a line for each case is a table');
  t.end();
});

t.test(`no file has more than ${maxFileLines} lines`, (t) => {
  t.ok(sources.length > 100, 'there are files to check');
  const long = sources
    .map(({ file, text }) => ({ file, count: text.split('\n').length - 1 }))
    .filter(({ count }) => count > maxFileLines);
  t.strictSame(long, []);
  t.end();
});

t.test(`no function has more than ${maxFunctionLines} lines`, (t) => {
  const all = sources.flatMap(({ file, text }) =>
    functionsOf(text).map((found) => ({ file, ...found })),
  );
  t.ok(all.length > 1000, `${all.length} functions`);
  const long = all
    .filter((found) => found.lines.length > maxFunctionLines && !isTable(found))
    .filter(({ name }) => !longFunctions.includes(name))
    .map(({ file, name, line, lines }) => `${file}:${line} ${name}: ${lines.length}`);
  t.strictSame(long, []);
  t.end();
});

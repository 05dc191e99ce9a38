/** The TOML reader: the examples of the specification, and input that it must refuse. */
import t from 'tap';
import { TomlDocument, TomlError, tomlString, type TomlValue } from '../../lib/install/toml.js';

/** The keys of a text with their values; the parts of a key are joined by "|". */
function read(text: string): Record<string, TomlValue> {
  return Object.fromEntries(
    new TomlDocument(text).keys.map(({ path, value }) => [path.join('|'), value]),
  );
}

const rows: [name: string, text: string, keys: Record<string, TomlValue>][] = [
  ['nothing', '', {}],
  ['comments alone', '# a\n\n  # b', {}],
  [
    'bare, quoted and dotted keys',
    'a-1_B = "x"\n"a b".\'c.d\' . e = "y"',
    { 'a-1_B': 'x', 'a b|c.d|e': 'y' },
  ],
  ['a key of digits and an empty one', '1234 = "x"\n"" = "y"', { '1234': 'x', '': 'y' }],
  ['escapes', String.raw`a = "\"\\\t\n\u00e9\U0001F600"`, { a: '"\\\t\né😀' }],
  ['a literal', String.raw`a = 'C:\n "x"'`, { a: 'C:\\n "x"' }],
  [
    'lines',
    'a = """\none\n  [x]\ntwo \\\n   three"""\nb = "c"',
    { a: 'one\n  [x]\ntwo three', b: 'c' },
  ],
  ['quotes in lines', 'a = """"x" ""y"""""\nb = \'\'\'\'z\'\'\'\'', { a: '"x" ""y""', b: "'z'" }],
  ['literal lines', "a = '''\n\\n[x]\n# no comment\n'''", { a: '\\n[x]\n# no comment\n' }],
  [
    'what is no string',
    'a = 0xDEAD_BEEF\nb = 1979-05-27 07:32:00Z\nc = true # d\nd = -0.1e+5\ne=inf',
    {
      ...{ a: { raw: '0xDEAD_BEEF' }, b: { raw: '1979-05-27 07:32:00Z' }, c: { raw: 'true' } },
      ...{ d: { raw: '-0.1e+5' }, e: { raw: 'inf' } },
    },
  ],
  [
    'arrays',
    'a = [ "x", # one ]\n  ["y", \'z\'],\n\n]\nb = []\nc = [1,2]',
    { a: ['x', ['y', 'z']], b: [], c: [{ raw: '1' }, { raw: '2' }] },
  ],
  [
    'tables in braces',
    'a = { b = "x", c.d = [ { e = 1 } ] }\nf = {}',
    {
      a: {
        inline: [
          { path: ['a', 'b'], value: 'x', line: 1 },
          {
            path: ['a', 'c', 'd'],
            value: [{ inline: [{ path: ['a', 'c', 'd', 'e'], value: { raw: '1' }, line: 1 }] }],
            line: 1,
          },
        ],
      },
      f: { inline: [] },
    },
  ],
  [
    'tables',
    'a = "x"\n[b]\nc = "y"\n [ b . "d.e" ] # f\ng = "z"\r\n[[h]]\ni = "1"\n[[h]]\ni = "2"',
    { a: 'x', 'b|c': 'y', 'b|d.e|g': 'z', 'h|i': '2' },
  ],
  [
    'brackets in strings',
    'a = "[b]"\nc = """\n[d]\n"""\n[e]\nf = \'[g]\'',
    { a: '[b]', c: '[d]\n', 'e|f': '[g]' },
  ],
];

for (const [name, text, keys] of rows) {
  t.test(name, async (t) => t.strictSame(read(text), keys));
}

t.test('places', async (t) => {
  const text = '# top\nx = 1\n\n[a.b]\n  c = [\n 1 ]\n\n# of d\n[a.b.d] # e\nf = 1\n[g]\n';
  const document = new TomlDocument(text);
  t.strictSame(
    document.tables.map(({ path, line, start, end }) => [
      path.join('.'),
      line,
      text.slice(start, end),
    ]),
    [
      ['a.b', 4, '[a.b]\n  c = [\n 1 ]\n'],
      ['a.b.d', 9, '[a.b.d] # e\nf = 1\n'],
      ['g', 11, '[g]\n'],
    ],
  );
  t.strictSame(
    document.keys.map(({ line }) => line),
    [2, 5, 10],
  );
  t.equal(document.without(['a', 'b']), '# top\nx = 1\n\n\n# of d\n[g]\n');
  t.equal(document.without(['a', 'b', 'd']), text.replace('[a.b.d] # e\nf = 1\n', ''));
  t.equal(document.without(['a', 'bb']), text);
  t.strictSame(document.find(['a', 'b', 'd', 'f'])?.value, { raw: '1' });
  t.equal(document.find(['a', 'b']), undefined);
  t.equal(document.below(['a']).length, 2);
});

const wrong: [text: string, line: number][] = [
  ['a', 1],
  ['a = ', 1],
  ['a = "x', 1],
  ['x = 1\na = "b\nc"', 2],
  ["a = 'x", 1],
  ['a = """x', 1],
  ['a = [ 1\nb = 2', 2],
  ['a = { b = 1', 1],
  ['a = 1 b = 2', 1],
  ['x = 1\n[a', 2],
  ['[a]]', 1],
  ['[[a]', 1],
  ['[]', 1],
  ['[a] b = 1', 1],
  ['= 1', 1],
  ['a.b. = 1', 1],
  ['a = 1, 2', 1],
];

for (const [text, line] of wrong) {
  t.test(`refused: ${JSON.stringify(text)}`, async (t) => {
    try {
      new TomlDocument(text);
      t.fail('it is taken');
    } catch (error) {
      t.ok(error instanceof TomlError, String(error));
      t.equal((error as TomlError).line, line);
    }
  });
}

t.test('strings that are written are read again', async (t) => {
  for (const text of ['/usr/local/sbin/tare', 'a "b" \\ \t\n\r\x7f\x01 é😀']) {
    t.strictSame(read(`a = ${tomlString(text)}`), { a: text });
    t.notMatch(tomlString(text), /\p{Cc}/u);
  }
});

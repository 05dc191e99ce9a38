/** config.json files whose text is invalid. */
import type { Row } from './row.js';

const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

/** An entry for each list whose length is limited. */
const manyEntries: readonly (readonly [place: string, entry: unknown])[] = [
  ['mounts', { destination: '/a', type: 'tmpfs' }],
  ['linux.devices', { path: '/dev/a', type: 'p' }],
  ['linux.resources.devices', { allow: false }],
  ['linux.maskedPaths', '/a'],
  ['linux.readonlyPaths', '/a'],
  ['process.rlimits', { type: 'RLIMIT_CORE', soft: 0, hard: 0 }],
  ['process.capabilities.bounding', 'CAP_KILL'],
  ['hooks.poststop', { path: '/a' }],
];

export const text: readonly Row[] = [
  ['an empty file', '', 'line 1, column 1: the text is empty'],
  [
    'not JSON',
    '{\n  "ociVersion": 1.0.0\n}',
    'line 2, column 20: expected a comma or } after the member',
  ],
  [
    'a missing comma',
    '{\n\t"ociVersion": "1.0.0"\n\t"process": {}\n}',
    'line 3, column 2: expected a comma or } after the member',
  ],
  [
    'a trailing comma',
    '{"ociVersion": "1.0.0",}',
    'line 1, column 24: expected a member name in double quotes, or }',
  ],
  [
    'a column after characters of several bytes',
    '{"ö€😀": ?}',
    'line 1, column 9: expected a JSON value',
  ],
  [
    'a missing colon',
    '{"ociVersion" "1.0.0"}',
    'line 1, column 15: expected a colon after the member name',
  ],
  [
    'an array without end',
    '{"mounts": [1',
    'line 1, column 14: expected a comma or ] after the element',
  ],
  [
    'a string without end',
    '{"hostname": "a',
    'line 1, column 16: the string has no closing quotation mark',
  ],
  [
    'a line break in a string',
    '{"hostname": "a\nb"}',
    'line 1, column 16: a control character in a string; write it as an escape sequence',
  ],
  [
    'an unknown escape sequence',
    '{"hostname": "\\x"}',
    'line 1, column 15: unknown escape sequence in a string',
  ],
  [
    'half an escaped character',
    '{"hostname": "\\ud800"}',
    'line 1, column 15: a surrogate stands alone; both halves of a \\u pair are needed',
  ],
  [
    'a bad \\u sequence',
    '{"hostname": "\\u00g0"}',
    'line 1, column 15: expected four hexadecimal digits after \\u',
  ],
  ['a number too big', '{"x": 1e999}', 'line 1, column 7: the number is too big'],
  [
    'a number without fraction',
    '{"x": 1.}',
    'line 1, column 9: expected a digit after the decimal point',
  ],
  ['a number without exponent', '{"x": 1e}', 'line 1, column 9: expected a digit in the exponent'],
  ['a NUL byte', '{}\0{}', 'line 1, column 3: a NUL byte, where JSON text is expected'],
  [
    'a byte that is not UTF-8',
    Buffer.from('{"hostname": "\xff"}', 'latin1'),
    'line 1, column 15: a byte that is not UTF-8',
  ],
  [
    'an overlong encoding',
    Buffer.from('{"hostname": "0123456789\xc0\xaf"}', 'latin1'),
    'line 1, column 25: a byte that is not UTF-8',
  ],
  ['two values', '{} {}', 'line 1, column 4: text follows the end of the JSON value'],
  ['nesting too deep', `{"x": ${nested(64)}}`, 'line 1, column 71: nested deeper than 64 levels'],
  [
    'nesting deeper than any stack',
    `{"x": ${nested(1_000_000)}}`,
    'line 1, column 71: nested deeper than 64 levels',
  ],
  [
    'a file of 17 MiB',
    `{"x": "${'x'.repeat(17 << 20)}"}`,
    '17825801 bytes long; the limit is 16777216',
  ],
  ...manyEntries.map(([place, entry]): Row => {
    const list = Array.from({ length: 16385 }, () => entry);
    // The default config has no `hooks` object.
    const change = place === 'hooks.poststop' ? { hooks: { poststop: list } } : { [place]: list };
    const message = `${place}: 16385 entries; the limit is 16384`;
    return [`more entries than there can be: ${place}`, change, message];
  }),
  [
    'more sysctls than there can be',
    {
      'linux.sysctl': Object.fromEntries(
        Array.from({ length: 16385 }, (_, i) => [`net.${i}`, '1']),
      ),
    },
    'linux.sysctl: 16385 entries; the limit is 16384',
  ],
  ['null', 'null', 'expected an object, got null'],
  ['an array', '[]', 'expected an object, got an array'],
  [
    'a repeated member',
    '{"ociVersion": "1.0.0", "root": {}, "root": {}}',
    'the member root appears twice; keep one',
  ],
  [
    'a repeated member that is unknown',
    '{"ociVersion": "1.0.0", "a.b": 1, "a.b": 2}',
    'the member ["a.b"] appears twice; keep one',
  ],
];

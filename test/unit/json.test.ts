/** JSON with exact 64-bit numbers. */
import t from 'tap';
import { stringify } from '../../lib/spec/json.js';

t.test('as JSON.stringify has it', (t) => {
  const value = { a: [1, 'two', null, true], b: { c: undefined, d: '18446744073709552000' } };
  t.equal(stringify(value), JSON.stringify(value));
  t.equal(stringify({ text: '\u00015\u0001' }), JSON.stringify({ text: '\u00015\u0001' }));
  t.end();
});

t.test('bigints', (t) => {
  t.equal(
    stringify({ hard: 18446744073709551615n, soft: -9223372036854775808n, list: [1n] }),
    '{"hard":18446744073709551615,"soft":-9223372036854775808,"list":[1]}',
  );
  t.end();
});

t.test('the greatest uint64 as JSON.parse reads it', (t) => {
  const text = '{"hard":18446744073709551615}';
  t.equal(stringify(JSON.parse(text)), text);
  t.end();
});

t.test('what JSON cannot say', (t) => {
  const circular: { self?: unknown } = {};
  circular.self = circular;
  t.throws(() => stringify(circular), { code: 'ERR_TARE_INVALID_ARGUMENT' });
  t.end();
});

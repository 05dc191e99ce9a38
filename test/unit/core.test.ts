/** The unit tests of the core, `*_test.cc` below addon/core, in one program. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { program } from '../support/build.js';

const tests = program('unit-tests');
const { stdout } = spawnSync(tests, ['--list-test-cases', '--no-colors'], { encoding: 'utf8' });
const names = stdout
  .split('\n')
  .filter((line) => line !== '' && !/^(?:\[doctest\]|=+$)/.test(line));
t.ok(names.length > 0, 'there are test cases');
for (const name of names) {
  t.test(name, async (t) => {
    // A comma separates patterns.
    const pattern = name.replaceAll(',', '\\,');
    const args = ['--no-colors', `--test-case=${pattern}`];
    const result = spawnSync(tests, args, { encoding: 'utf8' });
    t.equal(result.status, 0, 'passes', { output: result.stdout });
    t.match(result.stdout, /test cases: +1 \|/, 'runs');
  });
}

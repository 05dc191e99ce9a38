/**
 * The corpora of the fuzzers, each file handed to the reader that it is meant for: none may break it. Among them
 * is all that `npm run fuzz` has found.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import { fuzzer } from '../support/build.js';

const corpora = join(import.meta.dirname, 'corpus');
const targets = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.cc') && !['replay.cc', 'kernel.cc'].includes(name))
  .map((name) => basename(name, '.cc'))
  .sort();

t.strictSame(readdirSync(corpora).sort(), targets, 'each fuzzer has a corpus');

for (const target of targets) {
  t.test(target, (t) => {
    const directory = join(corpora, target);
    const files = readdirSync(directory).map((name) => join(directory, name));
    t.ok(files.length > 0, 'there are files to replay');
    const { status, signal, stdout, stderr } = spawnSync(fuzzer(target), [directory], {
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    });
    // The last file that is named is the one that broke it.
    t.strictSame(
      [status, signal, stderr],
      [0, null, ''],
      stdout.trimEnd().split('\n').at(-1) ?? '',
    );
    t.strictSame(stdout.trimEnd().split('\n').sort(), files.sort(), 'every file was read');
    t.end();
  });
}

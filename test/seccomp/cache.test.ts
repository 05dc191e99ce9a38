/** The cache of compiled seccomp profiles. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { call, deny, rule, write } from './profile.js';

const profile = deny(rule('SCMP_ACT_ALLOW', 'read', 'write'));
const other = deny(rule('SCMP_ACT_ALLOW', 'read', 'write', 'getpid'));

/**
 * Makes a cache that holds `profile`. `compile` returns the compiled program, and a new `inode`
 * shows that the entry was replaced.
 */
function warm(t: Test) {
  const cache = join(t.testdir({}), 'cache');
  const config = write(t, profile);
  const compile = (path = config) => {
    const { status, stdout, error } = call('seccomp', 'compile', path, cache);
    if (status !== 0) throw new Error(error);
    return stdout.toString('hex');
  };
  const program = compile();
  const [name = ''] = readdirSync(cache);
  const entry = join(cache, name);
  const inode = () => statSync(entry).ino;
  return { cache, entry, compile, program, inode };
}

t.test('is private and used', (t) => {
  const { cache, entry, compile, program, inode } = warm(t);
  t.equal(statSync(cache).mode & 0o7777, 0o700);
  t.equal(statSync(entry).mode & 0o7777, 0o600);
  t.equal(program, call('seccomp', 'compile', write(t, profile), '').stdout.toString('hex'));
  const before = inode();
  t.equal(compile(), program, 'the same program');
  t.equal(inode(), before, 'from the same entry');
  t.not(compile(write(t, other, 'other.json')), program, 'another profile has another program');
  t.equal(readdirSync(cache).length, 2, 'and another entry');
  t.equal(inode(), before);
  t.end();
});

t.test('damage is found and mended', (t) => {
  const { cache, entry, compile, program, inode } = warm(t);
  const whole = readFileSync(entry);
  const damaged = (what: string, damage: () => void) => {
    damage();
    const before = inode();
    t.equal(compile(), program, `${what}: the right program`);
    t.not(inode(), before, `${what}: a new entry`);
    t.strictSame(readFileSync(entry), whole, `${what}: the right entry`);
  };
  for (let offset = 0; offset < whole.length; offset += offset < 32 ? 1 : 37) {
    damaged(`byte ${offset}`, () => {
      const bytes = Buffer.from(whole);
      bytes.writeUInt8((bytes.readUInt8(offset) ^ 0x10) & 0xff, offset);
      writeFileSync(entry, bytes);
    });
  }
  for (const size of [0, 10, 24, 100, whole.length - 8, whole.length - 1]) {
    damaged(`cut to ${size} bytes`, () => truncateSync(entry, size));
  }
  damaged('longer', () => writeFileSync(entry, Buffer.concat([whole, Buffer.alloc(8)])));
  damaged("another profile's", () => {
    compile(write(t, other, 'other.json'));
    const [name = ''] = readdirSync(cache).filter((name) => join(cache, name) !== entry);
    renameSync(join(cache, name), entry);
  });
  t.end();
});

t.test('what another user could have written is not used', (t) => {
  const { cache, entry, compile, program, inode } = warm(t);
  // The entry is intact, but its group can write to it.
  chmodSync(entry, 0o620);
  const before = inode();
  t.equal(compile(), program);
  t.not(inode(), before, 'a writable entry is replaced');
  const elsewhere = `${entry}.moved`;
  renameSync(entry, elsewhere);
  symlinkSync(elsewhere, entry);
  t.equal(compile(), program);
  t.ok(
    statSync(entry, { throwIfNoEntry: true }).ino !== statSync(elsewhere).ino,
    'nor a symlink followed',
  );
  rmSync(entry);
  spawnSync('mkfifo', ['-m', '600', entry]);
  t.equal(compile(), program, 'a FIFO does not hold it up');
  t.ok(statSync(entry).isFile(), 'and is replaced');
  chmodSync(cache, 0o720);
  writeFileSync(entry, 'damage');
  t.equal(compile(), program);
  t.equal(readFileSync(entry, 'utf8'), 'damage', 'a writable directory is left alone');
  t.end();
});

t.test('has 64 places', (t) => {
  const { cache, entry, compile } = warm(t);
  for (let i = 0; i < 63; i++) {
    copyFileSync(entry, join(cache, `filler${i}`));
    utimesSync(join(cache, `filler${i}`), 1000 + i, 1000 + i);
  }
  compile(write(t, other, 'other.json'));
  t.equal(readdirSync(cache).length, 64);
  t.notOk(existsSync(join(cache, 'filler0')), 'the oldest is gone');
  t.ok(existsSync(join(cache, 'filler1')));
  t.ok(existsSync(entry));
  t.end();
});

t.test('that cannot be made is no error', (t) => {
  const { program } = warm(t);
  const { status, stdout } = call('seccomp', 'compile', write(t, profile), '/proc/none/cache');
  t.equal(status, 0);
  t.equal(stdout.toString('hex'), program);
  t.end();
});

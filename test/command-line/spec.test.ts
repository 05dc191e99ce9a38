/** tare spec: it needs no container and no privilege. */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryDirectory } from '../support/directory.js';
import { tare } from '../support/tare.js';

const directory = temporaryDirectory(t, 'spec');

t.test('spec writes config.json with the mode of the umask, and never over another', async (t) => {
  const bundle = join(directory, 'spec');
  execFileSync('mkdir', [bundle]);
  t.strictSame(tare(['spec'], { cwd: bundle }), {
    status: 0,
    signal: null,
    stdout: '',
    stderr: '',
    error: '',
  });
  const path = join(bundle, 'config.json');
  const mode = 0o666 & ~process.umask();
  t.equal(statSync(path).mode & 0o777, mode);
  const before = readFileSync(path, 'utf8');
  const again = tare(['spec'], { cwd: bundle });
  t.equal(again.status, 1);
  t.equal(again.error, 'config.json exists: remove it first');
  t.equal(readFileSync(path, 'utf8'), before);
  const nowhere = tare(['spec', '-b', '/nowhere']);
  t.equal(nowhere.status, 1);
  t.equal(nowhere.error, '/nowhere/config.json: open: ENOENT (No such file or directory)');
});

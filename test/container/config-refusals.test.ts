/**
 * Each row of the tables of refusals: `plan` and `create` report the message and create nothing.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { configRefusals } from './config-refusals/all.js';
import { temporaryDirectory } from '../support/directory.js';
import { tare } from '../support/tare.js';

const directory = temporaryDirectory(t, 'refusals');
const bundle = join(directory, 'bundle');
const file = join(bundle, 'config.json');
mkdirSync(join(bundle, 'rootfs'), { recursive: true });

const made = tare(['spec', '--bundle', bundle]);
t.equal(made.stderr, '', 'spec writes the default config');
const config = readFileSync(file, 'utf8');

const planned = tare(['plan', '--bundle', bundle]);
t.strictSame([planned.status, planned.stderr], [0, ''], 'which is not refused');

for (const { name, spoil, message } of configRefusals) {
  t.test(name, (t) => {
    writeFileSync(file, spoil(config));
    const plan = tare(['plan', '--bundle', bundle]);
    t.strictSame([plan.status, plan.stdout, plan.error], [1, '', message], 'plan');
    const create = tare(['--root', join(directory, 'state'), 'create', '--bundle', bundle, 'x']);
    const said = [create.status, create.stdout, create.error];
    t.strictSame(said, [1, '', `create x: ${message}`], 'create');
    t.strictSame(readdirSync(directory), ['bundle'], 'no state directory');
    t.end();
  });
}

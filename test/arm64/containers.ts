/**
 * npm run test:arm64 [-- --test-arg=NAME]: test files, by default those below, with the programs for arm64 in an
 * emulated machine: containers on a kernel of that architecture. With NAME only files that have it in their name.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { report, runInGuest, suiteTimeout } from '../vm/runner.js';
import { bundleSuite } from '../vm/suite.js';
import { Vm, repository, type VmOptions } from '../vm/vm.js';

const filter = process.argv[2] ?? '';
/** Of these directories all. */
const directories = ['test/core', 'test/cli', 'test/init', 'test/lib', 'test/security'];
const without = new RegExp(
  [
    // Programs and packages that the guest does not have, or modules of its kernel.
    ...['systemd', 'confinement', 'lib/(package|versions|examples|command_line)', 'net-devices'],
    // Devices in /tmp, which admits none there.
    'security/state',
    // What takes hours there.
    ...['crash-matrix', 'model', 'cli/cycles'],
    // Milliseconds of a real processor.
    'lib/(event-loop|host)',
  ].join('|'),
);

const files = directories
  .flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)))
  .filter((name) => /\.(test|guest)\.ts$/.test(name) && !without.test(name))
  .filter((name) => name.includes(filter))
  .sort();
t.setTimeout(files.length * suiteTimeout);
t.ok(files.length > 0, 'there are files');

const options: VmOptions = { architecture: 'arm64', answerTimeout: 60_000 };
const node = execFileSync('sh', [join(repository, 'scripts/node-binary'), '24', 'arm64'], {
  encoding: 'utf8',
}).trim();

await t.test('files', { timeout: files.length * suiteTimeout }, async (t) => {
  const vm = await Vm.boot(options);
  t.comment(`the guest booted in ${(vm.bootTime / 1000).toFixed(1)} s`);
  // Files have their own, for a real processor.
  const env = { TAP_TIMEOUT: '1200', PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' };
  const run = runInGuest(t, vm, options, [node], env);
  for (const name of files) {
    try {
      await report(t, name, await run(await bundleSuite(name, 'build/arm64')));
    } catch (error) {
      // The next file has a new guest.
      t.fail(name, { error });
    }
  }
});

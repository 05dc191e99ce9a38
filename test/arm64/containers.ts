/**
 * npm run test:arm64 [-- --test-arg=NAME]: runs the test files of the directories below with the
 * arm64 programs in an emulated machine, so that containers run on a kernel of that architecture.
 * NAME selects files with that in their name.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { report, runInGuest, suiteTimeout } from '../machine/runner.js';
import { bundleSuite } from '../machine/suite.js';
import { Vm, repository, type VmOptions } from '../machine/vm.js';
import { allowTime } from '../support/timeout.js';

const filter = process.argv[2] ?? '';
/** All test files of these directories, except those below. */
const directories = [
  ...['cgroup', 'checkpoint', 'command-line', 'container', 'hooks', 'install', 'library'],
  ...['lifecycle', 'mounts', 'namespaces', 'process', 'seccomp', 'security', 'systemd'],
  'unit',
].map((name) => join('test', name));
const without = new RegExp(
  [
    // Need programs, packages or kernel modules that the guest does not have.
    ...['systemd/(refusals|requests|units|user)', 'install/(package|versions)'],
    ...['library/(examples|command-line)', 'confinement', 'net-devices'],
    // Needs devices in /tmp, which is mounted nodev there.
    'security/state',
    // Take hours there.
    ...['crash-matrix', 'model', 'lifecycle/cycles'],
    // Measure milliseconds of a real processor.
    'library/(event-loop|host)',
  ].join('|'),
);

const files = directories
  .flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)))
  .filter((name) => /\.(test|guest)\.ts$/.test(name) && !without.test(name))
  .filter((name) => name.includes(filter))
  .sort();
allowTime(t, files.length * suiteTimeout);
t.ok(files.length > 0, 'there are files');

const options: VmOptions = { architecture: 'arm64', answerTimeout: 60_000 };
const node = execFileSync('sh', [join(repository, 'scripts/node-binary'), '24', 'arm64'], {
  encoding: 'utf8',
}).trim();

await t.test('files', { timeout: files.length * suiteTimeout }, async (t) => {
  const vm = await Vm.boot(options);
  t.comment(`the guest booted in ${(vm.bootTime / 1000).toFixed(1)} s`);
  // The timeouts of the files are for a real processor.
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

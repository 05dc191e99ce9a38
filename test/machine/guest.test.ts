/**
 * Runs every *.guest.ts below test: on this machine if it has all that they need, otherwise all of
 * them in a guest. Their assertions count as this file's.
 *
 *     npm test -- test/machine/guest.test.ts --test-arg=cgroup      only suites with that in their name
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { Unavailable, unpackPackage } from '../../scripts/debian.js';
import { lacking, type Need } from './native.js';
import { findExecutable } from './qemu.js';
import { report, runInGuest, suiteTimeout, type Runner } from './runner.js';
import { bundleSuite, findSuites } from './suite.js';
import { Vm, repository, type VmOptions } from './vm.js';
import { allowTime } from '../support/timeout.js';

const filter = process.argv[2] ?? '';

/** Programs that suites use. A program that is not installed is unpacked from Debian's package. */
const programs = [
  { name: 'apparmor_parser', package: 'apparmor', directory: 'sbin', suite: /confinement/ },
];

interface Guest {
  suite: RegExp;
  options: VmOptions;
  /** What a machine needs to run these suites natively. */
  needs: Need[];
}

/** A suite runs in the first guest whose pattern matches its name. */
const guests: Guest[] = [
  // watch-limit lowers a limit of the whole machine, which would affect everything that runs in
  // parallel.
  { suite: /selinux|watch-limit/, options: { lsm: 'selinux' }, needs: ['selinux-without-policy'] },
  { suite: /systemd/, options: { systemd: true }, needs: ['systemd-to-spare'] },
  { suite: /./, options: {}, needs: ['controllers', 'apparmor', 'caps'] },
];

/** Why a suite cannot run, by its name. */
const withoutProgram = new Map<string, string>();

async function suitePath(suites: string[]): Promise<string> {
  const path = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  path.unshift(dirname(process.execPath));
  for (const program of programs) {
    const users = suites.filter((name) => program.suite.test(name));
    if (users.length === 0 || findExecutable(program.name)) continue;
    try {
      path.push(join(await unpackPackage(program.package), program.directory));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      for (const name of users) withoutProgram.set(name, error.message);
    }
  }
  return path.join(':');
}

function suiteEnvironment(path: string): Record<string, string> {
  // A suite times out before its guest is given up, so that it reports what it waited for.
  const seconds = suiteTimeout / 1000 - 20;
  const env: Record<string, string> = { PATH: path, TAP_TIMEOUT: String(seconds) };
  for (const name of ['RUNTIME', 'CI']) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

function runHere(env: Record<string, string>): Runner {
  return ({ program }) => {
    const options = { cwd: repository, env: { ...process.env, ...env }, timeout: suiteTimeout };
    const { status, stdout, stderr } = spawnSync(process.execPath, [program], options);
    return Promise.resolve({ status: status ?? 255, stdout, stderr });
  };
}

async function makeRunner(suites: string[], { options, needs }: Guest): Promise<Runner> {
  const env = suiteEnvironment(await suitePath(suites));
  const lacks = lacking(...needs);
  if (lacks.length === 0) return runHere(env);
  t.comment(`these run in a guest, for this machine lacks something: ${lacks.join('; ')}`);
  const vm = await Vm.boot(options);
  t.comment(`the guest booted in ${(vm.bootTime / 1000).toFixed(1)} s`);
  return runInGuest(t, vm, options, [process.execPath], env);
}

/** Not on the root test itself, which would end while a suite runs. */
async function runSuites(t: Test, suites: string[], run: Runner): Promise<void> {
  for (const name of suites) {
    const skip = withoutProgram.get(name);
    if (skip !== undefined) {
      await t.test(name, { skip }, () => {});
      continue;
    }
    try {
      await report(t, name, await run(await bundleSuite(name)));
    } catch (error) {
      // The next suite has a new guest.
      t.fail(name, { error });
    }
  }
}

const suites = findSuites().filter((name) => name.includes(filter));
allowTime(t, suites.length * suiteTimeout + 120_000);
t.ok(suites.length > 0, 'there are suites');
const timeout = suites.length * suiteTimeout + 60_000;
await t.test('suites', { timeout }, async (t) => {
  for (const guest of guests) {
    const ours = suites.filter((name) => guests.find(({ suite }) => suite.test(name)) === guest);
    if (ours.length === 0) continue;
    try {
      await runSuites(t, ours, await makeRunner(ours, guest));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      for (const name of ours) t.test(name, { skip: error.message }, () => {});
    }
  }
});

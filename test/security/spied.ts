/**
 * Processes that enter a container, as seen by `spy` (test/programs), which traces all that it may.
 */
import { Container } from '../../lib/index.js';
import { cli, exitOf, staticProgram, type Config } from '../support/tare.js';
import { type Inside, field } from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test } from 'tap';

/** Capability names by number, see capability.h. */
export const { capabilities } = (
  JSON.parse(execFileSync(cli, ['features'], { encoding: 'utf8' })) as {
    linux: { capabilities: string[] };
  }
).linux;
export const ownCapabilities = BigInt(
  `0x${field(readFileSync('/proc/self/status', 'utf8'), 'CapPrm')}`,
);

/** Gives the container every capability that this process has. */
export const allCapabilities = (config: Config): void => {
  const all = capabilities.filter((_, number) => (ownCapabilities >> BigInt(number)) & 1n);
  const sets = ['bounding', 'effective', 'permitted'];
  config.process.capabilities = Object.fromEntries(sets.map((set) => [set, all]));
};

/** Makes a bundle whose program is one of test/programs. */
export const bundleOf = (
  inside: Inside,
  name: string,
  edit: (config: Config) => void,
  args: string[] = [],
): string => {
  const bundle = inside.bundle([`/bin/${name}`, ...args], (config) => {
    config.root.readonly = false;
    edit(config);
  });
  copyFileSync(staticProgram(name), join(bundle, 'rootfs/bin', name));
  return bundle;
};

export type Exec = (id: string) => Promise<number>;

export const byCommand =
  (inside: Inside): Exec =>
  (id) =>
    Promise.resolve(inside.tare(['exec', id, 'true']).status ?? -1);

export const byLibrary =
  (inside: Inside): Exec =>
  async (id) => {
    const container = await Container.open(id, { root: inside.root });
    const process = await container.exec({ args: ['true'] });
    return (await process.wait()).exitCode ?? -1;
  };

/**
 * Returns what `spy`, with `args`, reports of processes that `exec` brings into its container, one
 * line each.
 */
export const looks = async (
  t: Test,
  inside: Inside,
  edit: (config: Config) => void,
  owner: number,
  exec: Exec,
  wanted: (lines: string[]) => boolean,
  args: string[] = [],
): Promise<string[]> => {
  const id = inside.fresh();
  const out = join(inside.directory, `seen-${id}`);
  const bundle = bundleOf(inside, 'spy', edit, args);
  for (const path of [inside.directory, bundle]) chmodSync(path, 0o755);
  execFileSync('chown', ['-R', `${owner}:${owner}`, join(bundle, 'rootfs')]);
  const file = openSync(out, 'w');
  const started = inside.spawn(['run', '--detach', '-b', bundle, id], {
    stdio: ['ignore', file, 'inherit'],
  });
  closeSync(file);
  t.equal(await exitOf(started), 0);
  const lines = (): string[] => readFileSync(out, 'utf8').trim().split('\n').slice(1);
  // On a busy machine the spy may get no processor time.
  for (let i = 0; i < 2000 && !wanted(lines()); i++) {
    t.equal(await exec(id), 0);
  }
  inside.must(['delete', '--force', id]);
  t.ok(wanted(lines()), 'it looked');
  return lines();
};

/** Checks that only processes that belong to the container can be traced. */
export const traced = async (
  t: Test,
  inside: Inside,
  edit: (config: Config) => void,
  owner: number,
  exec: Exec,
): Promise<void> => {
  const lines = await looks(t, inside, edit, owner, exec, (seen) => seen.length >= 20);
  const own = / (?:refused|ended|\/bin\/busybox (?:0|200000))$/;
  t.strictSame(
    lines.filter((line) => !own.test(line)),
    [],
  );
};

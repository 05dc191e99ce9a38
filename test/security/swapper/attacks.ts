/**
 * While containers start, a process exchanges directories of their root with symlinks, as another
 * container with the same volume can.
 */
import { program, type Config } from '../../support/tare.js';
import { Inside, mounts } from '../../support/inside.js';
import { Outside, secret } from '../outside.js';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { allowTime } from '../../support/timeout.js';

const seconds = process.env['TARE_TEST_LONG'] === '1' ? 30 : 1.2;
const timeout = (120 + 30 * seconds) * 1000;
const up = '../'.repeat(20);

/** Pairs of a name in the root and a link that takes turns in its place. */
export const links = (rootfs: string, name: string, targets: string[]): string[] =>
  targets.flatMap((target, i) => {
    const link = join(rootfs, `${name}.link${i}`);
    symlinkSync(target, link);
    return [join(rootfs, name), link];
  });
export const outwards = (path: string): string[] => [path, up + path.slice(1)];
/** Through a procfs, whose magic links are not paths: init's own root is still the host's. */
const throughProc = (path: string): string[] => [
  `/proc/self/root${path}`,
  `/proc/1/root${path}`,
  path,
];

async function swapping(names: string[], body: () => Promise<void> | void): Promise<void> {
  const swapper: ChildProcess = spawn(program('swap'), names, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(swapper.stdout!, 'data');
  try {
    await body();
    await sleep(20); // until its exit would have been reported
    if (swapper.exitCode !== null) throw new Error('the swapper ended early');
  } finally {
    swapper.kill('SIGKILL');
    await once(swapper, 'close');
  }
}

export interface Attack {
  /** The attacked operation. */
  what: string;
  /** Names on the host that the operation would find or make. */
  host?: string[];
  /** Fills the root; returns the names that are exchanged. */
  prepare: (rootfs: string, outside: string) => string[];
  edit: (config: Config, rootfs: string) => void;
  /** Flags of the command line. */
  flags?: string[];
  script?: string;
  /** Counts the wanted mounts in the mount table of each container that started; see `count`. */
  mounts?: (mountinfo: string) => number;
  count?: number;
}

/** A sandbox whose containers are attacked while they start. */
export class Attacks extends Inside {
  #attacks = 0;

  constructor(t: Test) {
    super(t);
    allowTime(t, timeout);
  }

  async attack(t: Test, one: Attack): Promise<void> {
    t.setTimeout(timeout);
    const outside = new Outside(join(this.directory, `outside${this.#attacks++}`), one.host);
    let names: string[] = [];
    const bundle = this.script(one.script ?? 'cat /proc/self/mountinfo', (config, rootfs) => {
      one.edit(config, rootfs);
      names = one.prepare(rootfs, outside.path);
    });
    const before = readFileSync('/proc/self/mountinfo', 'utf8');
    let [started, failed] = [0, 0];
    await swapping(names, () => {
      const end = Date.now() + seconds * 1000;
      while (Date.now() < end || (started === 0 && failed < 2000)) {
        const result = this.tare(['run', ...(one.flags ?? []), '-b', bundle, this.fresh()]);
        if (result.stdout.includes(secret)) t.fail('it shows what is on the host');
        if (result.status !== 0) {
          failed++;
          continue;
        }
        started++;
        const seen = one.mounts?.(result.stdout);
        if (seen !== one.count) t.equal(seen, one.count, one.what, { stdout: result.stdout });
      }
    });
    t.ok(started > 0, `${one.what}: ${started} started, ${failed} did not`);
    t.strictSame(outside.changes(), [], `${one.what}: the host is as it was`);
    t.equal(readFileSync('/proc/self/mountinfo', 'utf8'), before, 'so are its mounts');
  }
}

export const swapped = (text: string): number =>
  mounts(text).filter(({ source }) => source === 'swapped').length;
export const tmpfs = (destination: string, ...options: string[]): Config['mounts'][0] => ({
  destination,
  type: 'tmpfs',
  source: 'swapped',
  options,
});
const directory = (rootfs: string): void => {
  mkdirSync(join(rootfs, 'd/there'), { recursive: true });
  writeFileSync(join(rootfs, 'd/file'), '');
};
export const plain: Attack['prepare'] = (rootfs, outside) => {
  directory(rootfs);
  return links(rootfs, 'd', outwards(outside));
};
export const viaProc: Attack['prepare'] = (rootfs, outside) => {
  directory(rootfs);
  return links(rootfs, 'd', throughProc(outside));
};

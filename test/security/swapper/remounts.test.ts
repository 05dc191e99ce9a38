/**
 * While a container starts, directories of its root are exchanged with symlinks: what is done to a
 * mount after it was made is done to that mount.
 *
 * Each operation is attacked for a second, with TARE_TEST_LONG=1 for half a minute.
 */
import { skipReason } from '../../support/tare.js';
import { mounts } from '../../support/inside.js';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Attacks, links, swapped, tmpfs, type Attack } from './attacks.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Attacks(t);

  // Weakened: open_mounted (mount_ops.cc) always calls open_below. A read-only volume becomes
  // writable, and a tmpfs that should be read-only is not.
  inside.test('CVE-2025-52881: what is done to a mount later', async (t) => {
    const kept = join(inside.directory, 'remounted');
    mkdirSync(kept);
    const prepare: Attack['prepare'] = (rootfs) => {
      mkdirSync(join(rootfs, 'd'));
      return links(rootfs, 'd', ['/kept']);
    };
    const readOnly = { destination: '/kept', type: 'bind', source: kept, options: ['bind', 'ro'] };
    await inside.attack(t, {
      what: 'a remount',
      prepare,
      edit: ({ mounts }) => {
        mounts.push(readOnly, tmpfs('/d'), tmpfs('/d', 'remount', 'rw'));
      },
      script: 'touch /kept/made 2>/dev/null; cat /proc/self/mountinfo',
      mounts: swapped,
      count: 1,
    });
    t.strictSame(readdirSync(kept), [], 'what is read-only stays that');
    await inside.attack(t, {
      what: 'a tmpfs that becomes read-only at last',
      prepare,
      edit: ({ mounts }) => void mounts.push(readOnly, tmpfs('/d', 'ro')),
      mounts: (text) =>
        mounts(text).filter(({ source, options }) => source === 'swapped' && options.includes('ro'))
          .length,
      count: 1,
    });
  });

  // Weakened: do_mount_data (file_system_ops.cc) calls open_below instead of open_covering. "rw" applies
  // to /kept, and the container writes to it.
  inside.test('CVE-2025-52881: a mount that is reached by its path again', async (t) => {
    const layers = join(inside.directory, 'layers'.padEnd(100, 'x'));
    const names = ['a', 'b', 'c'].map((name) => join(layers, name));
    for (const name of [...names, join(layers, 'upper'), join(layers, 'work')]) {
      mkdirSync(name, { recursive: true });
    }
    const kept = join(inside.directory, 'kept');
    mkdirSync(kept);
    await inside.attack(t, {
      what: 'the attributes of a mount of long options',
      prepare: (rootfs) => {
        mkdirSync(join(rootfs, 'd'));
        return links(rootfs, 'd', ['/kept']);
      },
      edit: ({ mounts }) => {
        mounts.push({ destination: '/kept', type: 'bind', source: kept, options: ['bind', 'ro'] });
        mounts.push({
          destination: '/d',
          type: 'overlay',
          source: 'swapped',
          options: [
            `lowerdir=${names.join(':')}`,
            `upperdir=${layers}/upper`,
            `workdir=${layers}/work`,
            ...['rw', 'nosuid'],
          ],
        });
      },
      script: 'touch /kept/made 2>/dev/null; cat /proc/self/mountinfo',
      mounts: swapped,
      count: 1,
    });
    t.strictSame(readdirSync(kept), [], 'what is read-only stays that');
  });
}

/**
 * While a container starts, directories of its root are exchanged with symlinks: mounts, and what
 * is made and copied for them, stay below the root.
 *
 * Each operation is attacked for a second, with TARE_TEST_LONG=1 for half a minute.
 */
import { cli, skipReason } from '../../support/tare.js';
import { mounts } from '../../support/inside.js';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Attacks, links, plain, swapped, tmpfs, viaProc, type Attack } from './attacks.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Attacks(t);

  // Weakened: openat2 (path.cc) without RESOLVE_IN_ROOT, on the path without its first "/". Mounts
  // are missing inside, and the host has new directories.
  inside.test('CVE-2021-30465: mounts, on what is there and on what is made', async (t) => {
    const host = ['there/', 'file'];
    const edit: Attack['edit'] = ({ mounts }) => {
      mounts.push(tmpfs('/d/new/deep'), tmpfs('/d/there'));
    };
    await inside.attack(t, {
      what: 'tmpfs',
      host,
      prepare: plain,
      edit,
      mounts: swapped,
      count: 2,
    });
    const one: Attack['edit'] = ({ mounts }) => void mounts.push(tmpfs('/d/there'));
    await inside.attack(t, {
      what: 'tmpfs, by way of /proc',
      host,
      prepare: viaProc,
      edit: one,
      mounts: swapped,
      count: 1,
    });
    await inside.attack(t, {
      what: 'tmpfs, without pivot_root(2)',
      host,
      prepare: plain,
      edit,
      flags: ['--no-pivot'],
      mounts: swapped,
      count: 2,
    });
    await inside.attack(t, {
      what: 'tmpfs, in the mount namespace of the host',
      host,
      prepare: plain,
      edit: (config) => {
        edit(config, '');
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'mount');
        for (const list of ['maskedPaths', 'readonlyPaths']) delete config.linux[list];
      },
      mounts: swapped,
      count: 2,
    });
    await inside.attack(t, {
      what: 'the cgroup',
      host: ['cgroup/'],
      prepare: plain,
      edit: ({ mounts }) => {
        mounts.push({ destination: '/d/cgroup', type: 'cgroup', source: 'swapped' });
      },
      mounts: swapped,
      count: 1,
    });
  });

  // Weakened: as above. The host has new files and directories.
  inside.test('CVE-2024-45310: files and directories that are made for it', async (t) => {
    const files = (text: string): number =>
      mounts(text).filter(({ path }) => path.endsWith('/swapped-file')).length;
    await inside.attack(t, {
      what: 'a file that is bound',
      prepare: plain,
      edit: ({ mounts }) => {
        for (const destination of ['/d/swapped-file', '/d/new/swapped-file']) {
          mounts.push({ destination, type: 'bind', source: cli, options: ['bind'] });
        }
      },
      mounts: files,
      count: 2,
    });
    await inside.attack(t, {
      what: 'the working directory',
      prepare: plain,
      edit: (config) => {
        config.process.cwd = '/d/work/deep';
      },
    });
  });

  // Weakened: enter_directory and copy_file (copy_up.cc) without O_NOFOLLOW. The container shows
  // content of the host.
  inside.test('CVE-2024-45310: what tmpcopyup copies', async (t) => {
    await inside.attack(t, {
      what: 'what is covered',
      host: ['there/', 'there/file'],
      prepare: plain,
      edit: ({ mounts }) => {
        mounts.push(tmpfs('/d', 'tmpcopyup'), tmpfs('/d/there', 'tmpcopyup'));
      },
      script: 'find /d -type f -exec cat {} +; cat /proc/self/mountinfo',
      mounts: swapped,
      count: 2,
    });
    await inside.attack(t, {
      what: 'what is in that',
      host: ['there/', 'there/file'],
      prepare: (rootfs, outside) => {
        // The time window is short, so there are many entries.
        const c = join(rootfs, 'c');
        return Array.from({ length: 8 }, (_, i) => {
          mkdirSync(join(c, `d${i}/there`), { recursive: true });
          writeFileSync(join(c, `file${i}`), 'own');
          return [
            ...links(c, `d${i}`, [outside]),
            ...links(c, `file${i}`, [join(outside, 'file')]),
          ];
        }).flat();
      },
      edit: ({ mounts }) => void mounts.push(tmpfs('/c', 'tmpcopyup')),
      script: 'find /c -type f -exec cat {} +; cat /proc/self/mountinfo',
      mounts: swapped,
      count: 1,
    });
  });
}

/**
 * While a container starts, directories of its root are exchanged with symlinks: devices, the
 * terminal and the links in /dev stay below the root.
 *
 * Each operation is attacked for a second, with TARE_TEST_LONG=1 for half a minute.
 */
import { skipReason, type Config } from '../../support/tare.js';
import { inNewUserNamespace, mapped, mounts } from '../../support/inside.js';
import { chmodSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Attacks, links, outwards, type Attack } from './attacks.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Attacks(t);

  const devices = ['ptmx', 'null', 'fuse', 'pipe', 'console', 'fd', 'pts/', 'shm/', 'mqueue/'];
  const dev: Attack['prepare'] = (rootfs, outside) => links(rootfs, 'dev', outwards(outside));
  const imageDev = (config: Config): void => {
    config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
  };

  // Weakened: openat2 (path.cc) without RESOLVE_IN_ROOT, on the path without its first "/". The host
  // has the nodes.
  inside.test('CVE-2026-41579: /dev, empty or filled', async (t) => {
    for (const host of [[], devices]) {
      await inside.attack(t, {
        what: `nodes, links and ptmx${host.length > 0 ? ' that the host has' : ''}`,
        host,
        prepare: dev,
        edit: (config) => {
          imageDev(config);
          config.linux['devices'] = [
            { path: '/dev/fuse', type: 'c', major: 10, minor: 229, uid: 7, gid: 8 },
            { path: '/dev/below/pipe', type: 'p', uid: 7, gid: 8, fileMode: 0o600 },
          ];
        },
        script: 'true',
      });
    }
    await inside.attack(t, {
      what: 'devices that are bound',
      prepare: dev,
      edit: (config, rootfs) => {
        imageDev(config);
        inNewUserNamespace(config);
        // Makes what the container's root could write to on the host reachable for it.
        chmodSync(inside.directory, 0o711);
        for (const path of ['', 'dev']) chownSync(join(rootfs, path), mapped.first, mapped.first);
        chmodSync(join(rootfs, 'dev'), 0o777);
      },
      script: 'true',
    });
  });

  // Weakened: as above. The host has a "console".
  inside.test('CVE-2025-52565: the terminal and /dev/console', async (t) => {
    for (const host of [[], devices]) {
      await inside.attack(t, {
        what: `the console${host.length > 0 ? ' that the host has' : ''}`,
        host,
        prepare: dev,
        edit: (config) => {
          imageDev(config);
          config.process.terminal = true;
        },
        mounts: (text) => mounts(text).filter(({ path }) => path.endsWith('/console')).length,
        count: 1,
      });
    }
  });
}

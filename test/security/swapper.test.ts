/**
 * While containers start, a process exchanges directories of their root with symlinks, as another
 * container with the same volume can. Whatever tare does by path then, before and after
 * pivot_root(2), stays below the root.
 *
 * Each operation is attacked for a second, with TARE_TEST_LONG=1 for half a minute.
 */
import { cli, program, skipReason, type Config } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, mounts } from '../support/inside.js';
import { Outside, secret } from './outside.js';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { allowTime } from '../support/timeout.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const seconds = process.env['TARE_TEST_LONG'] === '1' ? 30 : 1.2;
  const inside = new Inside();
  t.teardown(() => inside.remove());
  const timeout = (120 + 30 * seconds) * 1000;
  allowTime(t, timeout);
  const up = '../'.repeat(20);

  /** Pairs of a name in the root and a link that takes turns in its place. */
  const links = (rootfs: string, name: string, targets: string[]): string[] =>
    targets.flatMap((target, i) => {
      const link = join(rootfs, `${name}.link${i}`);
      symlinkSync(target, link);
      return [join(rootfs, name), link];
    });
  const outwards = (path: string): string[] => [path, up + path.slice(1)];
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

  interface Attack {
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

  let attacks = 0;
  async function attack(t: Test, one: Attack): Promise<void> {
    t.setTimeout(timeout);
    const outside = new Outside(join(inside.directory, `outside${attacks++}`), one.host);
    let names: string[] = [];
    const bundle = inside.script(one.script ?? 'cat /proc/self/mountinfo', (config, rootfs) => {
      one.edit(config, rootfs);
      names = one.prepare(rootfs, outside.path);
    });
    const before = readFileSync('/proc/self/mountinfo', 'utf8');
    let [started, failed] = [0, 0];
    await swapping(names, () => {
      const end = Date.now() + seconds * 1000;
      while (Date.now() < end || (started === 0 && failed < 2000)) {
        const result = inside.tare(['run', ...(one.flags ?? []), '-b', bundle, inside.fresh()]);
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

  const swapped = (text: string): number =>
    mounts(text).filter(({ source }) => source === 'swapped').length;
  const tmpfs = (destination: string, ...options: string[]): Config['mounts'][0] => ({
    destination,
    type: 'tmpfs',
    source: 'swapped',
    options,
  });
  const directory = (rootfs: string): void => {
    mkdirSync(join(rootfs, 'd/there'), { recursive: true });
    writeFileSync(join(rootfs, 'd/file'), '');
  };
  const plain: Attack['prepare'] = (rootfs, outside) => {
    directory(rootfs);
    return links(rootfs, 'd', outwards(outside));
  };
  const viaProc: Attack['prepare'] = (rootfs, outside) => {
    directory(rootfs);
    return links(rootfs, 'd', throughProc(outside));
  };

  // Weakened: openat2 (path.cc) without RESOLVE_IN_ROOT, on the path without its first "/". Mounts
  // are missing inside, and the host has new directories.
  inside.test('CVE-2021-30465: mounts, on what is there and on what is made', async (t) => {
    const host = ['there/', 'file'];
    const edit: Attack['edit'] = ({ mounts }) => {
      mounts.push(tmpfs('/d/new/deep'), tmpfs('/d/there'));
    };
    await attack(t, { what: 'tmpfs', host, prepare: plain, edit, mounts: swapped, count: 2 });
    const one: Attack['edit'] = ({ mounts }) => void mounts.push(tmpfs('/d/there'));
    await attack(t, {
      what: 'tmpfs, by way of /proc',
      host,
      prepare: viaProc,
      edit: one,
      mounts: swapped,
      count: 1,
    });
    await attack(t, {
      what: 'tmpfs, without pivot_root(2)',
      host,
      prepare: plain,
      edit,
      flags: ['--no-pivot'],
      mounts: swapped,
      count: 2,
    });
    await attack(t, {
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
    await attack(t, {
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
    await attack(t, {
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
    await attack(t, {
      what: 'the working directory',
      prepare: plain,
      edit: (config) => {
        config.process.cwd = '/d/work/deep';
      },
    });
  });

  const devices = ['ptmx', 'null', 'fuse', 'pipe', 'console', 'fd', 'pts/', 'shm/', 'mqueue/'];
  const dev: Attack['prepare'] = (rootfs, outside) => links(rootfs, 'dev', outwards(outside));
  const imageDev = (config: Config): void => {
    config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
  };
  // Weakened: as above. The host has the nodes.
  inside.test('CVE-2026-41579: /dev, empty or filled', async (t) => {
    for (const host of [[], devices]) {
      await attack(t, {
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
    await attack(t, {
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
      await attack(t, {
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

  // Weakened: open_masked (path.cc) always calls open_below. Of seven masked and read-only paths in
  // /proc some are missing in one start of five.
  inside.test('CVE-2025-31133: masked and read-only paths', async (t) => {
    // Identified by their parent, because the paths change while the table is read.
    const masked = (text: string): number => {
      const lines = text.split('\n').map((line) => line.split(' '));
      const proc = lines.find((words) => words.at(-3) === 'proc' && words[3] === '/');
      return lines.filter(([, parent]) => parent === proc?.[0]).length;
    };
    const usual = masked(inside.stdoutOf('cat /proc/self/mountinfo'));
    t.ok(usual > 5);
    const mounted = 'for p in /proc /other; do cat $p/self/mountinfo 2>/dev/null && break; done';
    await attack(t, {
      what: 'another directory in the place of /proc',
      prepare: (rootfs) => {
        mkdirSync(join(rootfs, 'other'));
        return [join(rootfs, 'proc'), join(rootfs, 'other')];
      },
      edit: () => undefined,
      script: mounted,
      mounts: masked,
      count: usual,
    });
    // Weakened: plan/masked_paths.cc without absolute_path(), as above.
    await attack(t, {
      what: 'another directory in the place of /proc, which is spelt in other ways',
      prepare: (rootfs) => {
        mkdirSync(join(rootfs, 'other'));
        return [join(rootfs, 'proc'), join(rootfs, 'other')];
      },
      edit: (config) => {
        const spellings = ['/', '/.', '/tmp/..', '/absent/../..'];
        for (const list of ['maskedPaths', 'readonlyPaths']) {
          const paths = config.linux[list] as string[];
          config.linux[list] = paths.map(
            (path, i) => (spellings[i % spellings.length] ?? '') + path,
          );
        }
      },
      script: mounted,
      mounts: masked,
      count: usual,
    });
    await attack(t, {
      what: 'paths in the volume',
      host: ['there/', 'file'],
      prepare: plain,
      edit: (config) => {
        config.linux['maskedPaths'] = ['/d/file', '/d/absent'];
        config.linux['readonlyPaths'] = ['/d/there'];
      },
    });
  });

  // Weakened: enter_directory and copy_file (copy_up.cc) without O_NOFOLLOW. The container shows
  // content of the host.
  inside.test('CVE-2024-45310: what tmpcopyup copies', async (t) => {
    await attack(t, {
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
    await attack(t, {
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
    await attack(t, {
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
    await attack(t, {
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
    await attack(t, {
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

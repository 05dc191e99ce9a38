/**
 * File systems made for the container: tmpcopyup, modes, remounts, options longer than fsconfig(2)
 * accepts.
 */
import { skipReason, type Config } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, mountAt } from '../support/inside.js';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const mountinfo = 'cat /proc/self/mountinfo';
  const tmpfs = (config: Config, destination: string, ...options: string[]): void => {
    config.mounts.push({ destination, type: 'tmpfs', source: 'tmpfs', options });
  };

  /** Adds a tree with one file of each kind to the image. */
  const fill = (rootfs: string): void => {
    const data = join(rootfs, 'data');
    mkdirSync(join(data, 'a/b'), { recursive: true });
    writeFileSync(join(data, 'a/b/file'), 'deep');
    writeFileSync(join(data, 'setuid'), 'x');
    chownSync(join(data, 'setuid'), 7, 8);
    chmodSync(join(data, 'setuid'), 0o4751);
    symlinkSync('a/b', join(data, 'link'));
    symlinkSync('/nowhere', join(data, 'dangling'));
    lchownSync(join(data, 'dangling'), 9, 10);
    writeFileSync(join(data, 'big'), Buffer.alloc(3_000_000, 'z'));
    writeFileSync(join(data, 'twin'), 'twin');
    linkSync(join(data, 'twin'), join(data, 'twin2'));
    execFileSync('mkfifo', ['-m', '0620', join(data, 'fifo')]);
    // security.capability: version 2, CAP_NET_BIND_SERVICE permitted.
    const capability = '0sAQAAAgAEAAAAAAAAAAAAAAAAAAA=';
    execFileSync('setfattr', ['-n', 'security.capability', '-v', capability, join(data, 'big')]);
    execFileSync('setfattr', ['-n', 'trusted.note', '-v', 'told', join(data, 'a')]);
    for (let i = 0; i < 1500; ++i) writeFileSync(join(data, `a/n${i}`), String(i));
    chmodSync(join(data, 'a'), 0o2775);
    chmodSync(data, 0o710);
    for (const name of ['a/b', 'a', 'setuid', 'fifo', 'big', '.'])
      utimesSync(join(data, name), 1000, 2000);
  };
  const list =
    'cd /data && cat a/b/file twin2 && stat -c "%n %A %u:%g %s %Y" . a/b setuid fifo big && ' +
    'stat -c "%n %A %Y" a && readlink link && readlink dangling && stat -c %u:%g dangling && ls a | wc -l && cat a/n1499 && echo';

  inside.test('tmpcopyup: the same files, whatever they are', async (t) => {
    const plain = inside.stdoutOf(list, (_, rootfs) => {
      fill(rootfs);
    });
    const copied = inside.stdoutOf(
      `${list}; touch a/new; rm -r /data/a; ${mountinfo}`,
      (config, rootfs) => {
        fill(rootfs);
        tmpfs(config, '/data', 'tmpcopyup', 'nodev');
      },
    );
    // The size of a directory depends on the file system.
    const told = (text: string): string[] =>
      text.replace(/(?<=^(?:deeptwin\.|a\/b) \S+ \S+ )\d+ /gm, '').split('\n');
    t.strictSame(told(copied).slice(0, told(plain).length), told(plain));
    t.ok(mountAt(copied, '/data').options.includes('nodev'));
    t.ok(mountAt(copied, '/data').superOptions.includes('mode=710'));
  });

  inside.test('tmpcopyup: extended attributes, seen from the host', async (t) => {
    const bundle = inside.script('sleep 1000', (config, rootfs) => {
      fill(rootfs);
      tmpfs(config, '/data', 'tmpcopyup');
    });
    await inside.created(bundle, (id) => {
      const { pid } = JSON.parse(inside.must(['state', id]).stdout) as { pid: number };
      const attributes = execFileSync(
        'getfattr',
        [
          '-d',
          '-m',
          '-',
          '--absolute-names',
          `/proc/${pid}/root/data/big`,
          `/proc/${pid}/root/data/a`,
        ],
        { encoding: 'utf8' },
      );
      t.match(attributes, /security\.capability=0sAQAAAgAEAAAAAAAAAAAAAAAAAAA=/);
      t.match(attributes, /trusted\.note="told"/);
    });
    t.equal(
      statSync(join(bundle, 'rootfs/data/setuid')).mode & 0o7777,
      0o4751,
      'the image is as it was',
    );
  });

  inside.test('tmpcopyup: read-only, over nothing, into a user namespace', async (t) => {
    const seen = inside.stdoutOf(
      `cat /data/a/b/file; ls -A /none; ! touch /data/x 2>&1`,
      (config, rootfs) => {
        fill(rootfs);
        tmpfs(config, '/data', 'tmpcopyup', 'ro');
        tmpfs(config, '/none', 'tmpcopyup');
      },
    );
    t.equal(seen, 'deeptouch: /data/x: Read-only file system');
    const userns = inside.stdoutOf(
      'cd /data; cat a/b/file; stat -c %u:%g a/b/file own',
      (config, rootfs) => {
        mkdirSync(join(rootfs, 'data/a/b'), { recursive: true });
        writeFileSync(join(rootfs, 'data/a/b/file'), 'deep');
        writeFileSync(join(rootfs, 'data/own'), '');
        chownSync(join(rootfs, 'data/own'), mapped.first + 5, mapped.first + 6);
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
        tmpfs(config, '/data', 'tmpcopyup');
      },
    );
    t.equal(userns, 'deep65534:65534\n5:6');
  });

  inside.test('tmpcopyup: what does not fit is told', async (t) => {
    const full = inside.run('true', (config, rootfs) => {
      fill(rootfs);
      tmpfs(config, '/data', 'tmpcopyup', 'size=1m');
    });
    t.equal(full.status, 1);
    t.match(full.error, /mounts\[7\]: \w+: ENOSPC .*\(\w+\)/);
    const deep = inside.run('true', (config, rootfs) => {
      mkdirSync(join(rootfs, 'data', ...Array.from({ length: 70 }, () => 'd')), {
        recursive: true,
      });
      tmpfs(config, '/data', 'tmpcopyup');
    });
    t.equal(deep.status, 1);
    t.match(deep.error, /mounts\[7\]: .*too long/);
  });

  inside.test(
    'the mode of a tmpfs: the one given, else of the directory that it covers',
    async (t) => {
      const modes = inside.stdoutOf(
        'stat -c %a /given /covered /made /made/up',
        (config, rootfs) => {
          for (const name of ['given', 'covered']) mkdirSync(join(rootfs, name));
          for (const name of ['given', 'covered']) chmodSync(join(rootfs, name), 0o710);
          tmpfs(config, '/given', 'mode=1500');
          tmpfs(config, '/covered');
          tmpfs(config, '/made/up');
        },
      );
      t.equal(modes, '1500\n710\n755\n1777');
    },
  );

  inside.test('remount: options of the file system, attributes of the mount', async (t) => {
    const seen = inside.stdoutOf(mountinfo, (config) => {
      tmpfs(config, '/t', 'size=1m', 'nodev');
      config.mounts.push({ destination: '/t', options: ['remount', 'size=2m', 'nosuid'] });
      config.mounts.push({
        destination: '/t',
        type: 'tmpfs',
        options: ['remount', 'nr_inodes=50'],
      });
    });
    const { options, superOptions } = mountAt(seen, '/t');
    t.strictSame([options.includes('nodev'), options.includes('nosuid')], [true, true]);
    t.ok(
      superOptions.includes('size=2048k') && superOptions.includes('nr_inodes=50'),
      superOptions.join(),
    );
    const bad = inside.run('true', (config) => {
      tmpfs(config, '/t');
      config.mounts.push({ destination: '/t', options: ['remount', 'size=many'] });
    });
    t.match(
      bad.error,
      /mount \/t -o remount,size=many: config\.json: mounts\[8\]: fsconfig: EINVAL .*Bad value for 'size'/,
    );
  });

  inside.test('overlays of long options: within a page, and beyond', async (t) => {
    for (const [count, length] of [
      [4, 100],
      [60, 100],
      [2, 250],
    ] as const) {
      const seen = inside.stdoutOf(
        `cat /o/f0 /o/f${count - 1}; touch /o/new; ls /o | wc -l`,
        (config, rootfs) => {
          const base = join(rootfs, '..', 'layers');
          const layers = Array.from({ length: count }, (_, i) => {
            const layer = join(
              base,
              `${i}-`.padEnd(length - base.length > 20 ? length - base.length : 20, 'x'),
            );
            mkdirSync(layer, { recursive: true });
            writeFileSync(join(layer, `f${i}`), `<${i}>`);
            return layer;
          });
          const upper = join(base, 'upper');
          const work = join(base, 'work');
          for (const path of [upper, work]) mkdirSync(path);
          config.mounts.push({
            destination: '/o',
            type: 'overlay',
            source: 'overlay',
            options: [
              `lowerdir=${layers.join(':')}`,
              `upperdir=${upper}`,
              `workdir=${work}`,
              'nodev',
            ],
          });
        },
      );
      t.equal(seen, `<0><${count - 1}>${count + 1}`);
    }
  });
}

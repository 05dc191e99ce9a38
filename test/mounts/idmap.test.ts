/**
 * Id-mapped mounts (config.md "Idmapped mounts"): the file owners that they show, with and without
 * a user namespace.
 */
import { skipReason, type Config, type IdMapping } from '../support/tare.js';
import {
  Inside,
  inNewUserNamespace as newUserNamespace,
  mapped,
  whileMounted,
} from '../support/inside.js';
import { chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

type Mount = Config['mounts'][number];

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  /** Adds a user namespace whose root can create mount points in the container's root. */
  const inNewUserNamespace = (config: Config, rootfs: string): void => {
    newUserNamespace(config);
    chownSync(rootfs, mapped.first, mapped.first);
  };
  const range = (containerID: number, hostID: number, size: number): IdMapping[] => [
    { containerID, hostID, size },
  ];
  const add = (config: Config, mount: Mount): void => {
    config.mounts.push(mount);
  };
  /** Files of 100:211, 101:222 and 102:233, and a second such directory to mount on `below`. */
  const source = join(inside.directory, 'source');
  const other = join(inside.directory, 'other');
  for (const directory of [source, other]) {
    mkdirSync(join(directory, 'below'), { recursive: true });
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      writeFileSync(join(directory, name), name);
      chownSync(join(directory, name), 100 + index, 211 + 11 * index);
    }
  }
  symlinkSync('source', join(inside.directory, 'link'));
  const owners = (...paths: string[]): string => `stat -c %u:%g ${paths.join(' ')}`;
  const mappings = {
    uidMappings: range(100, 101_000, 100),
    gidMappings: range(200, 102_000, 100),
  };

  inside.test('explicit mappings, without and with a user namespace', async (t) => {
    const mount: Mount = { destination: '/m', source, options: ['bind'], ...mappings };
    const plain = inside.stdoutOf(`${owners('/m/a', '/m/b', '/n/a')}`, (config) => {
      add(config, mount);
      add(config, { ...mount, destination: '/n', uidMappings: range(100, 7, 1) });
    });
    t.equal(plain, '101000:102011\n101001:102022\n7:102011');

    const shifted = {
      uidMappings: range(100, mapped.first + 5, 100),
      gidMappings: range(200, mapped.first + 1000, 100),
    };
    const userns = inside.stdoutOf(
      `${owners('/m/a', '/m/b', '/l/a', '/plain/a')}`,
      (config, rootfs) => {
        inNewUserNamespace(config, rootfs);
        add(config, { ...mount, ...shifted });
        add(config, { ...mount, source: join(inside.directory, 'link'), destination: '/l' });
        add(config, { destination: '/plain', source, options: ['bind'] });
      },
    );
    // The container has no mapping for 101000, nor for the source's own 100.
    t.equal(userns, '5:1011\n6:1022\n65534:65534\n65534:65534');
  });

  inside.test('what is written through such a mount belongs to the mapped id', async (t) => {
    const volume = join(inside.directory, 'volume');
    mkdirSync(volume);
    inside.stdoutOf('touch /m/new', (config, rootfs) => {
      inNewUserNamespace(config, rootfs);
      add(config, {
        destination: '/m',
        source: volume,
        options: ['bind'],
        uidMappings: range(0, mapped.first, 65_536),
        gidMappings: range(0, mapped.first, 65_536),
      });
    });
    const { uid, gid } = statSync(join(volume, 'new'));
    t.strictSame([uid, gid], [0, 0]);
    const refused = inside.run('touch /m/other', (config) => {
      add(config, {
        destination: '/m',
        source: volume,
        options: ['bind'],
        uidMappings: range(0, mapped.first, 65_536),
        gidMappings: range(0, mapped.first, 65_536),
      });
    });
    t.match(refused.stderr, /Value too large for defined data type/);
  });

  inside.test('several ranges; idmap is of one mount, ridmap of all below', async (t) => {
    const ranges = (base: number): IdMapping[] =>
      [0, 1, 2].map((i) => ({ containerID: base + i, hostID: 1000 * (i + 1), size: 1 }));
    const mount: Mount = {
      destination: '/m',
      source,
      uidMappings: ranges(100),
      gidMappings: [211, 222, 233].flatMap((gid, i) => range(gid, 1100 * (i + 1), 1)),
    };
    await whileMounted(['--bind', other, join(source, 'below')], () => {
      const script = owners('/m/a', '/m/b', '/m/c', '/m/below/a', '/m/below/c');
      const edits: [options: string[], below: string][] = [
        [['rbind'], '100:211\n102:233'],
        [['rbind', 'idmap'], '100:211\n102:233'],
        [['rbind', 'ridmap'], '1000:1100\n3000:3300'],
      ];
      for (const [options, below] of edits) {
        const seen = inside.stdoutOf(script, (config) => {
          add(config, { ...mount, options });
        });
        t.equal(seen, `1000:1100\n2000:2200\n3000:3300\n${below}`, options.join());
      }
    });
  });

  inside.test('without mappings: those of the user namespace, new or joined', async (t) => {
    const mount: Mount = { destination: '/m', source, options: ['rbind', 'idmap'] };
    const made = inside.stdoutOf(owners('/m/a', '/m/below/a'), (config, rootfs) => {
      inNewUserNamespace(config, rootfs);
      writeFileSync(join(source, 'below/a'), '');
      add(config, mount);
    });
    t.equal(made, '100:211\n0:0');
    const owner = inside.script('sleep 1000', inNewUserNamespace);
    await inside.created(owner, (id) => {
      const { pid } = JSON.parse(inside.must(['state', id]).stdout) as { pid: number };
      const joined = inside.stdoutOf(owners('/m/a'), (config, rootfs) => {
        chownSync(rootfs, mapped.first, mapped.first);
        config.linux.namespaces.push({ type: 'user', path: `/proc/${pid}/ns/user` });
        add(config, mount);
      });
      t.equal(joined, '100:211');
    });
  });

  inside.test('a propagation of its own, and a source relative to the bundle', async (t) => {
    const seen = inside.stdoutOf(
      'stat -c %u /m/file; grep /m /proc/self/mountinfo',
      (config, rootfs) => {
        mkdirSync(join(rootfs, '../data'));
        writeFileSync(join(rootfs, '../data/file'), '');
        chownSync(join(rootfs, '../data/file'), 100, 211);
        inNewUserNamespace(config, rootfs);
        add(config, {
          destination: '/m',
          source: 'data',
          options: ['bind', 'shared'],
          uidMappings: range(100, mapped.first + 9, 1),
          gidMappings: range(211, mapped.first + 9, 1),
        });
      },
    );
    t.match(seen, /^9\n.* idmapped shared:|^9\n.*idmapped.* shared:\d+ /);
  });

  inside.test('a file system without id-mapped mounts is named', async (t) => {
    for (const userns of [false, true]) {
      const result = inside.run('true', (config, rootfs) => {
        if (userns) inNewUserNamespace(config, rootfs);
        add(config, { destination: '/m', source: '/proc/sys', options: ['bind'], ...mappings });
      });
      t.equal(result.status, 1);
      t.match(result.error, /mounts\[\d+\].*: mount_setattr: EINVAL .* has no id-mapped mounts/);
    }
  });
}

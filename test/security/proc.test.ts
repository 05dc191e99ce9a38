/** /proc and /sys are what their names say, and what is written there reaches no other file. */
import { skipReason, type Config } from '../support/tare.js';
import { Inside, inNewUserNamespace, mapped, type Edit } from '../support/inside.js';
import { Outside } from './outside.js';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const ordinary = 'it must be mounted on ordinary directory';

  const link =
    (name: string, target: string): Edit =>
    (_config, rootfs) => {
      rmdirSync(join(rootfs, name));
      symlinkSync(target, join(rootfs, name));
    };
  const refused = (t: Test, edit: Edit, message: string | RegExp, name: string): void => {
    const { status, stdout, error } = inside.run('echo started', edit);
    t.match({ status, stdout, error }, { status: 1, stdout: '', error: message }, name);
  };

  // Weakened: open_target (mount_ops.cc) without the comparison with PROC_SUPER_MAGIC. Each
  // container starts.
  inside.test('CVE-2019-16884: no symlink leads a mount into procfs', async (t) => {
    for (const target of ['/proc/self', '/proc', '../proc/sys']) {
      for (const mount of [
        { type: 'bind', source: '/etc', options: ['bind'] },
        { type: 'tmpfs', source: 'tmpfs' },
      ]) {
        const destination = target === '/proc' ? '/lead' : '/lead/attr';
        refused(
          t,
          (config, rootfs) => {
            symlinkSync(target, join(rootfs, 'lead'));
            config.mounts.push({ destination, ...mount });
          },
          target === '../proc/sys'
            ? /mounts\[7\]: /
            : /mounts\[7\]: a symlink leads it inside \/proc/,
          `${mount.type} through ${target}`,
        );
      }
    }
  });

  // Weakened: do_bind (bind_ops.cc) without not_procfs. The container starts with the directory as
  // /proc.
  inside.test('CVE-2019-16884: what is bound on /proc is a procfs', async (t) => {
    const host = new Outside(join(inside.directory, 'no-proc'), ['self/', 'self/attr/']);
    const bindProc =
      (source: string): Edit =>
      (config) => {
        config.mounts = config.mounts.filter(({ destination }) => destination !== '/proc');
        config.mounts.push({ destination: '/proc/', type: 'bind', source, options: ['rbind'] });
        delete config.linux['maskedPaths'];
        delete config.linux['readonlyPaths'];
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'pid');
      };
    refused(t, bindProc(host.path), /mounts\[\d+\]: \/proc is not a procfs/, 'a directory');
    t.match(inside.stdoutOf('cat /proc/self/comm', bindProc('/proc')), 'cat');
  });

  // Weakened: open_target (mount_ops.cc) ignores op_no_symlink. Both containers start.
  inside.test('CVE-2019-19921: /proc leads into a volume, or is no directory', async (t) => {
    const volume = join(inside.directory, 'volume');
    mkdirSync(join(volume, 'evil/self/attr'), { recursive: true });
    const inVolume: Edit = (config, rootfs) => {
      link('proc', '/volume/evil')(config, rootfs);
      const mount = { type: 'bind', source: volume, options: ['rbind'] };
      config.mounts.unshift({ destination: '/volume', ...mount });
    };
    refused(t, inVolume, ordinary, 'a volume');
    const file: Edit = (_config, rootfs) => {
      rmdirSync(join(rootfs, 'proc'));
      writeFileSync(join(rootfs, 'proc'), '');
    };
    refused(t, file, ordinary, 'a file');
  });

  // Weakened: as above. Each container starts.
  inside.test('CVE-2023-27561: /proc is a symlink of the image', async (t) => {
    for (const target of ['/tmp', 'dev', '/not/there', '/proc/self', 'proc']) {
      refused(t, link('proc', target), ordinary, `/proc -> ${target}`);
    }
  });

  // Weakened: as above. Each container starts.
  inside.test('CVE-2023-28642: so is /sys', async (t) => {
    for (const target of ['/tmp', 'dev', '/not/there', '/proc', '/proc/sys']) {
      refused(t, link('sys', target), ordinary, `/sys -> ${target}`);
    }
  });

  // Weakened: as above. All four containers start.
  inside.test('CVE-2025-54867: the same with create, and in a user namespace', async (t) => {
    for (const name of ['proc', 'sys']) {
      const edit = link(name, '/tmp');
      const create = inside.tare(['create', '-b', inside.script('true', edit), inside.fresh()]);
      t.match(create, { status: 1, error: ordinary }, name);
      const mappedEdit: Edit = (config, rootfs) => {
        edit(config, rootfs);
        inNewUserNamespace(config);
        chownSync(rootfs, mapped.first, mapped.first);
      };
      refused(t, mappedEdit, ordinary, `${name}, user namespace`);
    }
  });

  /**
   * A hook that, like a racing container, mounts a file of its own over files of the container's
   * /proc.
   */
  const redirect = (config: Config, rootfs: string, paths: string[], file: string): void => {
    const hook = join(inside.directory, 'redirect');
    writeFileSync(
      hook,
      `#!/bin/sh\nset -e\nfor path in ${paths.join(' ')}; do mount --bind ${file} ${rootfs}/$path; done\n`,
    );
    chmodSync(hook, 0o755);
    config.hooks = { createContainer: [{ path: hook, env: [`PATH=${process.env['PATH']}`] }] };
  };

  // Weakened: open_proc_file (process_ops.cc) opens the file below "/proc", without
  // RESOLVE_NO_XDEV. The covering file gets the value, and the kernel does not.
  inside.test('CVE-2025-52881: a sysctl arrives though its file is covered', async (t) => {
    const file = join(inside.directory, 'covering');
    writeFileSync(file, '');
    const seen = inside.stdoutOf(
      'umount /proc/sys/net/ipv4/ip_forward; cat /proc/sys/net/ipv4/ip_forward',
      (config, rootfs) => {
        config.linux['sysctl'] = { 'net.ipv4.ip_forward': '1' };
        const all = ['CAP_SYS_ADMIN'];
        config.process.capabilities = { bounding: all, effective: all, permitted: all };
        redirect(config, rootfs, ['proc/sys/net/ipv4/ip_forward'], file);
      },
    );
    t.equal(readFileSync(file, 'utf8'), '', 'nothing was written to what covers it');
    t.equal(seen, '1');
  });
}

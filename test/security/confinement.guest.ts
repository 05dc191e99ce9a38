/** Labels: an AppArmor profile confines the process, or the container does not start. */
import { Inside, inNewUserNamespace, mapped, mountAt, type Edit } from '../support/inside.js';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const inside = new Inside(t);

const profile = 'tare-security';
const policy = `profile ${profile} flags=(attach_disconnected) {
  file,
  capability,
  signal,
  mount,
  umount,
  deny /etc/denied w,
}
`;
const load = (action: string): number | null =>
  spawnSync('apparmor_parser', [action, '--skip-cache'], { input: policy }).status;
t.equal(load('--replace'), 0, 'the profile is loaded');
t.teardown(() => load('--remove'));

const confined: Edit = (config) => {
  config.process['apparmorProfile'] = profile;
};
const show = 'cat /proc/self/attr/apparmor/current; echo >/etc/allowed; echo >/etc/denied';
const enforced = {
  status: 1,
  stdout: `${profile} (enforce)\n`,
  stderr: /can't create \/etc\/denied: Permission denied/,
};

// Weakened: `if (false)` for op_no_symlink in open_target (mount_ops.cc). The container starts.
inside.test('CVE-2023-28642: /proc of the image does not turn AppArmor off', async (t) => {
  t.match(inside.run(show, confined), enforced, 'as a rule');
  for (const name of ['proc', 'sys']) {
    const linked: Edit = (config, rootfs) => {
      confined(config, rootfs);
      rmdirSync(join(rootfs, name));
      symlinkSync('/tmp', join(rootfs, name));
    };
    const { stdout, error } = inside.run(show, linked);
    t.match(
      { stdout, error },
      { stdout: '', error: 'must be mounted on ordinary directory' },
      name,
    );
  }
});

/**
 * A hook that, like a racing container, mounts a file of its own over files of the container's
 * /proc.
 */
const redirect =
  (file: string, paths: string[]): Edit =>
  (config, rootfs) => {
    const hook = join(inside.directory, 'redirect');
    writeFileSync(
      hook,
      `#!/bin/sh\nset -e\nfor path in ${paths.join(' ')}; do mount --bind ${file} ${rootfs}/proc/$path; done\n`,
    );
    chmodSync(hook, 0o755);
    config.hooks = { createContainer: [{ path: hook, env: [`PATH=${process.env['PATH']}`] }] };
  };
const attributes = ['1/attr/exec', '1/attr/apparmor/exec'].flatMap((path) => [
  path,
  path.replace('1/', '1/task/1/'),
]);

for (const [id, paths] of Object.entries({
  // Weakened: open_proc_file (process_ops.cc) opens "/proc" by its path, without RESOLVE_NO_XDEV.
  // The file gets the label, and the process is unconfined.
  'CVE-2025-52881: what covers attr/exec does not take the label': attributes,
  // Weakened: as above.
  'CVE-2025-62596: nor does what covers all of attr': ['1/attr/apparmor/exec'],
  // Weakened: as above.
  'CVE-2019-16884: nor what the image has there': attributes,
})) {
  inside.test(id, async (t) => {
    const file = join(inside.directory, 'covering');
    writeFileSync(file, '');
    const result = inside.run(show, (config, rootfs) => {
      confined(config, rootfs);
      redirect(file, paths)(config, rootfs);
    });
    t.match(result, enforced);
    t.equal(readFileSync(file, 'utf8'), '', 'nothing was written to it');
  });
}

// Weakened: add_labels (plan/process.cc) leaves the profile out in a user namespace. The process is
// unconfined.
inside.test('crun 1.29: AppArmor in a user namespace', async (t) => {
  const result = inside.run(`${show}; cat /proc/self/mountinfo`, (config, rootfs) => {
    confined(config, rootfs);
    inNewUserNamespace(config);
    for (const path of ['', 'etc']) chownSync(join(rootfs, path), mapped.first, mapped.first);
  });
  t.match(result.stdout, `${profile} (enforce)\n`);
  t.match(result.stderr, enforced.stderr);
  t.ok(
    mountAt(result.stdout.slice(result.stdout.indexOf('\n') + 1), '/sys').options.includes('ro'),
  );
});

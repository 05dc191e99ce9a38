/** A bundle that uses most features of init and host: hooks, a user namespace, filters, limits. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { Config, Sandbox } from '../support/tare.js';

const first = 100_000;

function makeRich(config: Config): void {
  const hook = [{ path: '/bin/true' }];
  config.hooks = {
    createRuntime: hook,
    createContainer: hook,
    startContainer: hook,
    poststart: hook,
    poststop: hook,
  };
  config.root.readonly = false;
  config.process.user = { uid: 1000, gid: 1000, additionalGids: [5], umask: 0o27 };
  config.process['oomScoreAdj'] = 100;
  config.mounts.push(
    { destination: '/copied', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] },
    { destination: '/etc/new', type: 'bind', source: '/etc/passwd', options: ['bind', 'ro'] },
    { destination: '/etc/empty', type: 'bind', source: '/var', options: ['rbind', 'ro'] },
  );
  config.linux.namespaces.push({ type: 'user' });
  config.linux['uidMappings'] = [{ containerID: 0, hostID: first, size: 65_536 }];
  config.linux['gidMappings'] = [{ containerID: 0, hostID: first, size: 65_536 }];
  config.linux['sysctl'] = { 'net.ipv4.ip_forward': '1' };
  config.linux['seccomp'] = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['reboot'], action: 'SCMP_ACT_ERRNO' }],
  };
}

export function richBundle(sandbox: Sandbox, edit?: (config: Config) => void): string {
  const bundle = sandbox.bundle(['sleep', '100000'], (config) => {
    makeRich(config);
    edit?.(config);
  });
  mkdirSync(`${bundle}/rootfs/copied/from`, { recursive: true });
  // The container's root makes the mount points.
  execFileSync('chown', ['-hR', `${first}:${first}`, `${bundle}/rootfs`]);
  return bundle;
}

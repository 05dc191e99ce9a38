/**
 * Import this first. On a host whose cgroup v2 tree is mounted beside v1 ("hybrid"), this module
 * runs the test file again in a private mount namespace where /sys/fs/cgroup is that tree, as on a
 * pure v2 host, and exits with its status. Nothing outside the namespace changes. With
 * TARE_TEST_VIEW=none it does nothing: the test sees the host as it is.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';

const cgroup2Magic = 0x63677270;

function cgroup2Mount(): string | undefined {
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((mount) => mount.split(' ')[2] === 'cgroup2');
  return line?.split(' ')[1];
}

/** Why this machine cannot run containers for tests; undefined if it can. */
export const skipReason: string | undefined = ((): string | undefined => {
  if (process.getuid?.() !== 0) return 'needs root';
  if (process.env['TARE_TEST_VIEW'] === 'none') return undefined;
  if (statfsSync('/sys/fs/cgroup').type === cgroup2Magic) return undefined;
  if (process.env['TARE_TEST_VIEW'] !== undefined) return 'the view of cgroup v2 did not work';
  const tree = cgroup2Mount();
  if (tree === undefined) return 'needs a cgroup v2 tree';
  const script = 'mount --bind "$1" /sys/fs/cgroup && shift && exec "$@"';
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  // A test runner that terminates this process on a timeout must reach the other process, too.
  const again = spawnSync(
    'setpriv',
    [
      ...['--pdeathsig', 'TERM', 'unshare', '-m', '--propagation', 'private'],
      ...['sh', '-c', script, 'sh', tree, ...self],
    ],
    { stdio: 'inherit', env: { ...process.env, TARE_TEST_VIEW: tree } },
  );
  if (again.error) return `setpriv: ${again.error.message}`;
  process.exit(again.status ?? 1);
})();

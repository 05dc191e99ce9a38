/** Queries systemd about its units. */
import { spawnSync } from 'node:child_process';

export const cgroupRoot = '/sys/fs/cgroup';

export function systemctl(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('systemctl', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`systemctl ${args.join(' ')}: ${status}: ${stderr}`);
  return stdout.trim();
}

export function property(unit: string, name: string): string {
  return systemctl('show', '--property', name, '--value', '--', unit);
}

/** Returns whether systemd knows the unit; this includes failed units. */
export function unitExists(unit: string): boolean {
  return property(unit, 'LoadState') !== 'not-found';
}

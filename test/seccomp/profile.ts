/** Compiles a profile, and runs system calls under it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { program as programOf } from '../support/build.js';

export const isX86 = process.arch === 'x64';

export interface Rule {
  names: string[];
  action: string;
  errnoRet?: number;
  args?: { index: number; value: number; valueTwo?: number; op: string }[];
}
export interface Profile {
  defaultAction?: string;
  defaultErrnoRet?: number;
  architectures?: string[];
  flags?: string[];
  syscalls?: Rule[];
}

export function write(t: Test, profile: Profile, name = 'config.json'): string {
  const path = join(t.testdirName, name);
  mkdirSync(t.testdirName, { recursive: true });
  const config = { ociVersion: '1.3.0', root: { path: 'rootfs' }, linux: { seccomp: profile } };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

export function call(program: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(programOf(program), args);
  return { status, stdout, error: stderr.toString().trim() };
}

/** Returns the outcome of each call under the profile. */
export function outcomes(t: Test, profile: Profile, calls: string[]): Record<string, string> {
  const { status, stdout, error } = call('seccomp', 'run', write(t, profile), ...calls);
  if (status !== 0) throw new Error(error);
  const lines = stdout.toString().trimEnd().split('\n');
  return Object.fromEntries(calls.map((name, index) => [name, lines[index] ?? '']));
}

export const allow = (...syscalls: Rule[]): Profile => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls,
});
export const deny = (...syscalls: Rule[]): Profile => ({
  defaultAction: 'SCMP_ACT_ERRNO',
  syscalls,
});
export const rule = (action: string, ...names: string[]): Rule => ({ names, action });

export function kernelHas(major: number, minor: number): boolean {
  const [a = 0, b = 0] = readFileSync('/proc/sys/kernel/osrelease', 'utf8').split('.').map(Number);
  return a > major || (a === major && b >= minor);
}

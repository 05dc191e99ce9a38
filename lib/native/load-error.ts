/** Explains to the user why the addon did not load. */
import { arch, platform } from 'node:process';
import { TareError } from '../errors.js';

/**
 * The glibc version that the package's addon is linked with: scripts/prebuild runs on a host that
 * has it.
 */
const oldestGlibc = '2.34';

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = than.split('.').map(Number);
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

/** Returns the version of this process's glibc; undefined with another C library. */
function glibc(): string | undefined {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime;
}

function reason(): string | undefined {
  if (platform !== 'linux') return `it runs on Linux, and this is ${platform}`;
  if (arch !== 'x64' && arch !== 'arm64') return `it is built for x64 and arm64, not for ${arch}`;
  const version = glibc();
  const other =
    'use a Node of Debian, Ubuntu, Fedora or their like, such as the image node:24-slim';
  const rest = 'The command line is static and works all the same: npx tare';
  if (version === undefined) {
    return `it needs glibc ${oldestGlibc} or newer, and this Node has another C library (Alpine's is musl); ${other}. ${rest}`;
  }
  if (isOlder(version, oldestGlibc)) {
    return `it needs glibc ${oldestGlibc} or newer, and this is ${version}; ${other} of a later release. ${rest}`;
  }
  return undefined;
}

export function addonMissing(cause: unknown): TareError {
  const message = reason() ?? (cause instanceof Error ? cause.message : String(cause));
  const error = new TareError(`tare: the addon cannot be loaded: ${message}`, {
    code: 'ERR_TARE_UNSUPPORTED',
  });
  error.cause = cause;
  return error;
}

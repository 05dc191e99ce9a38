/** The process of a sandbox's configuration. */
import { geteuid } from 'node:process';
import { invalidArgument } from '../errors.js';
import { ordinary } from '../options/option-values.js';
import type { Process, User } from '../spec/spec.js';
import { rlimitsOf } from './rlimits.js';
import { writesToHost } from './sandbox-mounts.js';
import type { OptionsBesideRoot, SandboxOptions } from './sandbox-options.js';

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a command runs, and with which variables and working directory. */
export type Command = Required<Pick<Process, 'args' | 'env' | 'cwd'>>;

/** `programs`: directories to search for programs, before the usual ones. */
export function commandOf(
  args: readonly string[],
  { cwd = '/tmp', env, tty = false }: Pick<SandboxOptions, 'cwd' | 'env' | 'tty'>,
  programs: readonly string[] = [],
): Command {
  return { args: [...args], env: environment(env, tty !== false, programs), cwd };
}

/** Returns the process of the configuration without its command. */
export function processOf(options: OptionsBesideRoot): Omit<Process, keyof Command> {
  const { tty = false, rlimits } = options;
  const size = typeof tty === 'object' ? tty : undefined;
  const capabilities = capabilitiesOf(options);
  return {
    user: userOf(options.user ?? 0),
    terminal: tty !== false,
    ...(size && { consoleSize: { height: size.rows, width: size.columns } }),
    capabilities: {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
    },
    ...(rlimits && { rlimits: rlimitsOf(rlimits) }),
    noNewPrivileges: true,
  };
}

/**
 * Returns the capabilities. In a container created by root a writable mount maps the container's
 * root to the host's, so a file capability set there (capabilities(7)) would hold on the host.
 */
function capabilitiesOf(options: OptionsBesideRoot): string[] {
  const { capabilities = [] } = options;
  if (geteuid!() === 0 && capabilities.includes('CAP_SETFCAP') && writesToHost(options)) {
    throw invalidArgument(
      'capabilities: CAP_SETFCAP: file capabilities set in a writable mount or root would hold ' +
        'on the host; leave it out, or make all mounts and the root read-only',
    );
  }
  return [...capabilities];
}

function environment(
  given: SandboxOptions['env'],
  terminal: boolean,
  programs: readonly string[],
): string[] {
  const all: Record<string, string> = {
    ...{ PATH: [...programs, path].join(':'), HOME: '/tmp', LANG: 'C.UTF-8' },
    ...(terminal && { TERM: 'xterm' }),
  };
  for (const [name, value] of Object.entries(given ?? {}))
    if (value !== undefined) all[name] = value;
  return Object.entries(all).map(([name, value]) => `${name}=${value}`);
}

export function userOf(user: number | string | User): User {
  if (typeof user === 'object') return ordinary(user);
  const [uid = 0, gid = uid] = String(user).split(':').map(Number);
  return { uid, gid };
}

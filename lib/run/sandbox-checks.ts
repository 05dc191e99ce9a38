/** Checks of the sandbox options. */
import { isAbsolute } from 'node:path';
import { invalidArgument } from '../errors.js';
import { isSeccompProfile } from '../spec/checks.js';
import {
  bytesOf,
  checkedOptions,
  eachOf,
  integerOf,
  isBoolean,
  isObject,
  isPath,
  isText,
  isTexts,
  mustBe,
  numberOf,
  oneOf,
  type Check,
  type Checks,
} from '../options/option-values.js';
import { rlimitNames, type Rlimits } from './rlimits.js';
import type { BindMount, SandboxOptions } from './sandbox-options.js';
import type { Mount, Seccomp, User } from '../spec/spec.js';
import type { TerminalSize } from '../container/terminal.js';

const maxId = 2 ** 32 - 2;
const isId: Check = (name, value) => void integerOf(name, value, 0, maxId);
const isSize: Check = (name, value) => void bytesOf(name, value);

/** More than any machine has: the kernel refuses a quota that its counters cannot hold. */
const maxCpus = 2 ** 20;
/** PID_MAX_LIMIT of the kernel. */
const maxPids = 2 ** 22;

/** A whole number that a uint64 can hold, or Infinity for no limit. */
const isLimit: Check = (name, value) => {
  if (value !== Infinity) integerOf(name, value, 0, 2 ** 64);
};

const isDestination: Check = (name, value) => {
  if (typeof value !== 'string' || !isAbsolute(value)) {
    throw mustBe(name, 'an absolute path in the container', value);
  }
  isPath(name, value);
};

const bindMount: Checks<BindMount> = {
  source: isPath,
  within: isPath,
  destination: isDestination,
  writable: isBoolean,
};

const specMount: Checks<Mount> = {
  source: isText,
  destination: isDestination,
  type: isText,
  options: eachOf(isText),
  uidMappings: eachOf(isObject),
  gidMappings: eachOf(isObject),
};

const user: Checks<User> = {
  uid: isId,
  gid: isId,
  umask: (name, value) => void integerOf(name, value, 0, 0o777),
  additionalGids: eachOf(isId),
};

const isCells: Check = (name, value) => void integerOf(name, value, 0, 65535);
const terminalSize: Checks<TerminalSize> = { columns: isCells, rows: isCells };

const limits: Checks<{ soft: number; hard: number }> = { soft: isLimit, hard: isLimit };
const isRlimit: Check = (name, value) => {
  if (typeof value === 'number') return isLimit(name, value);
  const { soft, hard } = checkedOptions<{ soft: number; hard: number }>(value, limits, name);
  if (soft === undefined || hard === undefined) {
    throw mustBe(name, 'a number or {soft, hard}', value);
  }
  if (soft > hard) throw invalidArgument(`${name}.soft: must not be more than hard (${hard})`);
};
const rlimits = Object.fromEntries(
  rlimitNames.map((name) => [name, isRlimit]),
) as unknown as Checks<Rlimits>;

const required = (name: string, key: string, value: unknown): void => {
  if (value === undefined) throw invalidArgument(`${name}.${key}: must be given`);
};

export const sandboxChecks: Checks<SandboxOptions> = {
  rootfs: isPath,
  readonly: isBoolean,
  mounts: eachOf((name, value) => {
    isObject(name, value);
    if ('type' in (value as object) || 'options' in (value as object)) {
      const { destination } = checkedOptions<Mount>(value, specMount, name);
      required(name, 'destination', destination);
      return;
    }
    const { source, destination } = checkedOptions<BindMount>(value, bindMount, name);
    required(name, 'source', source);
    required(name, 'destination', destination);
  }),
  env(name, value) {
    isTexts(name, value);
    for (const variable in value as object) {
      if (variable !== '' && !variable.includes('=')) continue;
      throw invalidArgument(`${name}.${variable}: invalid name of a variable`);
    }
  },
  cwd: isDestination,
  user(name, value) {
    if (typeof value === 'number') return isId(name, value);
    if (typeof value === 'object') {
      const { uid, gid } = checkedOptions<User>(value, user, name);
      required(name, 'uid', uid);
      required(name, 'gid', gid);
      return;
    }
    const ids = typeof value === 'string' ? /^(\d+)(?::(\d+))?$/.exec(value) : null;
    if (ids === null) throw mustBe(name, 'a uid: 1000, "1000:100" or {uid, gid}', value);
    for (const id of ids.slice(1)) if (id !== undefined) isId(name, Number(id));
  },
  hostname: isText,
  memory(name, value) {
    if (value !== Infinity) bytesOf(name, value);
  },
  cpus(name, value) {
    if (value !== Infinity) numberOf(name, value, 0.01, maxCpus);
  },
  pids(name, value) {
    if (value !== Infinity) integerOf(name, value, 1, maxPids);
  },
  network(name, value) {
    if (value === 'none' || value === 'host') return;
    if (typeof value !== 'object' || value === null) {
      throw mustBe(name, '"none", "host" or {path}', value);
    }
    const { path } = checkedOptions<{ path: string }>(value, { path: isPath }, name);
    required(name, 'path', path);
  },
  capabilities: eachOf((name, value) => {
    if (typeof value !== 'string' || !/^CAP_[A-Z0-9_]+$/.test(value)) {
      throw mustBe(name, 'the name of a capability such as "CAP_NET_BIND_SERVICE"', value);
    }
  }),
  seccomp(name, value) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return oneOf('default', 'unconfined')(name, value);
    }
    isSeccompProfile(name, value);
    // Without it the core would take the profile for one that filters nothing.
    required(name, 'defaultAction', (value as Partial<Seccomp>).defaultAction);
  },
  rlimits(name, value) {
    checkedOptions<Rlimits>(value, rlimits, name);
  },
  tmpSize: isSize,
  tty(name, value) {
    if (typeof value === 'boolean') return;
    const { columns, rows } = checkedOptions<TerminalSize>(value, terminalSize, name);
    required(name, 'columns', columns);
    required(name, 'rows', rows);
  },
  annotations: isTexts,
};

/** Returns a checked copy of a command: the program and its arguments. */
export function checkedCommand(command: unknown): string[] {
  if (typeof command === 'string') {
    throw invalidArgument(
      'command: must be an array of the program and its arguments, such as ["ls", "-l"]; ' +
        'for a shell: ["sh", "-c", "…"]',
    );
  }
  if (!Array.isArray(command) || command.length === 0) {
    throw mustBe('command', 'an array of the program and its arguments', command);
  }
  // Array.from also visits holes, and reads each element once.
  return Array.from(command, (word: unknown, index) => {
    isText(`command[${index}]`, word);
    return word as string;
  });
}

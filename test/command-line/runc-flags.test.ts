/** Each flag of runc's is a flag of tare's, in each form. */
import t from 'tap';
import { tare } from '../support/tare.js';

/**
 * The flags of runc's commands, from its sources: its man pages lack pidfd-socket of create and
 * run, all of kill, and kernel-memory of update. The type is that of the value; "hidden" flags are
 * not in help.
 */
const runc: Record<string, Record<string, string>> = {
  create: {
    ...{ bundle: 'text b', 'console-socket': 'text', 'pidfd-socket': 'text', 'pid-file': 'text' },
    ...{ 'no-pivot': 'switch', 'no-new-keyring': 'switch', 'preserve-fds': 'number' },
  },
  run: {
    ...{ bundle: 'text b', 'console-socket': 'text', 'pidfd-socket': 'text', 'pid-file': 'text' },
    ...{ 'no-pivot': 'switch', 'no-new-keyring': 'switch', 'preserve-fds': 'number' },
    ...{ detach: 'switch d', keep: 'switch', 'no-subreaper': 'switch' },
  },
  delete: { force: 'switch f' },
  kill: { all: 'hidden switch a' },
  list: { format: 'text f', quiet: 'switch q' },
  ps: { format: 'text f' },
  events: { interval: 'text', stats: 'switch' },
  exec: {
    ...{ 'console-socket': 'text', 'pidfd-socket': 'text', cwd: 'text', env: 'text e' },
    ...{ tty: 'switch t', user: 'text u', 'additional-gids': 'number g', process: 'text p' },
    ...{ detach: 'switch d', 'pid-file': 'text', 'process-label': 'text', apparmor: 'text' },
    ...{ 'no-new-privs': 'switch', cap: 'text c', 'preserve-fds': 'number', cgroup: 'text' },
    'ignore-paused': 'switch',
  },
  update: {
    ...{ resources: 'text r', 'blkio-weight': 'text', 'cpu-period': 'text', 'cpu-quota': 'text' },
    ...{ 'cpu-burst': 'text', 'cpu-share': 'text', 'cpu-rt-period': 'hidden text' },
    ...{ 'cpu-rt-runtime': 'hidden text', 'cpuset-cpus': 'text', 'cpuset-mems': 'text' },
    ...{ 'cpu-idle': 'text', memory: 'text', 'memory-reservation': 'text', 'memory-swap': 'text' },
    ...{ 'pids-limit': 'text', 'l3-cache-schema': 'text', 'mem-bw-schema': 'text' },
    ...{ 'kernel-memory': 'hidden text', 'kernel-memory-tcp': 'hidden text' },
  },
  spec: { bundle: 'text b', rootless: 'switch' },
  checkpoint: {
    ...{ 'image-path': 'text', 'work-path': 'text', 'parent-path': 'text' },
    ...{ 'leave-running': 'switch', 'tcp-established': 'switch', 'tcp-skip-in-flight': 'switch' },
    ...{ 'link-remap': 'switch', 'ext-unix-sk': 'switch', 'shell-job': 'switch' },
    ...{ 'lazy-pages': 'switch', 'status-fd': 'number', 'page-server': 'text' },
    ...{ 'file-locks': 'switch', 'pre-dump': 'switch', 'manage-cgroups-mode': 'text' },
    ...{ 'empty-ns': 'text', 'auto-dedup': 'switch' },
  },
  restore: {
    ...{ 'console-socket': 'text', 'image-path': 'text', 'work-path': 'text' },
    ...{ 'tcp-established': 'switch', 'ext-unix-sk': 'switch', 'shell-job': 'switch' },
    ...{ 'file-locks': 'switch', 'manage-cgroups-mode': 'text', bundle: 'text b' },
    ...{ detach: 'switch d', 'pid-file': 'text', 'no-subreaper': 'switch', 'no-pivot': 'switch' },
    ...{ 'empty-ns': 'text', 'auto-dedup': 'switch', 'lazy-pages': 'switch' },
    ...{ 'lsm-profile': 'text', 'lsm-mount-context': 'text' },
  },
  ...Object.fromEntries(
    ['start', 'state', 'pause', 'resume', 'features'].map((verb) => [verb, {}]),
  ),
};

for (const [verb, flags] of Object.entries(runc)) {
  t.test(`each flag that runc ${verb} has, in each form`, async (t) => {
    const { stdout } = tare([verb, '--help']);
    for (const [name, about] of Object.entries(flags)) {
      const [, hidden, type, letter] = /^(hidden )?(\w+)(?: (\w))?$/.exec(about) ?? [];
      t.equal(new RegExp(`^ {3}--${name}[ ,\n]`, 'm').test(stdout), hidden === undefined, name);
      // "--help" ends the parsing, but the words before it must be valid.
      const accepts = (...words: string[]): void => {
        const result = tare([verb, ...words, '--help']);
        t.match(result, { status: 0, stdout }, `${words.join(' ')}: ${result.error}`);
      };
      const names = [`--${name}`, `-${name}`, ...(letter === undefined ? [] : [`-${letter}`])];
      for (const spelled of names) {
        if (type === 'switch') {
          accepts(spelled);
          for (const value of ['true', 'false', '1', 'F']) accepts(`${spelled}=${value}`);
        } else {
          const value = type === 'number' ? '7' : '5s';
          accepts(spelled, value);
          accepts(`${spelled}=${value}`);
          accepts(spelled, value, spelled, value);
          // A value may look like a flag.
          if (type === 'text') accepts(spelled, '--help');
        }
      }
    }
  });
}

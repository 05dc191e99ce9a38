/** The options of a sandbox: what a command may do and what it sees. */
import type { TerminalSize } from '../container/terminal.js';
import type { ByteSize } from '../options/option-values.js';
import type { Mount, Seccomp, User } from '../spec/spec.js';
import type { Rlimits } from './rlimits.js';

/** A file or directory of the host that is mounted in the container. */
export interface BindMount {
  /**
   * Path on the host. No part of it may be a symbolic link, because a command with a writable mount
   * could have created that; see `within`.
   */
  source: string;
  /**
   * A directory of the host below which `source` is looked up, relative to it or as a path that
   * begins with it. Symbolic links are followed there unless they lead out of the directory.
   */
  within?: string;
  /** Absolute path in the container. */
  destination: string;
  /**
   * Whether the container may write to it; false by default. In a container created by root, files
   * of the host's root belong to the container's root. This needs a file system that supports
   * id-mapped mounts (`idmap`), as most do since Linux 6.6.
   */
  writable?: boolean;
}

/** What a container may do and what it sees. Each default is the safest choice. */
export interface SandboxOptions {
  /**
   * Directory of the root file system. Files keep their owners, which are not users of a container
   * created by root: it can read what every user may read.
   */
  rootfs: string;
  /**
   * Whether the root is read-only; true by default. /tmp and /run are always writable. What a
   * container created by root writes is owned by root on the host. This needs a file system that
   * supports id-mapped mounts (`idmap`), as most do since Linux 6.6.
   */
  readonly?: boolean;
  /** Bind mounts of host files, or mounts of the runtime-spec, on top of the root. */
  mounts?: readonly (BindMount | Mount)[];
  /**
   * Environment variables besides PATH, HOME and LANG. This program's variables are not inherited
   * unless they are given, e.g. as `process.env`. Undefined values are left out.
   */
  env?: Readonly<Record<string, string | undefined>>;
  /** The working directory; `/tmp` by default. */
  cwd?: string;
  /**
   * A uid, `UID:GID`, or a {@link User}; 0 by default, which is root only within the container. In
   * a container created by an ordinary user, another one needs ranges for that user in /etc/subuid
   * and /etc/subgid.
   */
  user?: number | string | User;
  /** Hostname, as in uname(2); `tare` by default. */
  hostname?: string;
  /** Max memory; there is no swap space beside it. Infinity: no limit, as for `cpus` and `pids`. */
  memory?: ByteSize;
  /** Max CPU time, in processors: 0.5 is half of one. */
  cpus?: number;
  /** Max number of processes and threads. */
  pids?: number;
  /** Limits of getrlimit(2) for each process. Absent ones are those of this program. */
  rlimits?: Rlimits;
  /** `none` (the default), `host`, or the network namespace of a path. */
  network?:
    | 'none'
    | 'host'
    | {
        /** Path of the namespace, such as `/run/netns/NAME`. */
        readonly path: string;
      };
  /** Capabilities within the container, such as `CAP_NET_BIND_SERVICE`; none by default. */
  capabilities?: readonly string[];
  /**
   * Filter of system calls: {@link defaultSeccomp} by default, a profile of your own, or
   * `unconfined`.
   */
  seccomp?: 'default' | 'unconfined' | Seccomp;
  /** Max size of /tmp, and of /dev/shm; 64 MiB each by default. */
  tmpSize?: ByteSize;
  /** Whether the program gets a pseudo-terminal as its standard streams, and its size. */
  tty?: boolean | TerminalSize;
  /** Annotations of the configuration, which also appear in the state. */
  annotations?: Readonly<Record<string, string>>;
}

/** The options of a sandbox whose root is determined elsewhere. */
export type OptionsBesideRoot = Omit<SandboxOptions, 'rootfs'>;

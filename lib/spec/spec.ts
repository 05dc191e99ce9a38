/**
 * config.json of the OCI runtime-spec, as far as tare implements it. Names and meanings are those
 * of the spec's config.md and config-linux.md.
 */
import type { IdMapping, Linux } from './linux.js';
import type { Process } from './process.js';

export type { Uint64 } from './json.js';
export type * from './linux.js';
export type * from './process.js';
export type * from './resources.js';
export type * from './seccomp.js';

/** A container's configuration, config.json: the spec's config.md. */
export interface Spec {
  /** The version of the runtime-spec that the configuration follows, e.g. `1.2.0`. */
  ociVersion: string;
  /** The process that runs in the container. */
  process?: Process;
  /** The container's root file system. */
  root: Root;
  /** Hostname; needs a `uts` namespace. */
  hostname?: string;
  /** The NIS domain name; needs a `uts` namespace. */
  domainname?: string;
  /** Mounts on top of the root, made in this order. */
  mounts?: Mount[];
  /** Programs that are run when the container is created, started and deleted. */
  hooks?: Hooks;
  /** Arbitrary metadata, which the state contains too. tare interprets none except its own. */
  annotations?: Record<string, string>;
  /** Configuration specific to Linux: namespaces, limits, devices, seccomp. */
  linux?: Linux;
}

/** The root file system: `root` in the spec's config.md. */
export interface Root {
  /** Path of the root file system, absolute or relative to the bundle. */
  path: string;
  /** Whether it is read-only; false by default. */
  readonly?: boolean;
}

/** A mount: `mounts` in the spec's config.md and config-linux.md. */
export interface Mount {
  /** Mount point, an absolute path in the container. */
  destination: string;
  /** Type of the file system; the options `bind` and `rbind` imply `bind`. */
  type?: string;
  /**
   * A device, a name or, for a bind mount, a path on the host, absolute or relative to the bundle.
   */
  source?: string;
  /** Options of mount(8), and those of the spec such as `rro` and `tmpcopyup`. */
  options?: string[];
  /** User ids of an id-mapped bind mount: `containerID` on disk is `hostID` outside. */
  uidMappings?: IdMapping[];
  /** Group ids of an id-mapped bind mount. */
  gidMappings?: IdMapping[];
}

/** A program of {@link Hooks}. */
export interface Hook {
  /** Absolute path of the program. */
  path: string;
  /** Arguments, beginning with `argv[0]`. */
  args?: string[];
  /** Environment, `NAME=value` each; the caller's is not inherited. */
  env?: string[];
  /** Seconds until it is killed. */
  timeout?: number;
}

/**
 * Programs that run at certain points. Each gets the container's state on its standard input. A
 * failed hook makes its operation fail with `ERR_TARE_HOOK_FAILED`, and ends the container;
 * failures of `poststop` are warnings.
 */
export interface Hooks {
  /** @deprecated by the spec, in favour of `createRuntime`. */
  prestart?: Hook[];
  /** Run on the host, when the namespaces exist and before the root is changed. */
  createRuntime?: Hook[];
  /** Run at the same time in the container's namespaces; the path is one of the host. */
  createContainer?: Hook[];
  /** Run in the container by `start`, before the program. */
  startContainer?: Hook[];
  /** Run on the host, when the program runs. */
  poststart?: Hook[];
  /** Run on the host, when the container is deleted. */
  poststop?: Hook[];
}

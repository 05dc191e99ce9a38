/**
 * The status of a container. `creating`: it is being created; `created`: it waits for start;
 * `running`; `paused`: all its processes are frozen; `stopped`: its process has ended.
 */
export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

/** The state of a container: that of the spec's runtime.md, and further properties. */
export interface ContainerState {
  /** The version of the runtime-spec that the state follows. */
  ociVersion: string;
  /** Id, unique in its state directory. */
  id: string;
  /** Status at the time of the call. */
  status: Status;
  /** Host pid of the container's own process; 0 when it has ended. */
  pid: number;
  /** The absolute path of the bundle. */
  bundle: string;
  /** The absolute path of the container's root file system on the host. */
  rootfs: string;
  /** Time of creation, such as `2025-01-31T12:00:00.000000000Z`. */
  created: string;
  /** Name of the user that created it. */
  owner: string;
  /** Annotations of its configuration. */
  annotations?: Record<string, string>;
}

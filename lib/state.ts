/**
 * Where in its life a container is: being created; waiting for start; running; all its processes
 * stopped; its process has ended.
 */
export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

/** The state of a container: what the spec's runtime.md says, and what else is known of it. */
export interface ContainerState {
  /** The version of the runtime-spec that the state follows. */
  ociVersion: string;
  /** Its name, unique in its state directory. */
  id: string;
  /** Where in its life it is, at the time of the answer. */
  status: Status;
  /** The host's id of the container's own process; 0 when it has ended. */
  pid: number;
  /** The absolute path of the bundle. */
  bundle: string;
  /** The absolute path of the container's root file system on the host. */
  rootfs: string;
  /** When it was created, as in `2025-01-31T12:00:00.000000000Z`. */
  created: string;
  /** The user who created it. */
  owner: string;
  /** Those of its configuration. */
  annotations?: Record<string, string>;
}

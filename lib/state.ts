export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

/** The state of a container: what the spec's runtime.md says, and what else is known of it. */
export interface ContainerState {
  /** The version of the runtime-spec that the state follows. */
  ociVersion: string;
  id: string;
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
  annotations?: Record<string, string>;
}

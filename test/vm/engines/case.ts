/** What there is to an engine: how it is started with a runtime, and what is to go well then. */
import type { Guest } from './guest.js';

/** Who makes the cgroups of containers: the runtime itself, or systemd when it asks for that. */
export const cgroupDrivers = ['cgroupfs', 'systemd'] as const;
export type CgroupDriver = (typeof cgroupDrivers)[number];

export interface Runtime {
  name: string;
  /** The executable in the guest. */
  path: string;
  driver: CgroupDriver;
}

export interface Case {
  name: string;
  /** Belongs to what `npm test` has time for. */
  basic?: boolean;
  /** Why it cannot be run, if it cannot. */
  skip?: string;
  /** Throws if anything is not as it is to be. */
  run(): Promise<void>;
}

export interface Engine {
  name: string;
  /** Runtimes that Debian packages for it. */
  peers: string[];
  /** MiB that its guest has. */
  memory: number;
  /** A command that prints its version. */
  version: string;
  /** Sets it up to use a runtime; its cases, in their order. */
  start(guest: Guest, runtime: Runtime): Promise<Case[]>;
}

export interface Outcome {
  engine: string;
  name: string;
  runtime: string;
  driver: CgroupDriver;
  /** Undefined is success. */
  failure?: string;
  skip?: string;
  seconds: number;
}

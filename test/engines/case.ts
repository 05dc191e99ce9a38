/** An engine: how it is started with a runtime, and the cases that must succeed then. */
import type { Guest } from './guest.js';

/** Whether the runtime itself makes the cgroups of containers, or systemd on its request. */
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
  /** Runs as part of `npm test`. */
  basic?: boolean;
  /** Why the case cannot run. */
  skip?: string;
  /** Throws if the case fails. */
  run(): Promise<void>;
}

export interface Engine {
  name: string;
  /** Other runtimes for it that Debian packages. */
  peers: string[];
  /** Memory of its guest in MiB. */
  memory: number;
  /** A command that prints its version. */
  version: string;
  /** Configures it to use a runtime; returns its cases in order. */
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

export { Container } from './container.js';
export type {
  CreateOptions,
  EventsOptions,
  ExecOptions,
  ExecProcess,
  RuntimeOptions,
  StdioOptions,
} from './container.js';
export { TareError } from './errors.js';
export type { TareErrorCode, TareErrorFields } from './errors.js';
export { ContainerProcess } from './process.js';
export type { ExitStatus } from './process.js';
export type * from './spec.js';
export type { ContainerState, Status } from './state.js';
export type {
  BlockIoCount,
  ContainerEvent,
  ContainerStats,
  MemoryUse,
  Pressure,
  PressureTimes,
} from './stats.js';
export type { Stdio, StdioItem } from './stdio.js';

export { Container } from './container.js';
export type {
  CreateOptions,
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
export type { Stdio, StdioItem } from './stdio.js';

export { Container } from './container.js';
export type {
  ContainerSamples,
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
export { run } from './run/run.js';
export type {
  FileSource,
  FileTarget,
  Input,
  InputItem,
  OutputItem,
  OutputTarget,
  RunOptions,
  RunStdio,
} from './run/options.js';
export type {
  LinesOptions,
  NoOptions,
  Running,
  RunningWith,
  RunResult,
  RunResultWith,
} from './run/result.js';
export type { Rlimits } from './rlimits.js';
export { sandboxSpec } from './sandbox.js';
export type { BindMount, SandboxOptions } from './sandbox.js';
export { defaultSeccomp } from './seccomp-profile.js';
export { validate } from './validate.js';
export type { SpecProblem } from './validate.js';
export type { ByteSize } from './option-values.js';
export type { Terminal, TerminalSize } from './terminal.js';
export type {
  BlockIoCount,
  ContainerEvent,
  ContainerStats,
  ContainerTotals,
  MemoryUse,
  Pressure,
  PressureTimes,
} from './stats.js';
export type { ProcessStreams, Stdio, StdioItem } from './stdio.js';

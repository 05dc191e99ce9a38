export { Container } from './container/container.js';
export type { ContainerSamples } from './container/events.js';
export type {
  CreateOptions,
  EventsOptions,
  ExecOptions,
  ExecProcess,
  RuntimeOptions,
  StdioOptions,
} from './container/options.js';
export { TareError } from './errors.js';
export type { TareErrorCode, TareErrorFields } from './errors.js';
export { ContainerProcess } from './container/process.js';
export type { ExitStatus } from './container/process.js';
export type * from './spec/spec.js';
export type { ContainerState, Status } from './container/state.js';
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
export type { Rlimits } from './run/rlimits.js';
export { sandboxSpec } from './run/sandbox-spec.js';
export type { BindMount, SandboxOptions } from './run/sandbox-options.js';
export { defaultSeccomp } from './spec/seccomp-profile.js';
export { validate } from './spec/validate.js';
export type { SpecProblem } from './spec/validate.js';
export type { ByteSize } from './options/option-values.js';
export type { Terminal, TerminalSize } from './container/terminal.js';
export type {
  BlockIoCount,
  ContainerEvent,
  ContainerStats,
  ContainerTotals,
  MemoryUse,
  Pressure,
  PressureTimes,
} from './container/stats.js';
export type { ProcessStreams, Stdio, StdioItem } from './container/stdio.js';

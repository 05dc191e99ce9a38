/**
 * Names in objects of the runtime-spec that methods of a container take. The core checks the values;
 * it ignores unknown names in a config.json, but a misspelt limit must not mean no limit.
 */
import type { ExecProcess } from '../container/options.js';
import {
  checkedOptions,
  eachOf,
  isObject,
  type Check,
  type Checks,
} from '../options/option-values.js';
import type {
  BlockIoResources,
  Box,
  Capabilities,
  CpuResources,
  CPUAffinity,
  DeviceRule,
  IOPriority,
  MemoryResources,
  Process,
  Resources,
  Rlimit,
  Scheduler,
  Seccomp,
  SeccompSyscall,
  ThrottleDevice,
  User,
} from './spec.js';

const any: Check = () => undefined;

/** Makes a check of an object's names, and of the objects in it. */
function object<T extends object>(checks: Checks<T>): Check {
  return (name, value) => void checkedOptions<T>(value, checks, name);
}

type Item<List> = NonNullable<List> extends readonly (infer T extends object)[] ? T : never;
type Member<T> = NonNullable<T>;

const throttle = eachOf(object<ThrottleDevice>({ major: any, minor: any, rate: any }));

const resources: Checks<Resources> = {
  devices: eachOf(
    object<DeviceRule>({ allow: any, type: any, major: any, minor: any, access: any }),
  ),
  memory: object<MemoryResources>({
    limit: any,
    reservation: any,
    swap: any,
    kernel: any,
    kernelTCP: any,
    swappiness: any,
    disableOOMKiller: any,
    useHierarchy: any,
    checkBeforeUpdate: any,
  }),
  cpu: object<CpuResources>({
    shares: any,
    quota: any,
    burst: any,
    period: any,
    realtimeRuntime: any,
    realtimePeriod: any,
    cpus: any,
    mems: any,
    idle: any,
  }),
  pids: object<Member<Resources['pids']>>({ limit: any }),
  blockIO: object<BlockIoResources>({
    weight: any,
    leafWeight: any,
    weightDevice: eachOf(
      object<Item<BlockIoResources['weightDevice']>>({
        major: any,
        minor: any,
        weight: any,
        leafWeight: any,
      }),
    ),
    throttleReadBpsDevice: throttle,
    throttleWriteBpsDevice: throttle,
    throttleReadIOPSDevice: throttle,
    throttleWriteIOPSDevice: throttle,
  }),
  hugepageLimits: eachOf(object<Item<Resources['hugepageLimits']>>({ pageSize: any, limit: any })),
  network: object<Member<Resources['network']>>({
    classID: any,
    priorities: eachOf(
      object<Item<Member<Resources['network']>['priorities']>>({ name: any, priority: any }),
    ),
  }),
  rdma(name, value) {
    isObject(name, value);
    const limits = object<Member<Resources['rdma']>[string]>({ hcaHandles: any, hcaObjects: any });
    for (const [device, item] of Object.entries(value as object)) limits(`${name}.${device}`, item);
  },
  unified: isObject,
};

const process: Checks<Process> = {
  terminal: any,
  consoleSize: object<Box>({ height: any, width: any }),
  user: object<User>({ uid: any, gid: any, umask: any, additionalGids: any }),
  args: any,
  env: any,
  cwd: any,
  capabilities: object<Capabilities>({
    bounding: any,
    effective: any,
    inheritable: any,
    permitted: any,
    ambient: any,
  }),
  rlimits: eachOf(object<Rlimit>({ type: any, soft: any, hard: any })),
  noNewPrivileges: any,
  apparmorProfile: any,
  oomScoreAdj: any,
  selinuxLabel: any,
  scheduler: object<Scheduler>({
    policy: any,
    nice: any,
    priority: any,
    flags: any,
    runtime: any,
    deadline: any,
    period: any,
  }),
  ioPriority: object<IOPriority>({ class: any, priority: any }),
  execCPUAffinity: object<CPUAffinity>({ initial: any, final: any }),
};

/** Checks the names in a seccomp profile. */
export const isSeccompProfile: Check = object<Seccomp>({
  defaultAction: any,
  defaultErrnoRet: any,
  architectures: any,
  flags: any,
  listenerPath: any,
  listenerMetadata: any,
  syscalls: eachOf(
    object<SeccompSyscall>({
      names: any,
      action: any,
      errnoRet: any,
      args: eachOf(
        object<Item<SeccompSyscall['args']>>({ index: any, value: any, valueTwo: any, op: any }),
      ),
    }),
  ),
});

/**
 * Returns a copy of limits of {@link Container.update}.
 *
 * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT` for an unknown name.
 */
export function checkedResources(given: unknown): Resources {
  isObject('resources', given);
  return checkedOptions<Resources>(given, resources);
}

/**
 * Returns a copy of a process of {@link Container.exec}.
 *
 * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT` for an unknown name.
 */
export function checkedProcess(given: unknown): ExecProcess {
  isObject('process', given);
  return checkedOptions<Process>(given, process);
}

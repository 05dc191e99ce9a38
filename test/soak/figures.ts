/** Counts the resources of a machine that containers could leak, and their growth over time. */
import { readFileSync, readdirSync } from 'node:fs';

/** Numbers by name. */
export type Figures = Record<string, number>;

/** Reads cgroup.stat. The kernel keeps a removed cgroup as long as something refers to it. */
function cgroupStat(name: string): number {
  const text = readFileSync('/sys/fs/cgroup/cgroup.stat', 'utf8');
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

/** Memory of the kernel itself, KiB: leaked namespaces and cgroups would appear here. */
function kernelMemory(): number {
  const meminfo = readFileSync('/proc/meminfo', 'utf8');
  const names = ['SUnreclaim', 'KernelStack', 'Percpu'];
  return names.reduce((sum, name) => {
    return sum + Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1]);
  }, 0);
}

/** What remains on the machine of containers whose names contain `tag`, and below `root`. */
export function figuresOfMachine(tag: string, root: string): Figures {
  const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n');
  return {
    mounts: mountinfo.length,
    cgroups: readdirSync('/sys/fs/cgroup').filter((name) => name.includes(tag)).length,
    'dying cgroups': cgroupStat('nr_dying_descendants'),
    'kernel KiB': kernelMemory(),
    states: readdirSync(root).filter((name) => !name.startsWith('@')).length,
  };
}

/**
 * The resources of this process; resident memory excludes the heap. `collect` runs the garbage
 * collector.
 */
export function figuresOfProcess(collect: () => void): Figures {
  collect();
  // V8's reserve for young objects depends on how many there are at a time, so count only used
  // heap.
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    'resident KiB': (rss - heapTotal) / 1024,
    'heap KiB': heapUsed / 1024,
  };
}

/** Growth of a value from one sample to the next, by linear least squares. */
export function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  let above = 0;
  let below = 0;
  values.forEach((value, index) => {
    above += (index - middle) * (value - mean);
    below += (index - middle) ** 2;
  });
  return below === 0 ? 0 : above / below;
}

export interface Growth {
  first: number;
  last: number;
  /** Growth over all cycles, by the slope. */
  total: number;
}

/** Computes the growth of each figure over equally spaced samples. */
export function growth(samples: readonly Figures[]): Record<string, Growth> {
  const names = Object.keys(samples[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const values = samples.map((sample) => sample[name] ?? NaN);
      const total = slope(values) * (values.length - 1);
      return [name, { first: values[0] ?? NaN, last: values.at(-1) ?? NaN, total }];
    }),
  );
}

/** Formats one line for each figure. */
export function growthAsText(of: Record<string, Growth>): string {
  return Object.entries(of)
    .map(([name, { first, last, total }]) => {
      const [a, b, c] = [first, last, total].map((value) => Math.round(value * 10) / 10);
      return `${name}: ${a} to ${b}, slope ${c} in all`;
    })
    .join('\n');
}

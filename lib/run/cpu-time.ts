/** Limits the CPU time that all processes of a command use together. */
import { availableParallelism } from 'node:os';
import type { Container } from '../container/container.js';
import type { TareError } from '../errors.js';
import type { Rlimits } from './rlimits.js';

/** Minimum interval between two samples, in milliseconds. */
const minInterval = 10;

/** Error codes that every further sample would meet, too. */
const lasting = new Set(['ERR_TARE_UNSUPPORTED', 'ERR_TARE_BAD_STATUS', 'ERR_TARE_NOT_FOUND']);

/**
 * Samples the CPU time of a command, each time at the earliest moment it could have reached the
 * limit.
 */
export class CpuTimeWatch {
  readonly #limit: number;
  readonly #reached: () => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /**
   * Calls `reached` when the container has used `limit` milliseconds. The caller must call stop().
   */
  constructor(container: Container, limit: number, reached: () => void) {
    this.#limit = limit;
    this.#reached = reached;
    this.#wait(container, 0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #wait(container: Container, used: number): void {
    const interval = Math.max(minInterval, (this.#limit - used) / availableParallelism());
    this.#timer = setTimeout(() => void this.#look(container), interval);
  }

  async #look(container: Container): Promise<void> {
    const used = await container.stats().then(
      ({ cpu: { usage } }) => (usage.kernel + usage.user) / 1e6,
      // Without a cgroup, only RLIMIT_CPU of each process applies. Other errors may be temporary.
      ({ code }: TareError) => (lasting.has(code) ? undefined : 0),
    );
    if (this.#stopped || used === undefined) return;
    if (used >= this.#limit) this.#reached();
    else this.#wait(container, used);
  }
}

/**
 * Adds RLIMIT_CPU, which the kernel enforces even while this program is busy. It is in whole
 * seconds and counts for each process.
 */
export function withCpuLimit(rlimits: Rlimits | undefined, cpuTimeout: number): Rlimits {
  const seconds = Math.ceil(cpuTimeout / 1000);
  const given = rlimits?.cpu ?? Infinity;
  const { soft, hard } = typeof given === 'number' ? { soft: given, hard: given } : given;
  return { ...rlimits, cpu: { soft: Math.min(soft, seconds), hard: Math.min(hard, seconds) } };
}

/** A limit of the processor time that all processes of a command use together. */
import { availableParallelism } from 'node:os';
import type { Container } from '../container.js';
import type { TareError } from '../errors.js';
import type { Rlimits } from '../rlimits.js';

/** Milliseconds between two looks at least. */
const minInterval = 10;

/** Codes of errors that further looks would have, too. */
const lasting = new Set(['ERR_TARE_UNSUPPORTED', 'ERR_TARE_BAD_STATUS', 'ERR_TARE_NOT_FOUND']);

/** Looks at what a command uses, as often as it could have come to its limit. */
export class CpuTimeWatch {
  readonly #limit: number;
  readonly #reached: () => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** Calls `reached` when the container has used `limit` milliseconds. To be stopped. */
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
      // Without a cgroup the kernel's limit of each process is all there is; what else hinders may pass.
      ({ code }: TareError) => (lasting.has(code) ? undefined : 0),
    );
    if (this.#stopped || used === undefined) return;
    if (used >= this.#limit) this.#reached();
    else this.#wait(container, used);
  }
}

/** The kernel's own limit holds also while this program is busy; it has whole seconds, for each process. */
export function withCpuLimit(rlimits: Rlimits | undefined, cpuTimeout: number): Rlimits {
  const seconds = Math.ceil(cpuTimeout / 1000);
  const given = rlimits?.cpu ?? Infinity;
  const { soft, hard } = typeof given === 'number' ? { soft: given, hard: given } : given;
  return { ...rlimits, cpu: { soft: Math.min(soft, seconds), hard: Math.min(hard, seconds) } };
}

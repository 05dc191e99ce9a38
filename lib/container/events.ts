/** The events and usage samples of a container. */
import type { NativeContainer } from '../native/binding.js';
import { settled, TareError } from '../errors.js';
import type { EventsOptions } from './options.js';
import { exitStatus } from './process.js';
import type { ContainerEvent, ContainerStats } from './stats.js';

/**
 * What {@link Container.stats} returns: a promise of one sample, and an async iterable of samples.
 */
export interface ContainerSamples extends Promise<ContainerStats>, AsyncIterable<ContainerStats> {}

/** Returns the current resource usage of a container. */
export async function currentStats(native: NativeContainer): Promise<ContainerStats> {
  return JSON.parse(await settled(native.stats())) as ContainerStats;
}

/** Returns what {@link Container.stats} returns. */
export function samplesOf(
  id: string,
  native: NativeContainer,
  options: EventsOptions,
): ContainerSamples {
  const now = currentStats(native);
  // A loop over the samples reports a failure itself.
  now.catch(() => undefined);
  return Object.assign(now, {
    [Symbol.asyncIterator]: () => further(now, id, native, options),
  });
}

async function* further(
  now: Promise<ContainerStats>,
  id: string,
  native: NativeContainer,
  options: EventsOptions,
): AsyncGenerator<ContainerStats, undefined> {
  if (options.signal?.aborted === true) return;
  yield await now;
  try {
    for await (const event of eventsOf(id, native, options)) {
      if (event.type === 'stats') yield event.data;
    }
  } catch (error) {
    // The container has ended meanwhile, and may be removed.
    const gone: unknown[] = ['ERR_TARE_BAD_STATUS', 'ERR_TARE_NOT_FOUND'];
    if (!(error instanceof TareError) || !gone.includes(error.code)) throw error;
  }
}

/** A cgroup event; undefined for a tick of the timer. */
type Happened = { oomKills: number; ended: boolean } | undefined;

/** Yields what {@link Container.events} yields. */
export async function* eventsOf(
  id: string,
  native: NativeContainer,
  { interval = 5000, signal }: EventsOptions,
): AsyncGenerator<ContainerEvent> {
  const watch = await settled(native.watch());
  const stop = (): void => watch.cancel();
  signal?.addEventListener('abort', stop);
  if (signal?.aborted === true) stop();
  const queue: Happened[] = [];
  let wake = (): void => undefined;
  const push = (happened?: Happened): void => {
    queue.push(happened);
    wake();
  };
  // Ticks that the caller missed are not repeated.
  const tick = (): unknown => queue.includes(undefined) || push();
  const clock = interval === Infinity ? undefined : setInterval(tick, interval);
  const listen = (): void => void watch.next().then(push);
  listen();
  try {
    for (;;) {
      while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const happened = queue.shift();
      if (happened === undefined) {
        const data = await currentStats(native).catch(() => undefined);
        // Without a sample the container is just ending, which the watch reports.
        if (data) yield { type: 'stats', id, data };
        continue;
      }
      for (let kill = 0; kill < happened.oomKills; kill++) yield { type: 'oom', id };
      if (happened.ended) {
        if (signal?.aborted !== true) {
          yield { type: 'exit', id, ...exitStatus(await settled(native.wait())) };
        }
        return;
      }
      listen();
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    clearInterval(clock);
    watch.cancel();
  }
}

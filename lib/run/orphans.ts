import { binding } from '../native/binding.js';

/** Milliseconds after which a state directory is examined again. */
const interval = 60_000;
const looked = new Map<string, number>();

/**
 * Removes, at most once a minute per state directory, what remains of containers whose programs
 * were killed. Their processes ended with the programs.
 */
export function removeOrphans(root: string): void {
  const now = performance.now();
  if (now - (looked.get(root) ?? -Infinity) < interval) return;
  looked.set(root, now);
  // Errors are ignored: a later call tries again.
  binding.removeOrphans({ root }).catch(() => undefined);
}

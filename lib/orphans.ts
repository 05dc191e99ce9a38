import { binding } from './binding.js';

const looked = new Set<string>();

/**
 * Removes, once per state directory, what remains of containers whose programs were killed. Their
 * processes ended with the programs.
 */
export function removeOrphans(root: string): void {
  if (looked.has(root)) return;
  looked.add(root);
  // Errors are ignored: the next program tries again.
  binding.removeOrphans({ root }).catch(() => undefined);
}

import { binding } from './binding.js';

const looked = new Set<string>();

/**
 * Removes, once for each state directory, what is left of the containers of programs that were
 * killed: their processes ended with them.
 */
export function removeOrphans(root: string): void {
  if (looked.has(root)) return;
  looked.add(root);
  // Whatever hinders that hinders nobody: the next program tries again.
  binding.removeOrphans({ root }).catch(() => undefined);
}

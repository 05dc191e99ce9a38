import { binding } from './binding.js';
import { stringify } from './json.js';
import type { Spec } from './spec.js';

/** One thing that is wrong with a configuration. */
export interface SpecProblem {
  /** Where, e.g. `linux.namespaces[2].type`. */
  path: string;
  /** What is wrong, and what to do. */
  message: string;
  /** Whether the spec allows it and tare does not do it. */
  unsupported: boolean;
}

/**
 * All that is wrong with a configuration, in the order of the document; an empty array where it can
 * be used. These are the answers that `create` would give, without the host's: no privilege is
 * needed.
 */
export function validate(spec: Spec): SpecProblem[] {
  return binding.validate(stringify(spec));
}

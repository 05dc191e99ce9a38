import { binding } from '../native/binding.js';
import { stringify } from './json.js';
import type { Spec } from './spec.js';

/** A problem in a configuration. */
export interface SpecProblem {
  /** Place in the configuration, e.g. `linux.namespaces[2].type`. */
  path: string;
  /** What is wrong, and what to do. */
  message: string;
  /** Whether the spec allows it, but tare does not implement it. */
  unsupported: boolean;
}

/**
 * Returns all problems in a configuration, in the order of the document; an empty array if it is
 * valid. These are the errors that `create` would report, except those that depend on the host. No
 * privilege is needed.
 */
export function validate(spec: Spec): SpecProblem[] {
  return binding.validate(stringify(spec));
}

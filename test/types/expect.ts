/** Assertions about types: they are checked by tsc and do nothing else. */

/** `true` for the same type, not for one that is only assignable. */
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles for `true` alone. */
export type Expect<Truth extends true> = Truth;

import type { Test } from 'tap';

/**
 * Sets the timeout of a test, or of a whole file through its root test. The comment tells the test
 * runner, which ends a file whose own timer cannot fire because the file waits for a process.
 */
export function allowTime(test: Test, milliseconds: number): void {
  test.setTimeout(milliseconds);
  test.comment(`timeout=${milliseconds}`);
}

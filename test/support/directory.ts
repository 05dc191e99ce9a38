import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** Makes a directory that the teardown of `t` removes. `name` tells whose it is. */
export function temporaryDirectory(t: Test, name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `tare-test-${name}-`));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

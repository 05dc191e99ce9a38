/** A directory of the host that no container may touch, and the check that none did. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** Text that a container must never print. */
export const secret = 'content of the host';

/**
 * All properties of an inode that a change would show in, except the access time, which reading
 * changes.
 */
function picture(path: string): string {
  const { ino, mode, nlink, uid, gid, rdev, size, mtimeNs, ctimeNs } = lstatSync(path, {
    bigint: true,
  });
  const content = (mode & 0o170000n) === 0o100000n ? readFileSync(path, 'utf8') : '';
  const target = (mode & 0o170000n) === 0o120000n ? readlinkSync(path) : '';
  const numbers = [ino, mode, nlink, uid, gid, rdev, size, mtimeNs, ctimeNs].join(' ');
  return `${numbers} ${content}${target}`;
}

function pictures(path: string): Map<string, string> {
  const all = new Map([[path, picture(path)]]);
  if (!lstatSync(path).isDirectory()) return all;
  for (const name of readdirSync(path)) {
    for (const [below, seen] of pictures(join(path, name))) all.set(below, seen);
  }
  return all;
}

export class Outside {
  readonly #before: Map<string, string>;

  /**
   * Makes the world-writable directory `path` with `names` in it: a name that ends in "/" is a
   * directory, any other is a file.
   */
  constructor(
    readonly path: string,
    names: string[] = [],
  ) {
    mkdirSync(path, { recursive: true });
    for (const name of ['file', ...names]) {
      if (name.endsWith('/')) mkdirSync(join(path, name), { recursive: true });
      else writeFileSync(join(path, name), secret);
    }
    chmodSync(path, 0o777);
    this.#before = pictures(path);
  }

  /** New, missing and changed files; empty if nothing was touched. */
  changes(): string[] {
    const now = pictures(this.path);
    const names = new Set([...this.#before.keys(), ...now.keys()]);
    return [...names].flatMap((name) => {
      const [before, after] = [this.#before.get(name), now.get(name)];
      return before === after ? [] : [`${name}: ${before ?? 'absent'} -> ${after ?? 'absent'}`];
    });
  }
}

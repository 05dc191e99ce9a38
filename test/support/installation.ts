/** Runs `tare install` on a directory that stands for a machine's root. */
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { call, type Result } from './tare.js';
import { repository, temporary } from './installed.js';

export const program = join(repository, 'dist/command-line.js');
/** The program that a checkout installs. */
export const cli = join(repository, 'build/tare');
/** The path that it is installed at. */
export const place = '/usr/local/sbin/tare';

export class Machine {
  readonly directory: string;

  constructor(t: Test) {
    this.directory = temporary(t);
  }

  tare(...words: string[]): Result {
    const [verb = '', ...rest] = words;
    return call(process.execPath, [program, verb, '--root-directory', this.directory, ...rest]);
  }

  path(path: string): string {
    return join(this.directory, path);
  }

  read(path: string): string {
    return readFileSync(this.path(path), 'utf8');
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), text);
  }

  /**
   * Every file except the documentation, with inode, modification time and mode, which show a
   * rewrite.
   */
  files(): Map<string, string> {
    return new Map([...this.#all()].filter(([path]) => !path.includes('/share/')));
  }

  /** The manual pages and completions. */
  documentation(): Map<string, string> {
    return new Map([...this.#all()].filter(([path]) => path.includes('/share/')));
  }

  #all(): Map<string, string> {
    const found = new Map<string, string>();
    for (const entry of readdirSync(this.directory, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) continue;
      const path = join(entry.parentPath, entry.name);
      const { ino, mtimeNs, mode } = statSync(path, { bigint: true });
      found.set(path.slice(this.directory.length), `${ino} ${mtimeNs} ${mode & 0o7777n}`);
    }
    return found;
  }
}

/** The library as an ordinary user has it: installed in a project that the user owns. */
import { OrdinaryUser, uid } from './ordinary-user.js';
import { call, type Result, type Sandbox } from './tare.js';
import { spawnSync } from 'node:child_process';
import { chownSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const repository = join(import.meta.dirname, '../..');

/** Any user can run its programs, wherever the repository and this Node are. */
export class ProjectOfUser {
  readonly user: OrdinaryUser;
  readonly #directory: string;
  readonly #node: string;

  constructor(sandbox: Sandbox) {
    this.user = new OrdinaryUser(sandbox);
    this.#directory = join(this.user.directory, 'project');
    const installed = join(this.#directory, 'node_modules/tare');
    mkdirSync(installed, { recursive: true });
    for (const name of ['package.json', 'dist']) {
      cpSync(join(repository, name), join(installed, name), { recursive: true });
    }
    const addon = 'build/Release/tare.node';
    cpSync(join(repository, addon), join(installed, addon));
    const loader = 'node_modules/node-gyp-build';
    cpSync(join(repository, loader), join(this.#directory, loader), { recursive: true });
    chownSync(this.#directory, uid, uid);
    const own = join(this.user.directory, 'node');
    const mayExecute = spawnSync(process.execPath, ['--version'], { uid, gid: uid }).status === 0;
    if (!mayExecute) cpSync(process.execPath, own);
    this.#node = mayExecute ? process.execPath : own;
  }

  /** Runs a module that imports from 'tare' as the user, with another Node if one is given. */
  run(code: string, node = this.#node): Result {
    return this.user.run([node, '--no-warnings', this.#program(code)]);
  }

  /** Runs such a module as root. */
  runAsRoot(code: string, node = this.#node): Result {
    return call(node, ['--no-warnings', this.#program(code)]);
  }

  #program(code: string): string {
    const program = join(this.#directory, 'program.mjs');
    writeFileSync(program, code);
    return program;
  }
}

/**
 * `tare install` and `tare uninstall`: install the command line as a program of this machine, and
 * enter it in engines. All changes are computed before the first one is made.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { InstallError, below, contentOf, isDone, make, textOf, type Change } from './change.js';
import { containerd } from './containerd.js';
import { docker } from './docker.js';
import { documentation, documentationTrait, type Page } from './documentation.js';
import { crio, podman } from './drop-in.js';
import type { Edit, Engine, EngineFiles, Entry } from './engine.js';

const help = `Usage: tare install [option ...]
       tare uninstall [option ...]

install copies the static command line to PREFIX/sbin/tare, in one step: containers that run keep the
one that they have. Manual pages and completions go to PREFIX/share. Then it prints what engines are
to be told, or tells those that --configure names. uninstall takes all of it back, from all engines.

  --prefix DIR           default: /usr/local
  --destination FILE     instead of PREFIX/sbin/tare, and nothing in PREFIX/share
  --no-manual            neither manual pages nor completions
  --configure ENGINE     containerd, podman, docker or cri-o; may be repeated
  --name NAME            of the runtime, for engines (default: tare)
  --default              make it the default runtime of these engines (not of containerd)
  --systemd-cgroup       containerd: cgroups are made by systemd (SystemdCgroup = true)
  --force                replace what is there and differs
  --dry-run              only tell what would be done
  --root-directory DIR   all of it in another root file system, such as an image's
  --help, -h             print this
`;

const options = {
  prefix: { type: 'string' },
  destination: { type: 'string' },
  'no-manual': { type: 'boolean' },
  configure: { type: 'string', multiple: true },
  name: { type: 'string' },
  default: { type: 'boolean' },
  'systemd-cgroup': { type: 'boolean' },
  force: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  'root-directory': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Given = ReturnType<typeof parse>;

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new InstallError(
      `${(error as Error).message.replace(/\. To specify.*/s, '')}; see --help`,
    );
  }
}

/** Returns the format version of a new configuration of containerd. */
function containerdVersion(root: string): string {
  if (root !== '/') return '2';
  const { stdout } = spawnSync('containerd', ['--version'], { encoding: 'utf8', timeout: 10_000 });
  // containerd 2 reads both versions, and reports version 2 as old.
  return /\bv?2\.\d+\.\d+/.test(String(stdout)) ? '3' : '2';
}

/** Text that only this program's command line contains. */
const trait = 'tare.version';

class Installation {
  readonly #root: string;
  readonly #destination: string;
  readonly #name: string;
  readonly #files: EngineFiles;
  readonly #engines: readonly Engine[];

  constructor(
    readonly given: Given,
    readonly program: string,
    readonly say: (line: string) => void,
  ) {
    this.#root = resolve(given['root-directory'] ?? '/');
    this.#destination = given.destination ?? join(this.#prefix, 'sbin/tare');
    this.#name = given.name ?? 'tare';
    if (!isAbsolute(this.#destination)) {
      const flag = given.destination === undefined ? '--prefix' : '--destination';
      throw new InstallError(
        `${flag} ${given.destination ?? given.prefix}: must be an absolute path, because engines need one`,
      );
    }
    if (!/^[A-Za-z0-9][\w.-]*$/.test(this.#name)) {
      throw new InstallError(
        `--name: invalid name "${this.#name}"; use letters, digits, "-", "_" and "."`,
      );
    }
    this.#files = {
      read: (path) => textOf(this.#on(path)),
      list: (directory) => entriesOf(this.#on(directory)),
    };
    this.#engines = [containerd(containerdVersion(this.#root)), podman, docker, crio];
  }

  /** Returns the path of a file on this machine. */
  #on(path: string): string {
    return below(this.#root, path);
  }

  #entry(): Entry {
    return {
      name: this.#name,
      program: this.#destination,
      isDefault: this.given.default ?? false,
      systemdCgroup: this.given['systemd-cgroup'] ?? false,
      force: this.given.force ?? false,
    };
  }

  #chosen(): Engine[] {
    return (this.given.configure ?? []).map((name) => {
      const wanted = name === 'crio' ? 'cri-o' : name;
      const engine = this.#engines.find((one) => one.name === wanted);
      if (engine !== undefined) return engine;
      const names = this.#engines.map((one) => one.name).join(', ');
      throw new InstallError(`--configure ${name}: unknown engine; use one of ${names}`);
    });
  }

  #binary(): Change {
    const path = this.#on(this.#destination);
    const there = contentOf(path);
    if (there !== undefined && !there.includes(trait) && !this.given.force) {
      throw new InstallError(
        `${path}: is another program; replace it with --force, or choose another --destination`,
      );
    }
    return { path, content: readFileSync(this.program), mode: 0o755 };
  }

  get #prefix(): string {
    return this.given.prefix ?? '/usr/local';
  }

  /** Returns the manual pages and completions, with their paths on this machine. */
  #documentation(): Page[] {
    if (this.given.destination !== undefined || this.given['no-manual']) return [];
    return documentation(this.program, this.#prefix).map(({ path, text }) => ({
      path: this.#on(path),
      text,
    }));
  }

  /** Whether the file exists and is not part of this program's documentation. */
  #isAnothers({ path }: Page): boolean {
    const there = textOf(path);
    return there !== undefined && !documentationTrait.test(there);
  }

  install(): void {
    const engines = this.#chosen();
    if (this.given.default && engines.length === 0) {
      throw new InstallError('--default: no engine given; name it with --configure');
    }
    const entry = this.#entry();
    const binary = this.#binary();
    const pages = this.#documentation();
    const others = pages.find((page) => this.#isAnothers(page));
    if (others !== undefined && !this.given.force) {
      throw new InstallError(
        `${others.path}: is another program's; replace it with --force, or skip it with --no-manual`,
      );
    }
    const edits = engines.map((engine) => ({
      engine,
      changes: engine.configure(this.#files, entry).map((edit) => this.#change(edit)),
    }));
    const written = pages.map(({ path, text }) => ({ path, content: text(), mode: 0o644 }));
    this.#apply([binary]);
    this.#applyDocumentation(written, 'written');
    for (const { engine, changes } of edits) {
      if (this.#apply(changes)) this.say(`${engine.name}: ${engine.afterwards}`);
    }
    if (engines.length === 0) this.#printSnippets(entry);
  }

  uninstall(): void {
    const chosen = this.#chosen();
    const engines = chosen.length > 0 ? chosen : this.#engines;
    const path = this.#on(this.#destination);
    const there = contentOf(path);
    if (there !== undefined && !there.includes(trait) && !this.given.force) {
      throw new InstallError(`${path}: is another program; remove it with --force`);
    }
    const edits = engines.map((engine) => ({
      engine,
      changes: engine.remove(this.#files, this.#name).map((edit) => this.#change(edit)),
    }));
    const pages = this.#documentation()
      .filter((page) => !this.#isAnothers(page))
      .map(({ path }) => ({ path, content: undefined, mode: 0 }));
    let changed = false;
    for (const { engine, changes } of edits) {
      if (!this.#apply(changes)) continue;
      changed = true;
      this.say(`${engine.name}: ${engine.afterwards}`);
    }
    if (there !== undefined) changed = this.#apply([{ path, content: undefined, mode: 0 }]);
    if (this.#applyDocumentation(pages, 'removed')) changed = true;
    if (!changed) this.say('there is nothing to be taken back');
  }

  #change({ path, content }: Edit): Change {
    return { path: this.#on(path), content, mode: 0o644 };
  }

  /** Makes the changes. Returns whether any was necessary. */
  #apply(changes: readonly Change[]): boolean {
    let changed = false;
    for (const change of changes) {
      const { path, content } = change;
      if (isDone(change)) {
        if (content !== undefined) this.say(`${path}: is as it should be`);
        continue;
      }
      changed = true;
      const done = content === undefined ? 'removed' : 'written';
      if (this.given['dry-run']) {
        this.say(`${path}: would be ${done}${typeof content === 'string' ? ':' : ''}`);
        if (typeof content === 'string') this.say(indented(content));
      } else {
        make(change);
        this.say(`${path}: ${done}`);
      }
    }
    return changed;
  }

  /** Makes the changes and prints one line for all. Returns whether any was necessary. */
  #applyDocumentation(changes: readonly Change[], done: 'written' | 'removed'): boolean {
    const due = changes.filter((change) => !isDone(change));
    if (due.length === 0) return false;
    if (!this.given['dry-run']) due.forEach(make);
    const verb = this.given['dry-run'] ? 'would be ' : '';
    const share = this.#on(join(this.#prefix, 'share'));
    this.say(`${share}: ${due.length} manual pages and completions ${verb}${done}`);
    return true;
  }

  #printSnippets(entry: Entry): void {
    this.say('\nWhat engines are to be told (--configure ENGINE does it):');
    for (const engine of this.#engines) {
      const { where, text } = engine.snippet(entry);
      this.say(`\n${engine.name}: ${where}\n\n${indented(text)}\n\n  Then: ${engine.afterwards}`);
    }
  }
}

function indented(text: string): string {
  return text.trimEnd().replace(/^(?=.)/gm, '    ');
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

/**
 * `words` are the arguments after `tare`; `program` is the static command line. Returns the exit
 * status.
 */
export function install(words: readonly string[], program: string): number {
  const [verb, ...rest] = words;
  try {
    const given = parse(rest);
    if (given.help) {
      process.stdout.write(help);
      return 0;
    }
    const installation = new Installation(given, program, (line) =>
      process.stdout.write(`${line}\n`),
    );
    if (verb === 'install') installation.install();
    else installation.uninstall();
    return 0;
  } catch (error) {
    if (!(error instanceof InstallError)) throw error;
    process.stderr.write(`tare ${verb}: ${error.message}\n`);
    return 1;
  }
}

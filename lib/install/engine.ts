/** The runtime's entry in an engine's configuration, and the interface of every engine. */
import { InstallError } from './change.js';

/** The entry to be made for the runtime. */
export interface Entry {
  /** Name of the runtime in the engine. */
  readonly name: string;
  /** Path of the program, as the engine sees it. */
  readonly program: string;
  /** Whether it becomes the engine's default runtime. */
  readonly isDefault: boolean;
  /** Whether systemd manages the containers' cgroups, where the engine sets that per runtime. */
  readonly systemdCgroup: boolean;
  /** Whether a different entry of that name is replaced. */
  readonly force: boolean;
}

/** A configuration file with its new content; undefined: the file is removed. */
export interface Edit {
  /** Path, as the engine sees it. */
  readonly path: string;
  readonly content: string | undefined;
}

/** A container engine. */
export interface Engine {
  readonly name: string;
  /** Returns the text to add by hand, and where. */
  snippet(entry: Entry): { where: string; text: string };
  /** Returns the files with `entry` in them. Throws InstallError. */
  configure(files: EngineFiles, entry: Entry): Edit[];
  /** Returns the files without the entry of that name. Throws InstallError. */
  remove(files: EngineFiles, name: string): Edit[];
  /** What the user must do to make the engine read its configuration. */
  readonly afterwards: string;
}

/** The engines' files. */
export interface EngineFiles {
  /** Returns undefined if the file does not exist. */
  read(path: string): string | undefined;
  /** Returns the names in a directory; none if it does not exist. */
  list(directory: string): string[];
}

/** First line of what is added; uninstall finds an entry by it. */
export const remark = '# Added by `tare install`; `tare uninstall` takes it away, and so may you.';

/** Returns the error for an existing entry with different content. */
export function conflict(path: string, name: string, line?: number): InstallError {
  const location = line === undefined ? path : `${path}:${line}`;
  return new InstallError(
    `${location}: another runtime is named "${name}"; replace it with --force, or choose another --name`,
  );
}

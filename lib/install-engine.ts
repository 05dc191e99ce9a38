/** What an engine's configuration is to know of the runtime; and what every engine's part is made of. */
import { InstallError } from './install-change.js';

/** How the runtime is to be entered. */
export interface Entry {
  /** Its name for the engine. */
  readonly name: string;
  /** The program, as the engine will see it. */
  readonly program: string;
  /** Whether it is to be the engine's default runtime. */
  readonly isDefault: boolean;
  /** Whether containers' cgroups are to be systemd's, where that stands beside the runtime. */
  readonly systemdCgroup: boolean;
  /** Whether another entry of that name gives way. */
  readonly force: boolean;
}

/** A configuration file, and what it is to hold; undefined: nothing any more. */
export interface Edit {
  /** As the engine sees it. */
  readonly path: string;
  readonly content: string | undefined;
}

/** An engine. */
export interface Engine {
  readonly name: string;
  /** What is to be added, for who does it by hand: where, and the text. */
  snippet(entry: Entry): { where: string; text: string };
  /** The files that say what `entry` does. Throws InstallError. */
  configure(files: EngineFiles, entry: Entry): Edit[];
  /** The files without the entry of that name. Throws InstallError. */
  remove(files: EngineFiles, name: string): Edit[];
  /** What is to be done for the engine to know. */
  readonly afterwards: string;
}

/** The engines' files. */
export interface EngineFiles {
  /** undefined: there is none. */
  read(path: string): string | undefined;
  /** Names in a directory; none where there is none. */
  list(directory: string): string[];
}

/** First line of what is added, by which uninstalling knows it. */
export const remark = '# Added by `tare install`; `tare uninstall` takes it away, and so may you.';

/** An entry of another content is there. */
export function conflict(path: string, name: string, line?: number): InstallError {
  const place = line === undefined ? path : `${path}:${line}`;
  return new InstallError(
    `${place}: there is another runtime "${name}"; look at it, and replace it by --force, or choose another --name`,
  );
}

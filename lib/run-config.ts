/** What run() makes of its options: the container's configuration, and where it is kept. */
import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cwd, getegid, geteuid } from 'node:process';
import { binding } from './binding.js';
import type { ConfigTexts } from './container.js';
import { TareError } from './errors.js';
import { forgetHostRoot, hostRoot } from './host-root.js';
import { stringify } from './json.js';
import { shownValue } from './option-values.js';
import { Recently } from './recently.js';
import type { RunOptions } from './run/options.js';
import {
  newRoot,
  processOf,
  rootOf,
  seccompOf,
  surroundingsOf,
  type Root,
  type SandboxOptions,
} from './sandbox.js';
import { defaultSeccompText } from './seccomp-profile.js';
import type { Mount, Spec } from './spec.js';

/** The container's config.json, in one or without its process. */
export async function configOf(
  command: readonly string[],
  options: RunOptions,
): Promise<ConfigTexts> {
  const { root, rootEntries, programs, isKnown } = await surroundings(options);
  const made = processOf(command, options);
  if (programs.length > 0 && options.env?.['PATH'] === undefined) {
    const { env: variables = [] } = made;
    made.env = variables.map((variable) =>
      variable.startsWith('PATH=') ? [variable, ...programs].join(':') : variable,
    );
  }
  const { spec: edit } = options;
  if (edit !== undefined) {
    const config = stringify(edited(edit, { ...surroundingsOf(options, root), process: made }));
    return { config, rootEntries };
  }
  const config = surroundingsText(options, root, isKnown);
  return { config, process: stringify(made), rootEntries };
}

/** What the caller's function makes of a configuration. */
function edited(edit: (spec: Spec) => Spec, spec: Spec): Spec {
  try {
    return edit(spec);
  } catch (error) {
    const why = error instanceof Error ? error.message : shownValue(error);
    throw new TareError(`spec: the function threw: ${why}`, {
      code: 'ERR_TARE_INVALID_ARGUMENT',
      cause: error,
    });
  }
}

/** What of the options is in the configuration's surroundings; the others are in its process. */
const surrounds: Record<keyof SandboxOptions, boolean> = {
  rootfs: true,
  readonly: true,
  mounts: true,
  env: false,
  cwd: false,
  // An ordinary user's mappings depend on it.
  user: true,
  hostname: true,
  memory: true,
  cpus: true,
  pids: true,
  network: true,
  capabilities: false,
  seccomp: true,
  rlimits: false,
  tmpSize: true,
  tty: false,
  annotations: true,
};
const inSurroundings = (Object.keys(surrounds) as (keyof SandboxOptions)[]).filter(
  (name) => surrounds[name],
);
let last: { of: unknown[]; text: string } | undefined;

/**
 * Whoever runs many commands mostly has the same around each of them: that is made once. `isKnown`:
 * the same `root.mounts` always have the same content.
 */
function surroundingsText(options: RunOptions, root: Root, isKnown: boolean): string {
  const euid = geteuid!();
  const gid = euid === 0 ? 0 : getegid!();
  const of = [
    ...[root.hasRun, root.mounts, euid, gid, cwd()],
    ...inSurroundings.map((name) => options[name as keyof RunOptions]),
  ];
  if (last?.of.every((value, index) => Object.is(value, of[index])) === true) return last.text;
  const text = textOf(options, root);
  // An object of somebody else's may have another content the next time.
  const known = isKnown ? root.mounts : undefined;
  if (of.every((value) => typeof value !== 'object' || value === known)) last = { of, text };
  return text;
}

function textOf(options: RunOptions, root: Root): string {
  if (seccompOf(options) !== 'default') return stringify(surroundingsOf(options, root));
  // The filter is most of the text, and the same each time.
  const { linux, ...rest } = surroundingsOf({ ...options, seccomp: 'unconfined' }, root);
  delete linux!.seccomp;
  const [most, inLinux] = [stringify(rest).slice(0, -1), stringify(linux).slice(0, -1)];
  return `${most},"linux":${inLinux},"seccomp":${defaultSeccompText()}}}`;
}

interface Surroundings {
  root: Root;
  /** See {@link ConfigTexts}. */
  rootEntries?: string;
  /** To be searched for programs, behind the usual directories. */
  programs: readonly string[];
  /** Whether nobody changes `root.mounts`, which are the same the next time. */
  isKnown: boolean;
}

/** The root of the sandbox that is asked for. */
async function surroundings(options: RunOptions): Promise<Surroundings> {
  const { rootfs } = options;
  if (rootfs !== undefined) {
    const has = directories.ask(runOf(rootfs));
    const hasRun = typeof has === 'boolean' ? has : await has;
    return { root: rootOf({ ...options, rootfs }, hasRun), programs: [], isKnown: true };
  }
  const asked = hostRoot();
  const host = asked instanceof Promise ? await asked : asked;
  const more = await resolver(options);
  const isKnown = more.length === 0;
  return {
    root: newRoot(options, isKnown ? host.mounts : [...host.mounts, ...more]),
    rootEntries: host.entries,
    programs: host.programs,
    isKnown,
  };
}

const runOf = (rootfs: string): string => join(rootfs, 'run');

const directories = new Recently(async (path) => {
  const status = await stat(path).catch(() => undefined);
  return status?.isDirectory() ?? false;
});

/** After a start that failed: what was known of its root may not hold any more. */
export function forgetRoot(rootfs: string | undefined): void {
  if (rootfs === undefined) forgetHostRoot();
  else directories.forget(runOf(rootfs));
}

/**
 * Names are looked up as on the host where its network is there. Everybody may read these files, so their owners need
 * not be mapped, which not every file system can: not the overlay that is the root of most containers.
 */
async function resolver({ network }: RunOptions): Promise<Mount[]> {
  if (network !== 'host') return [];
  const files = ['/etc/resolv.conf', '/etc/hosts'].map(async (file) => {
    const source = await realpath(file).catch(() => undefined);
    const options = ['rbind', 'nosuid', 'nodev', 'noexec', 'rro'];
    return source === undefined ? [] : [{ source, destination: file, options }];
  });
  return (await Promise.all(files)).flat();
}

/** The directory that holds containers: the core decides, for the command line and `doctor` too. */
export function stateRoot(given: string | undefined): string {
  return given === undefined ? binding.defaultRoot() : resolve(given);
}

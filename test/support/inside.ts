/**
 * Shared by the tests of init's ops: runs a script in a container of its own, and returns its
 * output.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { Sandbox, type Config, type Result } from './tare.js';

export type Edit = (config: Config, rootfs: string) => void;

/** A sandbox whose containers run one script each. */
export class Inside extends Sandbox {
  private count = 0;

  /**
   * Creates a bundle whose program is `script`; its root is writable unless `edit` changes that.
   */
  script(script: string, edit?: Edit): string {
    const bundle = this.bundle(['sh', '-c', script], (config) => {
      config.root.readonly = false;
    });
    this.edit(bundle, (config) => edit?.(config, `${bundle}/rootfs`));
    return bundle;
  }

  makeDirectory(path: string): void {
    mkdirSync(path, { recursive: true });
  }

  /** Returns an unused container id. */
  fresh(): string {
    return this.id(String(this.count++));
  }

  /** Runs `script` to its end, and returns the result. */
  run(script: string, edit?: Edit): Result {
    return this.tare(['run', '--bundle', this.script(script, edit), this.fresh()]);
  }

  /** Returns the output of `script`. Throws Error if the script fails or writes to stderr. */
  stdoutOf(script: string, edit?: Edit): string {
    const result = this.run(script, edit);
    if (result.status !== 0 || result.stderr !== '') {
      throw new Error(`${script}: ${result.status}: ${result.stderr}${result.stdout}`);
    }
    return result.stdout.trimEnd();
  }

  /** Creates a container, calls `body` with its id, and deletes it. */
  async created(bundle: string, body: (id: string) => Promise<void> | void): Promise<void> {
    const id = this.fresh();
    this.must(['create', '--bundle', bundle, id]);
    try {
      await body(id);
    } finally {
      this.must(['delete', '--force', id]);
    }
  }
}

/**
 * Mounts on the host while `body` runs; `args` are those of mount(8), with the mount point last.
 */
export async function whileMounted(
  args: string[],
  body: () => Promise<void> | void,
): Promise<void> {
  execFileSync('mount', args);
  try {
    await body();
  } finally {
    execFileSync('umount', [args.at(-1) ?? '']);
  }
}

/** A mount as /proc/self/mountinfo shows it; see proc_pid_mountinfo(5). */
export interface MountLine {
  root: string;
  path: string;
  options: string[];
  /** "shared:12", "master:3", "unbindable" */
  propagation: string[];
  type: string;
  source: string;
  superOptions: string[];
}

export function mounts(mountinfo: string): MountLine[] {
  return mountinfo
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ');
      const [, , , root = '', path = '', options = '', ...propagation] = before.split(' ');
      const [type = '', source = '', superOptions = ''] = after.split(' ');
      return {
        root,
        path,
        options: options.split(','),
        propagation: propagation.filter((word) => word !== ''),
        type,
        source,
        superOptions: superOptions.split(','),
      };
    });
}

/** Returns the topmost mount at `path`. */
export function mountAt(mountinfo: string, path: string): MountLine {
  const found = mounts(mountinfo)
    .filter((mount) => mount.path === path)
    .at(-1);
  if (found === undefined) throw new Error(`nothing is mounted at ${path}:\n${mountinfo}`);
  return found;
}

/** Returns a field of /proc/PID/status. */
export function field(status: string, name: string): string {
  const line = status.split('\n').find((one) => one.startsWith(`${name}:`));
  if (line === undefined) throw new Error(`no ${name} in ${status}`);
  return line.slice(name.length + 1).trim();
}

/** Host ids for a user namespace that no user of the host has. */
export const mapped = { first: 200_000, size: 65_536 };

/** Gives the container a new user namespace with those ids. */
export function inNewUserNamespace(config: Config): void {
  config.linux.namespaces.push({ type: 'user' });
  const mapping = [{ containerID: 0, hostID: mapped.first, size: mapped.size }];
  config.linux['uidMappings'] = mapping;
  config.linux['gidMappings'] = mapping;
}

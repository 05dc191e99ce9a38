/** A guest with the engines installed, and the functions that cases need. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Vm, quote, repository } from '../machine/vm.js';
import { writeImage } from './image.js';
import { setUp, unpackEngines } from './root.js';

/**
 * The image's archive in the guest. The guest's ordinary user may not be able to reach the
 * checkout.
 */
export const imageArchive = '/var/lib/busybox-image.tar';

/** The result of a command is not what the case expects. */
export class Unexpected extends Error {
  override name = 'Unexpected';
}

export class Output {
  constructor(
    readonly command: string,
    readonly status: number,
    readonly stdout: string,
    readonly stderr: string,
  ) {}

  #fail(what: string): never {
    const text = (name: string, output: string) =>
      output === '' ? '' : `\n${name}: ${output.trimEnd().slice(-3000)}`;
    throw new Unexpected(
      `${what}: ${this.command.trim()}\nstatus: ${this.status}` +
        text('stdout', this.stdout) +
        text('stderr', this.stderr),
    );
  }

  /** Throws Unexpected unless the result matches; a string is the whole output. */
  expect(wanted: { status?: number; stdout?: string | RegExp; stderr?: string | RegExp }): this {
    const { status = 0 } = wanted;
    if (this.status !== status) this.#fail(`status ${status} was expected`);
    for (const name of ['stdout', 'stderr'] as const) {
      const text = wanted[name];
      if (text === undefined) continue;
      const matches = typeof text === 'string' ? this[name] === text : text.test(this[name]);
      if (!matches) {
        const shown = typeof text === 'string' ? JSON.stringify(text) : String(text);
        this.#fail(`${name} was expected to be ${shown}`);
      }
    }
    return this;
  }
}

export class Guest {
  private constructor(readonly vm: Vm) {}

  /** Boots a guest with the engines of a Debian release. */
  static async boot(
    release: string,
    options: { memory: number; systemd: boolean },
  ): Promise<Guest> {
    const root = await unpackEngines(release);
    const archive = join(repository, 'build/guest/busybox-image.tar');
    mkdirSync(dirname(archive), { recursive: true });
    await writeImage(archive);
    const guest = new Guest(await Vm.boot({ ...options, root }));
    try {
      await guest.ok(setUp);
      await guest.ok(`cp ${quote(archive)} ${imageArchive}
        cp ${quote(join(repository, 'build/tare'))} /usr/bin/tare`);
      // The user messagebus exists only now.
      if (options.systemd) await guest.ok('systemctl start dbus');
    } catch (error) {
      guest.stop();
      throw error;
    }
    return guest;
  }

  /** Runs a script for at most `seconds`. */
  async run(script: string, seconds = 90): Promise<Output> {
    const { status, stdout, stderr } = await this.vm.run(
      `exec timeout --foreground --kill-after=5 ${seconds} sh -c ${quote(script)}`,
      { cwd: '/root', timeout: (seconds + 30) * 1000 },
    );
    return new Output(script, status, stdout.toString(), stderr.toString());
  }

  /** Returns the standard output of a script that must succeed. */
  async ok(script: string, seconds?: number): Promise<string> {
    return (await this.run(script, seconds)).expect({ status: 0 }).stdout;
  }

  /** Runs a script on a terminal; its error output is on stdout, too. */
  onTerminal(script: string, input = ''): Promise<Output> {
    const words = `script --quiet --return --command ${quote(script)} /dev/null`;
    // Standard input stays open, like that of an interactive terminal.
    return this.run(
      `rm -f /run/typed; mkfifo /run/typed; exec 3<>/run/typed; printf %s ${quote(input)} >&3; ${words} <&3`,
    );
  }

  /** Returns the directory of the cgroup of a process in the guest. */
  async cgroupOf(pid: number): Promise<string> {
    const text = await this.ok(`cat /proc/${pid}/cgroup`);
    return `/sys/fs/cgroup${text.trim().replace(/^0::/, '')}`;
  }

  /** Starts a daemon and waits until `ready` succeeds. */
  async daemon(name: string, command: string, ready: string): Promise<void> {
    await this.ok(
      `{ ${command}; } >/run/${name}.log 2>&1 </dev/null &
       for try in $(seq 300); do ${ready} >/dev/null 2>&1 && exit; sleep 0.2; done
       tail -n 20 /run/${name}.log; exit 1`,
      120,
    );
  }

  /** Waits until a script succeeds. */
  async until(condition: string, seconds = 30): Promise<void> {
    await this.ok(
      `for try in $(seq ${seconds * 5}); do { ${condition}; } >/dev/null && exit; sleep 0.2; done; exit 1`,
      seconds + 10,
    );
  }

  /**
   * Throws Unexpected if a cgroup, a file in `state` (the runtime's), a mount or a command line
   * contains a container's id. Monitor processes may end a little later.
   */
  async nothingStays(id: string, state: string): Promise<void> {
    // Split, so that the script's own command line does not contain the id.
    const word = `'${id.slice(0, 1)}''${id.slice(1)}'`;
    const found = await this.ok(
      `id=${word}
       echo "$id" >/run/pattern
       for try in $(seq 20); do
         {
           find /sys/fs/cgroup ${state} -name "*$id*"
           grep -F -f /run/pattern /proc/self/mountinfo
           grep -a -F -f /run/pattern /proc/[0-9]*/cmdline | tr '\\0' ' '
         } >/run/found 2>/dev/null
         [ -s /run/found ] || break
         sleep 0.5
       done
       cat /run/found`,
    );
    if (found !== '') throw new Unexpected(`of ${id} stays:\n${found.slice(0, 3000)}`);
  }

  stop(): void {
    this.vm.stop();
  }
}

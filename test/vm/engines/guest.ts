/** A guest with the engines in it, and what cases ask of it. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Vm, quote, repository } from '../vm.js';
import { writeImage } from './image.js';
import { setUp, unpackEngines } from './root.js';

/** The archive of the image in the guest, whose ordinary user may not be able to reach the checkout. */
export const imageArchive = '/var/lib/busybox-image.tar';

/** A command's end, for which a case has other words than these. */
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

  /** What is wanted of the command's end; a string is the whole output. */
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

  /** With engines of a release of Debian. */
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
      // Its user is known only now.
      if (options.systemd) await guest.ok('systemctl start dbus');
    } catch (error) {
      guest.stop();
      throw error;
    }
    return guest;
  }

  /** Runs a script, for `seconds` at most. */
  async run(script: string, seconds = 90): Promise<Output> {
    const { status, stdout, stderr } = await this.vm.run(
      `exec timeout --foreground --kill-after=5 ${seconds} sh -c ${quote(script)}`,
      { cwd: '/root', timeout: (seconds + 30) * 1000 },
    );
    return new Output(script, status, stdout.toString(), stderr.toString());
  }

  /** The standard output of a script that succeeds. */
  async ok(script: string, seconds?: number): Promise<string> {
    return (await this.run(script, seconds)).expect({ status: 0 }).stdout;
  }

  /** Runs a script on a terminal; what it prints as an error is on stdout, too. */
  onTerminal(script: string, input = ''): Promise<Output> {
    const words = `script --quiet --return --command ${quote(script)} /dev/null`;
    // Its standard input stays open, as a person's terminal does.
    return this.run(
      `rm -f /run/typed; mkfifo /run/typed; exec 3<>/run/typed; printf %s ${quote(input)} >&3; ${words} <&3`,
    );
  }

  /** The cgroup that a process of the guest's is in, as a directory. */
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

  /** Waits until a script succeeds; it may take some time. */
  async until(condition: string, seconds = 30): Promise<void> {
    await this.ok(
      `for try in $(seq ${seconds * 5}); do { ${condition}; } >/dev/null && exit; sleep 0.2; done; exit 1`,
      seconds + 10,
    );
  }

  /**
   * Fails if anything on the machine keeps a container's id in its name; `state` is the runtime's. Monitors may end a
   * little later.
   */
  async nothingStays(id: string, state: string): Promise<void> {
    // No command line of the script's own must have it.
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

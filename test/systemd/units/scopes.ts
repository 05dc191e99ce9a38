/** A sandbox whose containers get their cgroups from systemd. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { cgroupRoot } from '../../support/systemd-units.js';
import { Sandbox, exitOf, state, type Config, type Result } from '../../support/tare.js';

export const global = ['--systemd-cgroup'];

export class Scopes extends Sandbox {
  /** tare with --systemd-cgroup. The verbs that find a container do not need it. */
  withSystemd(args: string[], env?: NodeJS.ProcessEnv): Result {
    return this.tare(args, { global, env });
  }

  /** Starts a container and returns its id; `edit` changes its config. */
  async started(t: Test, name: string, edit?: (config: Config) => void): Promise<string> {
    const id = this.id(name);
    const bundle = this.bundle(['sleep', '1000'], edit);
    const child = this.spawn(['run', '--detach', '--bundle', bundle, id], {
      global,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    t.equal(await exitOf(child), 0, `${name} runs`);
    return id;
  }

  cgroupOf(id: string): string {
    const { pid } = state(this.must(['state', id]).stdout);
    return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;
  }

  fileOf(id: string, file: string): string {
    return readFileSync(join(cgroupRoot, this.cgroupOf(id), file), 'utf8').trim();
  }
}

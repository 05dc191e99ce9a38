/**
 * Shared by the tests of checkpoint and restore: a container that counts, and that must continue to
 * count after a restore.
 */
import { execFileSync, type SpawnOptions } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Sandbox } from './tare.js';
import { exitOf, state, type Config } from './tare.js';

/** Loads the kernel modules that criu and the iptables that it runs need. */
export function loadModules(): void {
  const modules = process.env['TARE_GUEST_MODULES'];
  if (modules === undefined) return;
  const names =
    'nf_tables nft_compat nft_ct xt_mark xt_conntrack ip_tables iptable_filter ip6_tables ip6table_filter ' +
    'nf_conntrack_netlink unix_diag inet_diag tcp_diag udp_diag raw_diag netlink_diag af_packet_diag veth tun';
  execFileSync('depmod', ['-b', modules]);
  for (const name of names.split(' ')) execFileSync('modprobe', ['-d', modules, name]);
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((done) => setTimeout(done, milliseconds));

/** Waits up to 10 seconds until `what` returns true; returns whether it did. */
export async function comes(what: () => boolean): Promise<boolean> {
  const deadline = Date.now() + 10_000;
  while (!what()) {
    if (Date.now() > deadline) return false;
    await sleep(10);
  }
  return true;
}

export const counting = 'i=0; while :; do i=$((i+1)); echo $i >/data/count; sleep 0.02; done';

export interface CounterOptions {
  edit?: (config: Config, directory: string) => void;
  script?: string;
  stdio?: SpawnOptions['stdio'];
  flags?: string[];
  global?: string[];
}

export class Counter {
  readonly id: string;
  readonly directory: string;
  readonly data: string;
  readonly bundle: string;
  readonly images: string;
  /** Global options before the verb, for run and restore. */
  readonly #global: string[] | undefined;

  private constructor(
    readonly sandbox: Sandbox,
    name: string,
    { edit, script = counting, global }: CounterOptions,
  ) {
    this.#global = global;
    this.id = sandbox.id(name);
    this.directory = mkdtempSync(join(sandbox.directory, 'work-'));
    this.data = join(this.directory, 'data');
    this.images = join(this.directory, 'images');
    mkdirSync(this.data);
    this.bundle = sandbox.bundle(['sh', '-c', script], (config) => {
      config.mounts.push({
        destination: '/data',
        type: 'bind',
        source: this.data,
        options: ['rbind', 'rw'],
      });
      edit?.(config, this.directory);
    });
    mkdirSync(join(this.bundle, 'rootfs/data'));
  }

  /** Creates a counter without starting it. */
  static prepare(sandbox: Sandbox, name: string, options: CounterOptions = {}): Counter {
    return new Counter(sandbox, name, options);
  }

  /** Starts a counter and waits until it counts. */
  static async run(sandbox: Sandbox, name: string, options: CounterOptions = {}): Promise<Counter> {
    const counter = Counter.prepare(sandbox, name, options);
    const { stdio = 'ignore', flags = [], global } = options;
    const args = ['run', '-d', '-b', counter.bundle, ...flags, counter.id];
    const child = sandbox.spawn(args, { stdio, global });
    if ((await exitOf(child)) !== 0) throw new Error(`${name} does not start`);
    if (!(await comes(() => counter.count() > 0))) throw new Error(`${name} does not count`);
    return counter;
  }

  /** Returns the current count. The file is empty for a moment during a write, which reads as 0. */
  count(): number {
    const file = join(this.data, 'count');
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  }

  /** Waits until the count has continued from `from`, and checks that it did not restart. */
  async goesOn(t: Test, from: number): Promise<void> {
    let now = 0;
    t.ok(await comes(() => (now = this.count()) > 0 && now !== from), `it counts, after ${from}`);
    t.ok(now > from && now < from + 1000, 'and did not begin anew', { now });
  }

  /** Checkpoints the container and returns its last count. */
  checkpoint(t: Test, ...flags: string[]): number {
    return this.checkpointAs(t, this.id, ...flags);
  }

  checkpointAs(t: Test, id: string, ...flags: string[]): number {
    const args = ['checkpoint', '--image-path', this.images, ...flags, id];
    const { status, stderr } = this.sandbox.tare(args);
    t.equal(status, 0, args.join(' '), { stderr });
    return this.count();
  }

  async restore(t: Test, ...flags: string[]): Promise<void> {
    await this.restoreAs(t, this.id, flags);
  }

  async restoreAs(
    t: Test,
    id: string,
    flags: string[] = [],
    stdio: SpawnOptions['stdio'] = ['ignore', 'ignore', 'inherit'],
  ): Promise<void> {
    const args = ['restore', '-d', '-b', this.bundle, '--image-path', this.images, ...flags, id];
    const child = this.sandbox.spawn(args, { stdio, global: this.#global });
    t.equal(await exitOf(child), 0, args.join(' '));
    t.equal(state(this.sandbox.must(['state', id]).stdout).status, 'running');
  }

  pid(id = this.id): number {
    return state(this.sandbox.must(['state', id]).stdout).pid;
  }

  mountinfo(id = this.id): string {
    return readFileSync(`/proc/${this.pid(id)}/mountinfo`, 'utf8');
  }

  remove(id = this.id): void {
    this.sandbox.must(['delete', '--force', id]);
  }
}

/**
 * The crash matrix: each system call that a verb's processes make fails, or kills its process, and
 * the test checks the result. A cell is (verb, role, call, occurrence, fault).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { call, cli, errorIn, program, state, type Result, type Sandbox } from '../support/tare.js';
import { errorsOf, isPassing, type Point } from './crash-matrix-calls.js';

/** One use of a verb. */
export interface Use {
  name: string;
  /** Makes what the verb acts on; returns the container's id. */
  prepare(): string;
  args(id: string): string[];
  /** The pid of an existing init that continues during the verb. */
  init?(id: string): number;
  /** Throws unless the state is that after a successful verb. */
  works(id: string): void | Promise<void>;
  /** Whether an init that was killed after the host's last message is gone, so that the host is right. */
  died?(id: string): boolean | Promise<boolean>;
  /** Whether the next verb reports the failure. */
  failsLater?(id: string, fault: string): boolean;
  /** Throws if a verb that failed has touched what it must not touch. */
  spared?(id: string): void | Promise<void>;
  /** The verb's error if init has already ended. */
  seesTheEnd?: RegExp;
  /** The verb always fails: the cells test what it does then. */
  fails?: boolean;
  /** The next cell uses the same container. */
  keeps?: boolean;
}

const columns = ['tolerated', 'told', 'told, removed', 'killed', 'not met', 'wrong'] as const;
type Outcome = (typeof columns)[number];

const timeout = 20_000;

export class Matrix {
  private readonly counts = new Map<string, Record<Outcome, number>>();
  /** "USE ROLE CALL" of each cell in which the fault occurred. */
  private readonly met = new Set<string>();
  cells = 0;

  constructor(
    private readonly sandbox: Sandbox,
    private readonly t: Test,
  ) {}

  /** The system calls of a use, in order. */
  async points(use: Use): Promise<Point[]> {
    const id = use.prepare();
    const result = this.under(['list'], use, id);
    if (use.fails) {
      if (result.status === 0) throw new Error(`${use.name}: succeeds`);
    } else {
      if (result.status !== 0) throw new Error(`${use.name}: ${result.stderr}`);
      await use.works(id);
    }
    if (!use.keeps) this.sandbox.must(['delete', '--force', id]);
    return (
      this.report()
        .split('\n')
        // restart_syscall(2) continues a call that the tracer has interrupted.
        .filter((line) => line !== '' && !line.includes(' restart_syscall '))
        .map((line) => {
          const [role = '', name = '', number = ''] = line.split(' ');
          return { role, call: name, number: Number(number) };
        })
    );
  }

  /** Runs one cell. A wrong outcome fails the test. */
  async cell(use: Use, point: Point, fault: string): Promise<Outcome> {
    const id = use.prepare();
    const { role, call: name, number } = point;
    const what = `${use.name}: ${role} ${name} ${number} ${fault}`;
    this.cells++;
    const begin = Date.now();
    const result = this.under([role, name, String(number), fault], use, id);
    const met = this.report() !== '';
    let outcome: Outcome = 'wrong';
    try {
      outcome = await this.judge(use, id, fault, met ? point : undefined, result);
    } catch (error) {
      this.t.fail(what, {
        error: error instanceof Error ? error.message : error,
        status: result.status,
        milliseconds: Date.now() - begin,
        stderr: result.stderr,
      });
      this.sandbox.tare(['delete', '--force', id]);
    }
    if (met) this.met.add(`${use.name} ${role} ${name}`);
    const key = `${use.name}\t${role}\t${name}\t${fault === 'KILL' ? 'KILL' : 'fails'}`;
    const counts = this.counts.get(key) ?? zero();
    counts[outcome]++;
    this.counts.set(key, counts);
    return outcome;
  }

  wasMet(use: Use, point: Point): boolean {
    return this.met.has(`${use.name} ${point.role} ${point.call}`);
  }

  /** The table of all cells so far. */
  table(): string[] {
    const rows = [['verb', 'role', 'call', 'fault', ...columns]];
    for (const [key, counts] of this.counts) {
      rows.push([...key.split('\t'), ...columns.map((column) => String(counts[column] || '.'))]);
    }
    const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
    return rows.map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join(' ')
        .trimEnd(),
    );
  }

  totals(): Record<Outcome, number> {
    const totals = zero();
    for (const counts of this.counts.values()) {
      for (const column of columns) totals[column] += counts[column];
    }
    return totals;
  }

  private get reportPath(): string {
    return join(this.sandbox.directory, 'report');
  }

  private report(): string {
    return readFileSync(this.reportPath, 'utf8');
  }

  private under(how: string[], use: Use, id: string): Result {
    const init = use.init ? ['--init', String(use.init(id))] : [];
    const command = [cli, '--root', this.sandbox.root, ...use.args(id)];
    const args = [this.reportPath, ...how, ...init, ...command];
    return call(program('fault'), args, { timeout });
  }

  private async judge(
    use: Use,
    id: string,
    fault: string,
    point: Point | undefined,
    result: Result,
  ): Promise<Outcome> {
    if (result.status === 124 || result.signal !== null) throw new Error('it does not end');
    const killed = point?.role === 'host' && fault === 'KILL';
    if (killed) {
      if (result.status !== 137) throw new Error(`status ${result.status} of a killed process`);
      return this.end(use, id, 'killed');
    }
    if (result.status === 0) {
      if (use.fails) throw new Error('it succeeds');
      // If init dies after the host was told of success, the container has ended early. If init
      // fails at the start gate, `start` reports the failure.
      const ofInit = point?.role.startsWith('init');
      const died =
        fault === 'KILL'
          ? ofInit && point?.call !== 'exit_group' && (await use.died?.(id))
          : ofInit &&
            point?.call === 'write' &&
            !isPassing(point, fault) &&
            use.failsLater?.(id, fault);
      if (died !== true) await use.works(id);
      return this.end(use, id, point ? 'tolerated' : 'not met');
    }
    if (!point && !use.fails) throw new Error('it fails although nothing was done to it');
    if (result.status !== 1 && result.status !== 255) throw new Error(`status ${result.status}`);
    if (point && !use.fails && isPassing(point, fault)) throw new Error('it is not made again');
    if (point) checkMessage(errorIn(result.stderr), id, point, fault, use);
    await use.spared?.(id);
    return this.end(use, id, point ? 'told' : 'not met');
  }

  /** Checks that a cell leaves nothing behind, or only what `delete --force` removes. */
  private async end(use: Use, id: string, outcome: Outcome): Promise<Outcome> {
    if (use.keeps) return outcome;
    const stays = this.sandbox.leftovers();
    if (stays.length === 0) return outcome;
    this.sandbox.must(['delete', '--force', id]);
    await until(
      () => this.sandbox.leftovers().length === 0,
      () => {
        throw new Error(`after delete --force: ${this.sandbox.leftovers().join(', ')}`);
      },
    );
    return outcome === 'told' ? 'told, removed' : outcome;
  }
}

function zero(): Record<Outcome, number> {
  return Object.fromEntries(columns.map((column) => [column, 0])) as Record<Outcome, number>;
}

/** Waits up to 5 s. */
export async function until(done: () => boolean, late: () => void): Promise<void> {
  for (let left = 500; !done(); left--) {
    if (left === 0) {
      late();
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The words that messages use for calls whose name in the kernel differs. */
const aliases: Record<string, RegExp> = {
  read: /read|recv/,
  capget: /cap/,
  execve: /exec/,
  faccessat2: /access|exec/,
  fstatfs: /statfs/,
  linkat: /link/,
  mkdirat: /mkdirat|make cgroup/,
  mknodat: /mknodat|mkfifo/,
  newfstatat: /stat/,
  openat: /open|write "|_map: write/,
  openat2: /open|make cgroup/,
  prctl: /prctl|capset/,
  pwrite64: /write/,
  recvfrom: /recv/,
  recvmsg: /recv/,
  renameat: /rename/,
  sendto: /send/,
  statx: /stat|exec/,
  symlinkat: /symlink/,
  umount2: /umount/,
  unlinkat: /unlink|rmdir|remove/,
};

/** Checks that the message names the operation, its object and the kernel's error. */
function checkMessage(error: string, id: string, point: Point, fault: string, use: Use): void {
  // The failed write may be that of the message.
  if (use.fails && point.call === 'write' && error === '') return;
  if (!error.includes(id) && !error.includes('/')) throw new Error('it does not say of what');
  const spawned = point.role.startsWith('vfork_child') || point.call === 'mmap';
  if (spawned && error.includes(`: posix_spawn: ${fault} (`)) return;
  const [, step = ''] = /^(?:(?:[a-z]+|exec in) [\w-]+: )?(.+)$/.exec(error) ?? [];
  if (use.fails) {
    // The verb's own failure may come first.
    if (step === '') throw new Error('no message');
  } else if (use.seesTheEnd?.test(step)) {
    // The verb cannot know more.
  } else if (fault === 'KILL') {
    if (!/was killed/.test(step)) throw new Error('the error does not name the killed process');
  } else if (['faccessat2', 'statx'].includes(point.call) && step.includes('$PATH')) {
    if (fault !== 'EACCES' || !step.includes('executable file not found'))
      throw new Error('not what $PATH comes to');
  } else if (point.call === 'fstatfs' && point.role.startsWith('init')) {
    // If fstatfs(2) fails, init takes the file for one that is not on procfs or devpts.
    if (!/ENODEV|procfs|not the device/.test(step)) {
      throw new Error('it does not say what is not procfs');
    }
  } else {
    if (fault === 'EACCES' && /exec: .*: permission denied: /.test(step)) return;
    const [where = '', said] = step.split(new RegExp(`: ${fault}(?: \\(|: )`));
    const call = aliases[point.call] ?? new RegExp(point.call);
    if (said === undefined) throw new Error(`it does not say ${fault}`);
    if (!call.test(where) && !where.includes('config.json: '))
      throw new Error(`it does not say ${call}`);
    if (!/.: .|\/./.test(where)) throw new Error('it does not say at what');
  }
}

/**
 * Selects each call of each role once, except those that `done` has already (verb, role and call):
 * with its most fitting errno, one that has to be retried, and a kill. Of a use that always fails,
 * selects the calls with which the host cleans up.
 */
export function selection(use: Use, points: Point[], done: Set<string>): [Point, string][] {
  const last = new Map(points.map((point) => [`${point.role} ${point.call}`, point]));
  const eligible = use.fails
    ? [...last.values()].filter(({ role }) => role === 'host')
    : points.filter(({ number }) => number === 1);
  const fresh = eligible.filter(({ role, call }) => {
    const key = [use.name.replace(/ with .*/, ''), role.replace(/\d+$/, ''), call].join(' ');
    return !done.has(key) && done.add(key);
  });
  return fresh.flatMap((point) => {
    const errors = errorsOf(point.call) ?? ['ENOMEM'];
    const chosen = errors.filter((error, i) => i === 0 || isPassing(point, error));
    return [...chosen, 'KILL'].map((fault): [Point, string] => [point, fault]);
  });
}

/** Selects every occurrence with every errno and with a kill. */
export function everything(points: Point[]): [Point, string][] {
  return points.flatMap((point) =>
    [...(errorsOf(point.call) ?? ['ENOMEM']), 'KILL'].map((fault): [Point, string] => [
      point,
      fault,
    ]),
  );
}

export function pidOf(sandbox: Sandbox, id: string): number {
  return state(sandbox.must(['state', id]).stdout).pid;
}

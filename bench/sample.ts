import { spawnSync } from 'node:child_process';

/** Steps of one contender, each a line of a script of bench/programs/spawn.cc. */
export interface Turn {
  contender: string;
  before: string[][];
  each: string[][];
  after: string[][];
}

/** Results of one contender in one round: one element per timed step, or per `pss` step. */
export interface Sample {
  round: number;
  contender: string;
  ns: number[];
  rss_kib: number[];
  pss_kib: number[];
}

export interface Samples {
  samples: Sample[];
  /** Peak memory that is reported even for an empty process. */
  ownRssKib: number;
}

function scriptOf(turns: Turn[]): string {
  const lines = turns.flatMap((turn) => [
    ['contender', turn.contender],
    ...turn.before.map((step) => ['before', ...step]),
    ...turn.each.map((step) => ['each', ...step]),
    ...turn.after.map((step) => ['after', ...step]),
  ]);
  return lines.map((line) => `${line.join('\t')}\n`).join('');
}

/**
 * Runs the turns for that many rounds.
 * @param spawn the command line of the spawn program
 */
export function takeSamples(spawn: string[], turns: Turn[], rounds: number): Samples {
  const [command = '', ...args] = [...spawn, String(rounds)];
  const { status, stdout, error } = spawnSync(command, args, {
    input: scriptOf(turns),
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 1 << 30,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`a step failed (see above): ${command} exited with ${status}`);
  const lines = stdout.trimEnd().split('\n');
  const last = JSON.parse(lines.pop() ?? '') as { own_rss_kib: number };
  return {
    samples: lines.map((line) => JSON.parse(line) as Sample),
    ownRssKib: last.own_rss_kib,
  };
}

/** Many processes at once, each calling one verb after the other on one of a few ids. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { cli, program } from '../../support/build.js';
import {
  answerOf,
  answersOfList,
  programs,
  said,
  verbs,
  type Call,
  type Program,
  type Result,
  type Verb,
} from './calls.js';

/** How often each verb is called, of the sum of all. */
const weights: Record<Verb, number> = {
  create: 14,
  run: 5,
  'run --detach': 8,
  start: 12,
  exec: 9,
  'kill KILL': 6,
  'kill TERM': 2,
  pause: 8,
  resume: 12,
  update: 5,
  delete: 8,
  'delete --force': 7,
  state: 8,
  list: 2,
  ps: 3,
};

/** Numbers from 0 to 1 that depend on `seed` alone (Weyl sequence, mixed as in MurmurHash3). */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}

export interface Choice {
  id: string;
  verb: Verb;
  program: Program;
}

/** The first calls of one actor, which depend on nothing but the seed. */
export function choices(
  seed: number,
  actor: number,
  ids: readonly string[],
  count: number,
): Choice[] {
  const next = randomNumbers(Math.imul(seed, 0x01000193) ^ Math.imul(actor, 0x85ebca77));
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
  const weighted = verbs.flatMap((verb) => Array<Verb>(weights[verb]).fill(verb));
  return Array.from({ length: count }, () => {
    const verb = pick(weighted);
    const id = pick(ids);
    const chosen = pick(programs);
    // A foreground run must come to an end.
    return { id, verb, program: verb === 'run' ? 'ends' : chosen };
  });
}

export interface Place {
  /** The state directory. */
  root: string;
  /** The bundle of each program. */
  bundles: Record<Program, string>;
  /** A document for `update --resources`. */
  resources: string;
}

function wordsOf({ id, verb, program }: Choice, { root, bundles, resources }: Place): string[] {
  const [first = '', ...flags] = verb.split(' ');
  const begin = [cli, '--root', root, first];
  switch (verb) {
    case 'create':
    case 'run':
    case 'run --detach':
      return [...begin, ...flags, '--bundle', bundles[program], id];
    case 'kill KILL':
    case 'kill TERM':
      return [...begin, id, ...flags];
    case 'exec':
      return [...begin, id, 'sh', '-c', `echo ${said.text.trim()}; exit ${said.status}`];
    case 'update':
      return [...begin, '--resources', resources, id];
    case 'list':
      return [...begin, '--format', 'json'];
    case 'ps':
      return [...begin, '--format', 'json', id];
    default:
      return [...begin, ...flags, id];
  }
}

/** Seconds. No verb takes so long, however busy the machine is. */
const timeout = 60;
/** More calls than one actor can have done in a second. */
const mostCallsInSecond = 200;

/** test/programs/callers.cc has more to say than that. */
interface Ended extends Result {
  command: number;
  began: number;
  ended: number;
  hangs?: string;
}

/** The calls that have ended, and what cannot be. */
export interface Report {
  calls: Call[];
  faults: string[];
}

export interface Size {
  actors: number;
  seconds: number;
}

/** Calls at random; in the end nothing runs and nothing should be there. */
export async function act(
  place: Place,
  ids: readonly string[],
  seed: number,
  { actors, seconds }: Size,
): Promise<Report> {
  const report: Report = { calls: [], faults: [] };
  const commands: Choice[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (choice: Choice): number => {
    const key = JSON.stringify(choice);
    const known = numbers.get(key);
    if (known !== undefined) return known;
    numbers.set(key, commands.length);
    return commands.push(choice) - 1;
  };
  const lines = Array.from({ length: actors }, (_, actor) =>
    choices(seed, actor, ids, seconds * mostCallsInSecond).map(numberOf),
  ).map((calls) => ['caller', ...calls].join('\t'));
  const words = commands.map((choice) => ['command', ...wordsOf(choice, place)].join('\t'));

  const take = (choice: Choice, result: Ended): void => {
    const { began, ended, hangs } = result;
    try {
      if (hangs !== undefined) throw new Error(`${choice.verb} ${choice.id} hangs in ${hangs}`);
      const answers =
        choice.verb === 'list'
          ? answersOfList(ids, place.root, result)
          : [answerOf(choice.verb, choice.id, place.root, result)];
      answers.forEach((answer, index) => {
        const id = choice.verb === 'list' ? (ids[index] as string) : choice.id;
        report.calls.push({ ...choice, id, began, ended, answer });
      });
    } catch (error) {
      report.faults.push(String(error));
    }
  };

  const callers = spawn(program('callers'), [String(seconds), String(timeout)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] },
  });
  const exited = once(callers, 'exit') as Promise<[number | null]>;
  callers.stdin.end([...words, ...lines].map((line) => `${line}\n`).join(''));
  let over = false;
  let removal: Promise<unknown> = Promise.resolve();
  for await (const line of createInterface({ input: callers.stdout })) {
    if (line === '{"stopped":true}') {
      // A call that waits for a paused program waits until another call ends the program.
      removal = Promise.all(ids.map((id) => removeUntil(() => over, id, place, take)));
      continue;
    }
    const result = JSON.parse(line) as Ended;
    take(commands[result.command] as Choice, result);
  }
  const [status] = await exited;
  over = true;
  await removal;
  if (status !== 0) report.faults.push(`callers: status ${status}`);
  return report;
}

/** Deletes a container again and again, and for the last time after `over()`. */
async function removeUntil(
  over: () => boolean,
  id: string,
  place: Place,
  take: (choice: Choice, result: Ended) => void,
): Promise<void> {
  const choice: Choice = { id, verb: 'delete --force', program: 'stays' };
  const [command = '', ...args] = wordsOf(choice, place);
  for (let last = false; !last;) {
    last = over();
    const began = Number(process.hrtime.bigint());
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    const [status] = (await once(child, 'close')) as [number | null];
    const ended = Number(process.hrtime.bigint());
    take(choice, { command: -1, began, ended, status, signal: 0, stdout: '', stderr });
  }
}

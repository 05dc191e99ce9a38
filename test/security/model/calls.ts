/** The verbs that are called at random, and what each answer of theirs means. */
import { errorIn } from '../../support/build.js';

/** The programs of containers: one that stays, one that ends at once, one that stays and has hooks. */
export const programs = ['stays', 'ends', 'hooked'] as const;
export type Program = (typeof programs)[number];

export const verbs = [
  'create',
  'run',
  'run --detach',
  'start',
  'exec',
  'kill KILL',
  'kill TERM',
  'pause',
  'resume',
  'update',
  'delete',
  'delete --force',
  'state',
  'list',
  'ps',
] as const;
export type Verb = (typeof verbs)[number];

export const statuses = ['creating', 'created', 'running', 'paused', 'stopped'] as const;
export type Status = (typeof statuses)[number];

/** What a call has said of one id. */
export type Answer =
  | 'done'
  | Status // that is the state, or the reason of a refusal
  | 'missing' // there is no such container
  | 'exists' // and so it cannot be created
  | 'deleted' // while it was being created
  | 'not running'
  | 'not paused'
  | 'killed'; // on the way, by another call

/** One call on one id; a call of `list` is one for each id. Times are those of one clock. */
export interface Call {
  id: string;
  verb: Verb;
  program: Program;
  began: number;
  ended: number;
  answer: Answer;
}

export interface Result {
  status: number | null;
  /** 0: it has exited. */
  signal: number;
  stdout: string;
  stderr: string;
}

/** Thrown for an answer that no state of a container explains. */
export class Inexplicable extends Error {}

type Row = [text: RegExp, answer: Answer];

const notRunning: Row = [/^container not running$/, 'not running'];
const missing: Row = [/^container ID does not exist \(in ROOT\)$/, 'missing'];
const endedEarly: Row = [
  /^init was killed by signal 9; is linux\.resources\.memory\.limit /,
  'killed',
];
const creation: Row[] = [
  [/^container with given ID already exists: ID \(in ROOT\)$/, 'exists'],
  [/^container ID was deleted while it was being created$/, 'deleted'],
  endedEarly,
];

/** The errors of each verb, without the frame that names the action and its object. */
const errors: Record<Verb, Row[]> = {
  create: creation,
  run: creation,
  'run --detach': creation,
  start: [
    missing,
    [/^cannot start a container that has stopped$/, 'stopped'],
    [/^cannot start an already running container$/, 'running'],
    [/^cannot start a container in the paused state; resume it first$/, 'paused'],
    // It ended after it was looked at.
    [/^container ID is not running$/, 'stopped'],
    [/^init has left the start gate$/, 'stopped'],
  ],
  exec: [
    missing,
    [/^cannot exec in a container that is being created$/, 'creating'],
    [/^cannot exec in a stopped container$/, 'stopped'],
    [/^cannot exec in a paused container \(use --ignore-paused to override\)$/, 'paused'],
    endedEarly,
  ],
  'kill KILL': [missing, notRunning],
  'kill TERM': [missing, notRunning],
  pause: [missing, notRunning, [/^container not running: it is paused already$/, 'paused']],
  resume: [missing, [/^container not paused$/, 'not paused']],
  update: [missing, notRunning],
  delete: [
    missing,
    [
      /^cannot delete container ID that is not stopped: running; kill it first, or use --force$/,
      'running',
    ],
    [
      /^cannot delete container ID that is not stopped: paused; kill it first, or use --force$/,
      'paused',
    ],
  ],
  'delete --force': [],
  state: [missing],
  list: [],
  ps: [missing],
};

/** The frames of an error: the action, and the container. */
const frame: Partial<Record<Verb, string>> = { exec: 'exec in' };
const bare = (verb: Verb): string => verb.split(' ')[0] ?? verb;

function reason(verb: Verb, id: string, root: string, stderr: string): string {
  let text = errorIn(stderr);
  // A container is created by `run` too, and started by that.
  for (const word of [frame[verb] ?? bare(verb), 'create', 'start']) {
    const start = `${word} ${id}: `;
    if (text.startsWith(start)) text = text.slice(start.length);
  }
  return text.replaceAll(`(in ${root})`, '(in ROOT)').replaceAll(id, 'ID');
}

/** What a program that is executed says and returns. */
export const said = { text: 'here\n', status: 3 };

/** What a call has said of `id`; an exception where nothing explains it. */
export function answerOf(verb: Verb, id: string, root: string, result: Result): Answer {
  const { status, signal, stdout, stderr } = result;
  const fail = (why: string): never => {
    throw new Inexplicable(
      `${verb} ${id}: ${why}: status ${status}, signal ${signal}\n${stdout}${stderr}`,
    );
  };
  if (signal !== 0 || status === null) return fail('crashed');
  const text = reason(verb, id, root, stderr);
  if (text !== '') {
    if (status !== (verb === 'exec' ? 255 : 1)) return fail('an error and its status');
    if (stdout !== '') return fail('an error, and something besides');
    const row = errors[verb].find(([pattern]) => pattern.test(text));
    return row === undefined ? fail(`no such error (${text})`) : row[1];
  }
  if (stderr !== '') return fail('a complaint');
  if (verb === 'exec' || verb === 'run') {
    if (status === 137) return 'killed';
    if (verb === 'exec' && status === said.status && stdout === said.text) return 'done';
    if (verb === 'run' && status === 0 && stdout === '') return 'done';
    return fail('not what the program does');
  }
  if (status !== 0) return fail('no error, and its status');
  if (verb === 'state') {
    const told = JSON.parse(stdout) as { id: string; status: Status; pid: number };
    if (told.id !== id || !statuses.includes(told.status)) return fail('not its state');
    if ((told.pid === 0) !== (told.status === 'stopped')) return fail('the pid');
    return told.status;
  }
  if (verb === 'ps') {
    const pids = JSON.parse(stdout) as number[];
    return Array.isArray(pids) && pids.every((pid) => pid > 0) ? 'done' : fail('no list of pids');
  }
  return stdout === '' ? 'done' : fail('it says something');
}

/** The same for `list --format json`: what it says of each of `ids`. */
export function answersOfList(ids: readonly string[], root: string, result: Result): Answer[] {
  const { status, stdout, stderr } = result;
  // A container that is being deleted may be in the list of names and not be there any more.
  if (status !== 0 || stderr !== '') {
    throw new Inexplicable(`list in ${root}: status ${status}\n${stdout}${stderr}`);
  }
  const told = JSON.parse(stdout) as { id: string; status: Status }[];
  const strangers = told.filter(({ id }) => !ids.includes(id));
  if (strangers.length > 0) throw new Inexplicable(`list: unknown containers: ${stdout}`);
  return ids.map((id) => told.find((one) => one.id === id)?.status ?? 'missing');
}

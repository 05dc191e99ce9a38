/**
 * Whether what was answered can have happened: is there an order of the calls' effects, each between
 * the call's begin and its end, in which every answer is right? All possible states are followed at
 * once, for each id by itself. What every call has answered is known beforehand, so only calls that
 * succeeded have effects; of a refusal and of a question one moment must have been as it says.
 *
 * Locks are not modelled: what they exclude is allowed here. So a history that is refused is wrong,
 * and what is accepted need not be right in every detail.
 */
import type { Answer, Call, Status } from './calls.js';

/** What an id is at one moment. `owner` is the call that is not done with it, or `none`. */
interface Moment {
  /** `reserved`: its create has made the directory; `vanishing`: its state is gone, the directory not. */
  status: Status | 'absent' | 'reserved' | 'vanishing';
  /** It was paused before its program was let go. */
  pausedBeforeStart: boolean;
  /** Its process is about to end: it was sent SIGKILL, or has a program that ends at once. */
  ending: boolean;
  /** The call that created it. */
  creator: number;
  /** The call that alone goes on with it. */
  owner: number;
}

const none = -1;
const nothing: Moment = {
  status: 'absent',
  pausedBeforeStart: false,
  ending: false,
  creator: none,
  owner: none,
};
const live = ['creating', 'created', 'running', 'paused'];

/** A possible state: the id, and how far each call under way has come (`last`: all is done). */
interface Possible {
  moment: Moment;
  steps: ReadonlyMap<number, number>;
}
const last = 99;

function keyOf({ moment, steps }: Possible): string {
  const { status, pausedBeforeStart, ending, creator, owner } = moment;
  const calls = [...steps].map(([call, step]) => `${call}:${step}`);
  return `${status} ${Number(pausedBeforeStart)}${Number(ending)} ${creator} ${owner} ${calls.join(' ')}`;
}

type Next = [step: number, moment: Moment][];

/** The state ends, and then the directory does: what all deletes come to. */
function removing(index: number, step: number, now: Moment, from: number): Next {
  if (now.owner !== index) return [];
  if (step === from) return [[from + 1, { ...now, status: 'vanishing' }]];
  return step === from + 1 ? [[last, nothing]] : [];
}

const launched = (moment: Moment, program: Call['program']): Moment => ({
  ...moment,
  status: 'running',
  ending: moment.ending || program === 'ends',
});

/** create, run --detach and run, which goes on until the container is deleted. */
function creating(call: Call, index: number, step: number, now: Moment): Next {
  const own = now.creator === index;
  const runs = call.verb !== 'create';
  const started = (moment: Moment): Moment => (runs ? launched(moment, call.program) : moment);
  switch (step) {
    case 0:
      return now.status === 'absent'
        ? [[1, { ...nothing, status: 'reserved', creator: index, owner: index }]]
        : [];
    case 1:
      if (call.answer === 'deleted') return own ? [] : [[last, now]];
      // Its directory was removed before it had locked that; it makes another one.
      if (!own && now.status === 'absent') {
        return [[1, { ...nothing, status: 'reserved', creator: index, owner: index }]];
      }
      if (now.status !== 'reserved' || !own || now.owner !== index) return [];
      return call.program === 'hooked'
        ? [[2, { ...now, status: 'creating', owner: none }]]
        : [[3, started({ ...now, status: 'created', owner: none })]];
    case 2:
      if (!own) return [];
      if (now.status === 'creating') return [[3, started({ ...now, status: 'created' })]];
      break;
    case 3:
      if (call.answer === 'done' && call.verb !== 'run') return [[last, now]];
      if (call.verb === 'run' && !own) return [[last, now]];
      break;
    default:
      return removing(index, step, now, 4);
  }
  // What is left: its process has ended, and create or run removes it.
  const ended = own && now.owner === none && (now.status === 'stopped' || now.ending);
  return ended ? [[4, { ...now, status: 'stopped', owner: index }]] : [];
}

function deleting(call: Call, index: number, step: number, now: Moment): Next {
  if (step !== 0) return removing(index, step, now, 1);
  const forced = call.verb === 'delete --force';
  if (forced && now.status === 'absent') return [[last, now]];
  if (forced && now.status === 'reserved')
    return [[2, { ...now, status: 'vanishing', owner: index }]];
  const takes = forced ? [...live, 'stopped'] : ['created', 'stopped'];
  if (now.owner !== none || !takes.includes(now.status)) return [];
  return [[1, { ...now, status: 'stopped', owner: index }]];
}

/** Whether a call that was answered so has changed something. */
const hasEffect = (call: Call): boolean => {
  switch (call.verb) {
    case 'create':
    case 'run':
    case 'run --detach':
      return ['done', 'deleted', 'killed'].includes(call.answer);
    case 'start':
    case 'kill KILL':
    case 'kill TERM':
    case 'pause':
    case 'resume':
    case 'delete':
    case 'delete --force':
      return call.answer === 'done';
    default:
      return false;
  }
};

/** What a call that has an effect may do next. */
function effects(calls: readonly Call[], index: number, step: number, now: Moment): Next {
  const call = calls[index];
  if (call === undefined || step === last || !hasEffect(call)) return [];
  const when = (possible: boolean, moment: Moment): Next => (possible ? [[last, moment]] : []);
  const free = now.owner === none;
  switch (call.verb) {
    case 'create':
    case 'run':
    case 'run --detach':
      return creating(call, index, step, now);
    case 'delete':
    case 'delete --force':
      return deleting(call, index, step, now);
    case 'start':
      return when(
        free && now.status === 'created',
        launched(now, calls[now.creator]?.program ?? 'stays'),
      );
    case 'kill KILL':
      return when(live.includes(now.status), { ...now, ending: true });
    case 'kill TERM': {
      // At the start gate init ends by it, if it has come so far; pid 1 does not.
      const atGate = now.status === 'created' || (now.status === 'paused' && now.pausedBeforeStart);
      const ends: Next = atGate ? [[last, { ...now, ending: true }]] : [];
      return [...ends, ...when(live.includes(now.status), now)];
    }
    case 'pause':
      return when(free && (now.status === 'created' || now.status === 'running'), {
        ...now,
        status: 'paused',
        pausedBeforeStart: now.status === 'created',
      });
    case 'resume':
      return when(free && now.status === 'paused', {
        ...now,
        status: now.pausedBeforeStart ? 'created' : 'running',
      });
    default:
      return [];
  }
}

/** What the id must have been at some moment of a call, for its answer to be right. */
function reasonsOf(call: Call): readonly Moment['status'][] {
  const { answer, verb } = call;
  const reasons: Partial<Record<Answer, readonly Moment['status'][]>> = {
    missing: ['absent', 'reserved', 'vanishing'],
    exists: ['reserved', 'creating', 'created', 'running', 'paused', 'stopped', 'vanishing'],
    // A process that was sent SIGKILL may end at any moment, so it is stopped in one of them.
    'not running': ['stopped'],
    killed: ['stopped'],
    'not paused': ['creating', 'created', 'running', 'stopped'],
  };
  if (answer !== 'done') return reasons[answer] ?? [answer as Status];
  if (verb === 'exec') return ['created', 'running'];
  if (verb === 'ps') return [...(live as Status[]), 'stopped'];
  return live as Status[];
}

/** Questions and refusals: those whose moment this is have it behind them, which costs them nothing. */
function settled(calls: readonly Call[], { moment, steps }: Possible): Possible {
  let then: Map<number, number> | undefined;
  for (const [index, step] of steps) {
    const call = calls[index];
    if (step === last || call === undefined || hasEffect(call)) continue;
    if (reasonsOf(call).includes(moment.status)) (then ??= new Map(steps)).set(index, last);
  }
  return then === undefined ? { moment, steps } : { moment, steps: then };
}

/** `from`, and all that follows from it without a call's begin or end. */
function closure(calls: readonly Call[], from: Iterable<Possible>): Map<string, Possible> {
  const possible = new Map<string, Possible>();
  const queue: Possible[] = [];
  const add = (next: Possible): void => {
    const state = settled(calls, next);
    const key = keyOf(state);
    if (possible.has(key)) return;
    possible.set(key, state);
    queue.push(state);
  };
  for (const state of from) add(state);
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    const { moment, steps } = state;
    if (moment.ending && moment.owner === none && live.includes(moment.status)) {
      add({
        moment: { ...moment, status: 'stopped', ending: false, pausedBeforeStart: false },
        steps,
      });
    }
    for (const [index, step] of steps) {
      for (const [then, after] of effects(calls, index, step, moment)) {
        // The place in the order of begins stays, which the key relies on.
        add({ moment: after, steps: new Map(steps).set(index, then) });
      }
    }
  }
  return possible;
}

export interface Fault {
  call: Call;
  why: string;
}

export interface Verdict {
  fault: Fault | undefined;
  /** The most states that were possible at once. */
  widest: number;
}

/** Checks the calls on one id, whose first one finds nothing. */
export function check(history: readonly Call[]): Verdict {
  const calls = [...history].sort((a, b) => a.began - b.began);
  const events = calls
    .flatMap(({ began, ended }, index) => [
      { at: began, index, begins: true },
      { at: ended, index, begins: false },
    ])
    .sort((a, b) => a.at - b.at);
  let possible: Possible[] = [{ moment: nothing, steps: new Map() }];
  let widest = 1;
  for (const { index, begins } of events) {
    if (begins) {
      const begun = possible.map(({ moment, steps }) => ({
        moment,
        steps: new Map(steps).set(index, 0),
      }));
      possible = [...closure(calls, begun).values()];
      widest = Math.max(widest, possible.length);
      continue;
    }
    const kept = new Map<string, Possible>();
    for (const { moment, steps } of possible) {
      if (steps.get(index) !== last) continue;
      const then = new Map(steps);
      then.delete(index);
      const state = { moment, steps: then };
      kept.set(keyOf(state), state);
    }
    if (kept.size === 0) {
      const was = new Set(possible.map(({ moment }) => moment.status));
      const why = `no order of the calls leads there; now it could be ${[...was].join(', ')}`;
      return { fault: { call: calls[index] as Call, why }, widest };
    }
    possible = [...kept.values()];
  }
  return { fault: undefined, widest };
}

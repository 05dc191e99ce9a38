/**
 * Many processes call random verbs on few ids. Each answer must be one that some order of the calls
 * explains (model/checker.ts), no call may crash, hang or fail in an undocumented way, and at the
 * end nothing is left.
 *
 * TARE_TEST_SEED=N repeats the verbs that the processes called. With TARE_TEST_LONG=1 there are 64
 * processes for five minutes.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Sandbox, skipReason, type Config } from '../support/tare.js';
import { act, choices } from './model/actors.js';
import { verbs, type Answer, type Call, type Verb } from './model/calls.js';
import { check } from './model/checker.js';
import { allowTime } from '../support/timeout.js';

const long = process.env['TARE_TEST_LONG'] === '1';
const seed = Number(process.env['TARE_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const size = long ? { actors: 64, seconds: 300 } : { actors: 16, seconds: 20 };

let clock = 0;
const call = (
  verb: Verb,
  answer: Answer,
  began = clock++,
  ended = clock++,
  program: Call['program'] = 'stays',
): Call => ({ id: 'a', verb, program, began, ended, answer });

t.test('the checker knows right from wrong', async (t) => {
  const right: Record<string, Call[]> = {
    'a life': [
      call('create', 'done'),
      call('state', 'created'),
      call('start', 'done'),
      call('exec', 'done'),
      call('pause', 'done'),
      call('exec', 'paused'),
      call('resume', 'done'),
      call('kill KILL', 'done'),
      call('state', 'running'),
      call('state', 'stopped'),
      call('delete', 'done'),
      call('state', 'missing'),
    ],
    'two creates at once, of which one is late': [
      call('create', 'done', 1, 4),
      call('create', 'exists', 2, 3),
      call('delete --force', 'done', 5, 8),
      call('create', 'done', 6, 9),
      call('delete', 'done', 10, 11),
    ],
    'a create whose directory was deleted before it was locked': [
      call('create', 'done', 1, 12),
      call('create', 'exists', 2, 3),
      call('delete --force', 'done', 4, 5),
      call('state', 'created', 13, 14),
    ],
    'a program that ends by itself': [
      call('run --detach', 'done', clock++, clock++, 'ends'),
      call('state', 'stopped'),
      call('create', 'exists'),
      call('delete', 'done'),
      call('run', 'done', clock++, clock++, 'ends'),
      call('state', 'missing'),
    ],
    'killed while it is created': [
      call('create', 'killed', 1, 6),
      call('kill KILL', 'done', 2, 3),
      call('state', 'stopped', 4, 5),
      call('state', 'missing', 7, 8),
    ],
    'seen while hooks run': [
      call('create', 'done', 1, 6, 'hooked'),
      call('state', 'creating', 2, 3),
      call('exec', 'creating', 4, 5),
    ],
  };
  for (const [name, calls] of Object.entries(right)) t.equal(check(calls).fault, undefined, name);
  const wrong: Record<string, Call[]> = {
    'two creates both succeed': [call('create', 'done', 1, 4), call('create', 'done', 2, 3)],
    'there after it was deleted': [
      call('create', 'done'),
      call('delete', 'done'),
      call('state', 'stopped'),
    ],
    'gone without a delete': [call('create', 'done'), call('state', 'missing')],
    'running without a start': [call('create', 'done'), call('state', 'running')],
    'stopped without a reason': [call('run --detach', 'done'), call('state', 'stopped')],
    'deleted while it runs': [call('run --detach', 'done'), call('delete', 'done')],
    'started twice': [call('create', 'done'), call('start', 'done'), call('start', 'done')],
    'alive again': [
      call('run --detach', 'done'),
      call('kill KILL', 'done'),
      call('state', 'stopped'),
      call('state', 'running'),
    ],
    'executed in while it is paused': [
      call('run --detach', 'done'),
      call('pause', 'done'),
      call('exec', 'done'),
    ],
    'paused before it was created': [call('pause', 'done', 1, 2), call('create', 'done', 3, 4)],
    'created when resumed, running when paused': [
      call('run --detach', 'done'),
      call('pause', 'done'),
      call('resume', 'done'),
      call('state', 'created'),
    ],
    'killed by no call': [call('create', 'killed')],
    'exists, and there is none': [call('create', 'exists')],
  };
  for (const [name, calls] of Object.entries(wrong)) t.ok(check(calls).fault, name);
});

t.test('a seed stands for the same calls', async (t) => {
  const first = (of: number, actor: number) => choices(of, actor, ['a', 'b', 'c'], 50);
  t.strictSame(first(7, 3), first(7, 3));
  t.notSame(first(7, 3), first(8, 3));
  t.notSame(first(7, 3), first(7, 4));
});

/** The calls on an id up to the wrong one, as text. */
function story(calls: readonly Call[], wrong: Call): string {
  return calls
    .filter(({ began }) => began <= wrong.ended)
    .sort((a, b) => a.began - b.began)
    .slice(-60)
    .map(
      ({ began, ended, verb, program, answer }) =>
        `${began}-${ended} ${verb}${/create|run/.test(verb) ? ` (${program})` : ''}: ${answer}`,
    )
    .join('\n');
}

function count(calls: readonly Call[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { verb, answer } of calls) {
    const key = `${verb}: ${answer}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

if (skipReason !== undefined) {
  t.test('many processes at once', { skip: skipReason }, async () => undefined);
} else {
  const sandbox = new Sandbox(t);
  allowTime(t, (size.seconds + 240) * 1000);

  sandbox.test(`${size.actors} processes at once, seed ${seed}`, async (t) => {
    const ids = Array.from({ length: 16 }, (_, number) => sandbox.id(String(number)));
    // `list` requires an existing state root.
    mkdirSync(sandbox.root, { mode: 0o700 });
    const resources = join(sandbox.directory, 'resources.json');
    const device = { allow: true, type: 'c', major: 10, minor: 200, access: 'rwm' };
    writeFileSync(resources, JSON.stringify({ devices: [device] }));
    const hooked = (config: Config): void => {
      config.hooks = { createRuntime: [{ path: '/bin/true' }], poststop: [{ path: '/bin/true' }] };
    };
    const bundles = {
      stays: sandbox.bundle(['sleep', '1000']),
      ends: sandbox.bundle(['true']),
      hooked: sandbox.bundle(['sleep', '1000'], hooked),
    };
    const { calls, faults } = await act(
      { root: sandbox.root, bundles, resources },
      ids,
      seed,
      size,
    );
    t.strictSame(faults, [], 'each answer is one of those that are documented');

    let widest = 0;
    for (const id of ids) {
      const ofId = calls.filter((one) => one.id === id);
      const verdict = check(ofId);
      widest = Math.max(widest, verdict.widest);
      const { fault } = verdict;
      t.equal(
        fault && `${fault.call.verb}: ${fault.why}:\n${story(ofId, fault.call)}`,
        undefined,
        `the calls on ${id} have an order`,
      );
    }
    const counts = count(calls);
    const table = [...counts].sort().map(([key, number]) => `${number} ${key}`);
    t.comment(`${calls.length} calls, at most ${widest} possible states; ${table.join(', ')}`);
    for (const verb of verbs) {
      const done = ['state', 'list'].includes(verb) ? 'running' : 'done';
      t.ok(counts.has(`${verb}: ${done}`), `${verb} was done`);
    }
  });
}

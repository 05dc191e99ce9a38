/**
 * What happens to containers when the program that made them ends: those of run() end with it,
 * those of Container.create() continue to run. docs/library.md documents this in the same words.
 */
import { Containers, skipReason } from '../support/containers.js';
import { program, type Program } from '../support/programs.js';
import { exitOf } from '../support/tare.js';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Container, run } from '../../lib/index.js';
import { allowTime } from '../support/timeout.js';

const options = { skip: skipReason ?? false };
const long = process.env['TARE_TEST_LONG'] === '1';
allowTime(t, long ? 3_600_000 : 120_000);

/** Options of run() that identify its processes as this test's. */
function locations(containers: Containers): { root: string; rootfs: string; cwd: string } {
  const rootfs = join(containers.bundle(['true']), 'rootfs');
  chmodSync(rootfs, 0o755);
  return { root: containers.sandbox.root, rootfs, cwd: '/' };
}

const processes = (containers: Containers): string[] =>
  containers.sandbox.leftovers().filter((what) => what.startsWith('process:'));

async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!what() && Date.now() < end) await sleep(10);
}

/** Resolves when no process of a container is left. */
const processesEnd = (containers: Containers): Promise<void> =>
  until(() => processes(containers).length === 0);

/** Calls run() in this program, which soon removes what killed programs have left behind. */
async function sweep(containers: Containers): Promise<void> {
  await run(['true'], locations(containers));
  await until(() => containers.sandbox.leftovers().length === 0);
}

/** Starts a program with three running commands. */
async function withCommands(containers: Containers, then: string, more = {}): Promise<Program> {
  const body = `
    const commands = [1, 2, 3].map(() => run(['sleep', '1000'], data.options));
    for (const command of commands) command.catch(() => undefined);
    await Promise.all(commands.map((command) => command.container));
    tell('they run');
    ${then}
    setInterval(() => undefined, 1000);
  `;
  const started = program(body, { options: { ...locations(containers), ...more } });
  await started.output.until('they run\n');
  return started;
}

for (const [how, then, status] of [
  ['process.exit()', 'process.exit(5);', 5],
  ['an uncaught exception', 'setImmediate(() => { throw new Error("on purpose") });', 1],
  [
    'a caught exception, after which the program exits',
    `process.on('uncaughtException', () => process.exit(6)); setImmediate(() => { throw 1 });`,
    6,
  ],
] as const) {
  t.test(`${how} removes the containers of run()`, options, async (t) => {
    const containers = new Containers(t);
    const { child } = await withCommands(containers, then);
    t.equal(await exitOf(child), status);
    t.same(containers.sandbox.leftovers(), []);
  });
}

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV'] as const) {
  t.test(`commands of run() end with a program that ${signal} ends`, options, async (t) => {
    const containers = new Containers(t);
    const { child } = await withCommands(containers, '');
    t.equal(processes(containers).length, 6, 'each with its reaper');
    const ended = exitOf(child);
    child.kill(signal);
    await ended;
    await processesEnd(containers);
    t.same(processes(containers), []);
    const left = await Container.list(containers.options);
    t.same(
      left.map(({ status }) => status),
      ['stopped', 'stopped', 'stopped'],
      'what stays is told',
    );
    await sweep(containers);
    t.same(containers.sandbox.leftovers(), [], 'the next run() removes it');
  });
}

t.test('a container that a live caller is making is left alone', options, async (t) => {
  const containers = new Containers(t);
  const { child } = await withCommands(containers, '');
  const ended = exitOf(child);
  child.kill('SIGKILL');
  await ended;
  await processesEnd(containers);
  const { root } = containers.sandbox;
  const ids = (): string[] => readdirSync(root).filter((name) => !name.startsWith('@'));
  const [id = ''] = ids();
  // Takes the lock that create() and delete() hold.
  const holder = spawn('flock', [join(root, id), 'sh', '-c', 'echo held; read line']);
  await once(holder.stdout, 'data');
  const { child: other } = program(`await run(['true'], data.options);`, {
    options: locations(containers),
  });
  t.equal(await exitOf(other), 0, 'the locked container is not waited for');
  t.same(ids(), [id], 'the others are removed');
  holder.stdin.end();
  await exitOf(holder);
  await sweep(containers);
});

t.test('as any user, and with capabilities', options, async (t) => {
  const containers = new Containers(t);
  // A change of credentials clears PR_SET_PDEATHSIG.
  for (const more of [{ user: 1000 }, { user: 7, capabilities: ['CAP_NET_BIND_SERVICE'] }]) {
    const { child } = await withCommands(containers, '', more);
    const ended = exitOf(child);
    child.kill('SIGKILL');
    await ended;
    await processesEnd(containers);
    t.same(processes(containers), [], JSON.stringify(more));
  }
  await sweep(containers);
});

t.test('a program that dies while it makes them', options, async (t) => {
  const containers = new Containers(t);
  const { root, ...rest } = locations(containers);
  const body = `
    tell('go');
    for (;;) {
      await Promise.all(
        Array.from({ length: 8 }, () => run(['sleep', '0.01'], data.options).catch(() => undefined)),
      );
    }
  `;
  const rounds = long ? 300 : 15;
  for (let round = 0; round < rounds; round++) {
    const { child, output } = program(body, { options: { root, ...rest } });
    await output.until('go\n');
    const ended = exitOf(child);
    await sleep(20 + Math.random() * 60);
    child.kill('SIGKILL');
    await ended;
    await processesEnd(containers);
    t.same(processes(containers), []);
  }
  const left = readdirSync(root).filter((name) => !name.startsWith('@')).length;
  t.comment(`${left} state directories of ${rounds} programs stayed`);
  // This program has already searched for leftovers; a new program searches again.
  const { child } = program(`await run(['true'], data.options);`, { options: { root, ...rest } });
  t.equal(await exitOf(child), 0);
  t.same(containers.sandbox.leftovers(), []);
});

t.test('containers of others, and of a program that lives, stay', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  const own = await containers.create('own', bundle, { start: true, endsWithProgram: true });
  const free = await containers.create('free', bundle, { start: true });
  const { child } = program(`await run(['true'], data.options);`, {
    options: locations(containers),
  });
  t.equal(await exitOf(child), 0);
  for (const container of [own, free]) {
    t.equal((await container.state()).status, 'running');
    await container.delete({ force: true });
  }
});

const createThree = `
  const options = { root: data.root, bundle: data.bundle };
  const [held, runs, mortal] = data.ids;
  await Container.create(held, options);
  await Container.create(runs, { ...options, start: true });
  await Container.create(mortal, { ...options, start: true, endsWithProgram: true });
  tell('made');
`;

for (const [how, then, removed] of [
  ['is killed', 'process.kill(process.pid, "SIGKILL");', false],
  ['exits', 'process.exit();', true],
] as const) {
  t.test(`containers outlive a program that ${how}`, options, async (t) => {
    const containers = new Containers(t);
    const ids = ['held', 'runs', 'mortal'].map((name) => containers.id(name));
    const bundle = containers.bundle(['sleep', '1000']);
    const { child } = program(createThree + then, { ...containers.options, bundle, ids });
    await exitOf(child);
    const [held, runs] = await Promise.all(
      ids.slice(0, 2).map((id) => Container.open(id, containers.options)),
    );
    t.equal((await held!.state()).status, 'created');
    t.equal((await runs!.state()).status, 'running');
    await held!.start();
    t.equal((await held!.state()).status, 'running', 'it can be started by others');
    const ended = runs!.wait();
    await runs!.kill('SIGKILL');
    t.same(await ended, { exitCode: null, signal: null });
    await Promise.all([held!, runs!].map((container) => container.delete({ force: true })));
    await processesEnd(containers);
    const left = await Container.list(containers.options);
    t.same(
      left.map(({ id, status }) => [id, status]),
      removed ? [] : [[ids[2], 'stopped']],
      'but for one that was to end with it',
    );
    const mortal = await Container.open(ids[2]!, containers.options).catch(() => undefined);
    await mortal?.delete({ force: true });
  });
}

t.test('process.exit() with creates under way', options, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  // A program that ends at once does not create the state root.
  mkdirSync(containers.sandbox.root, { recursive: true });
  const body = `
    for (const id of data.ids) {
      Container.create(id, { bundle: data.bundle, root: data.root }).catch(() => undefined);
    }
    setTimeout(() => process.exit(7), data.delay);
  `;
  for (let round = 0; round < (long ? 200 : 8); round++) {
    const ids = Array.from({ length: 12 }, (_, i) => containers.id(`r${round}-${i}`));
    const { child } = program(body, { ...containers.options, bundle, ids, delay: round % 8 });
    t.equal(await exitOf(child), 7);
    // Completed containers exist, interrupted ones can be removed, and neither kind blocks.
    for (const id of readdirSync(containers.sandbox.root)) {
      if (!id.startsWith('@')) containers.sandbox.must(['delete', '--force', id]);
    }
    await processesEnd(containers);
    t.same(containers.sandbox.leftovers(), []);
  }
});

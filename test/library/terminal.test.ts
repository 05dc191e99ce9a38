/** The terminal of a program: how long it stays open, and what hangs it up. */
import { once } from 'node:events';
import t from 'tap';
import { Containers, runInside, skipReason } from '../support/containers.js';
import { allowTime } from '../support/timeout.js';

const skip = { skip: skipReason ?? false };
allowTime(t, 60_000);

const closesTerminal = ['sh', '-c', 'echo shown; exec <&- >&- 2>&-; sleep 0.3; exit 7'];

t.test('a program that closes its terminal exits with its own status', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const result = await inside(closesTerminal, { tty: true });
  t.match(result, { exitCode: 7, signal: null, stdout: 'shown\r\n' });
  t.match(await inside(closesTerminal, { tty: true, init: false }), { exitCode: 7 }, 'as pid 1');
});

t.test('and so does a process that exec() starts', skip, async (t) => {
  const containers = new Containers(t);
  const bundle = containers.bundle(['sleep', '1000']);
  await using container = await containers.create('terminal', bundle);
  await container.start();
  const process = await container.exec({ args: closesTerminal, terminal: true });
  process.terminal!.resume();
  await once(process.terminal!, 'end');
  t.same(await process.wait(), { exitCode: 7, signal: null });
});

t.test('destroy() hangs it up', skip, async (t) => {
  const inside = runInside(t, { reject: false });
  const running = inside(['sh', '-c', 'echo ready; exec sleep 100'], { tty: true });
  const terminal = (await running.terminal)!;
  await once(terminal, 'data');
  terminal.destroy();
  t.match(await running, { exitCode: null, signal: 'SIGHUP' });
});

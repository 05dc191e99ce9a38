/** The kernel refuses to watch one more process end. Its limit applies to the whole machine. */
import { Sandbox } from '../support/tare.js';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { Container, run, TareError } from '../../lib/index.js';
import { allowTime } from '../support/timeout.js';

allowTime(t, 60_000);
const limit = '/proc/sys/fs/epoll/max_user_watches';

const refusal = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'it succeeded',
    (error: unknown) => (error instanceof TareError ? [error.syscall, error.errno] : error),
  );

/** The names of this program's children, zombies included. */
const children = (): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [, name, parent] = /\((.*)\) . (\d+)/s.exec(
          readFileSync(`/proc/${pid}/stat`, 'utf8'),
        )!;
        return Number(parent) === process.pid ? [name!] : [];
      } catch {
        return [];
      }
    });

t.test('whose end cannot be watched does not run', async (t) => {
  const sandbox = new Sandbox(t);
  const bundle = sandbox.bundle(['sleep', '1000']);
  const options = { bundle, root: sandbox.root, start: true };
  const container = await Container.create(sandbox.id('a'), options);
  await run(['true'], { root: sandbox.root });
  const before = [children(), readFileSync(limit, 'utf8')] as const;
  writeFileSync(limit, '0');
  const refused = await Promise.all([
    refusal(Container.create(sandbox.id('b'), options)),
    refusal(container.exec({ args: ['sleep', '1000'] })),
    refusal(run(['sleep', '1000'], { root: sandbox.root })),
  ]);
  writeFileSync(limit, before[1]);
  const full = ['epoll_ctl', -28];
  t.same(refused, [full, full, full]);
  t.same(children(), before[0]);
  t.equal((await container.ps()).length, 1);
  t.same(
    (await Container.list({ root: sandbox.root })).map(({ id }) => id),
    [sandbox.id('a')],
  );
  const process = await container.exec({ args: ['sh', '-c', 'exit 3'] });
  t.same(await process.wait(), { exitCode: 3, signal: null }, 'then all is as before');
  await container.delete({ force: true });
});

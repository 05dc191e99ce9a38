/**
 * The state root without the option `root`: the library, the command line and doctor have the same.
 */
import { skipReason } from '../support/containers.js';
import { uid } from '../support/ordinary-user.js';
import { program } from '../support/programs.js';
import { Sandbox, cli, exitOf, type Result } from '../support/tare.js';
import { ProjectOfUser } from '../support/user-programs.js';
import { chownSync, mkdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const skip = { skip: skipReason ?? false };

/** Prints the state roots that the library, the command line and doctor use. */
const tellRoots = (tare: string): string => `
  const { spawnSync } = await import('node:child_process');
  const tare = (...args) => spawnSync(${JSON.stringify(tare)}, args, { encoding: 'utf8' }).stdout;
  const command = run(['sleep', '1000']);
  await command.container;
  const { bundle } = await (await command.container).state();
  console.log(bundle);
  console.log((await Container.list()).map(({ id }) => id === command.id).join());
  console.log(tare('list', '--quiet').trim() === command.id);
  console.log(JSON.parse(tare('doctor', '--format', 'json')).stateRoot);
  command.kill();
  await command.catch(() => undefined);
`;

t.test('of an ordinary user, with and without XDG_RUNTIME_DIR', skip, (t) => {
  const sandbox = new Sandbox(t);
  const user = new ProjectOfUser(sandbox);
  // The user would search a PATH directory that only root may read in vain.
  user.user.path = '/usr/sbin:/usr/bin:/sbin:/bin';
  const roots = (): Result =>
    user.run(`import { run, Container } from 'tare'; ${tellRoots(user.user.program)}`);
  const expect = (root: string): void => {
    const { status, stdout, stderr } = roots();
    t.strictSame([status, stderr], [0, '']);
    t.strictSame(stdout.trim().split('\n'), [root, 'true', 'true', root]);
  };
  expect(join(user.user.runtime, 'tare'));

  user.user.runtime = '';
  const temporary = `/tmp/tare-${uid}`;
  rmSync(temporary, { recursive: true, force: true });
  t.teardown(() => rmSync(temporary, { recursive: true, force: true }));
  expect(temporary);
  t.equal(statSync(temporary).mode & 0o7777, 0o700);

  // A directory that another user has made there is refused.
  rmSync(temporary, { recursive: true });
  mkdirSync(temporary, { mode: 0o777 });
  chownSync(temporary, 1, 1);
  const refused = user.run(`
    import { Container } from 'tare';
    await Container.list().catch(({ code, message }) => console.log(code, message));
  `);
  const problem = 'it belongs to uid 1, which could change the state of containers';
  t.match(refused.stdout, `ERR_TARE_INVALID_ARGUMENT state root ${temporary}: ${problem}; use`);
  rmSync(temporary, { recursive: true });
  const elsewhere = join(user.user.directory, 'elsewhere');
  mkdirSync(elsewhere);
  chownSync(elsewhere, uid, uid);
  symlinkSync(elsewhere, temporary);
  const linked = roots();
  t.equal(linked.status, 0, 'a link of root’s');
  rmSync(temporary);

  const session = `/run/user/${uid}`;
  mkdirSync('/run/user', { recursive: true });
  mkdirSync(session);
  t.teardown(() => rmSync(session, { recursive: true, force: true }));
  chownSync(session, uid, uid);
  expect(`${session}/tare`);
  t.end();
});

t.test('of root: XDG_RUNTIME_DIR is not read', skip, async (t) => {
  // Other containers of this machine are not seen.
  const hidden = 'mkdir -p /run/tare; mount -t tmpfs none /run/tare; exec "$@"';
  const alone = ['unshare', '-m', '--propagation', 'private', 'sh', '-ec', hidden, 'sh'];
  for (const env of [['XDG_RUNTIME_DIR=/run/user/0'], ['-u', 'XDG_RUNTIME_DIR']]) {
    const { child, output } = program(tellRoots(cli), {}, [...alone, 'env', ...env]);
    t.equal(await exitOf(child), 0);
    const told = (await output.all()).trim().split('\n');
    t.strictSame(told, ['/run/tare', 'true', 'true', '/run/tare'], env.join(' '));
  }
});

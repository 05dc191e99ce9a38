/**
 * A container's cgroup is frozen at one system call of an exec in it, and the container is deleted:
 * the delete and the exec both end. By default at each call once, with TARE_TEST_LONG=1 at each of
 * its occurrences.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { call, cli, exitOf, program, Sandbox, skipReason } from '../support/tare.js';
import { allowTime } from '../support/timeout.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const full = process.env['TARE_TEST_LONG'] === '1';
  allowTime(t, full ? 600_000 : 180_000);
  const sandbox = new Sandbox(t);
  const report = join(sandbox.directory, 'report');
  const kinds = {
    'joined from outside': sandbox.bundle(['sleep', '1000']),
    'with a user namespace': sandbox.bundle(['sleep', '1000'], (config) => {
      config.linux.namespaces.push({ type: 'user' });
      const mapping = [{ containerID: 0, hostID: 0, size: 65536 }];
      Object.assign(config.linux, { uidMappings: mapping, gidMappings: mapping });
    }),
  };
  let count = 0;
  const running = (bundle: string): string => {
    const id = sandbox.id(`c${count++}`);
    sandbox.must(['run', '--detach', '--bundle', bundle, id]);
    return id;
  };
  const execIn = (id: string): string[] => [cli, '--root', sandbox.root, 'exec', id, 'true'];

  /** "ROLE CALL NUMBER" of each call of an exec. */
  const points = (bundle: string): string[] => {
    const id = running(bundle);
    call(program('fault'), [report, 'list', ...execIn(id)]);
    sandbox.must(['delete', '--force', id]);
    const all = readFileSync(report, 'utf8').trim().split('\n');
    return full ? all : all.filter((point) => point.endsWith(' 1'));
  };

  for (const [name, bundle] of Object.entries(kinds)) {
    // Weakened: delete waits for init alone. It waits forever for a process that has just appeared
    // and is never reaped, because the process that would report it is frozen.
    sandbox.test(`exec, ${name}`, async (t) => {
      const all = points(bundle);
      t.ok(all.some((point) => point.startsWith('init ')));
      let met = 0;
      for (const point of all) {
        const id = running(bundle);
        const fault = `FREEZE=${join('/sys/fs/cgroup', id, 'cgroup.freeze')}`;
        writeFileSync(report, '');
        const args = [report, ...point.split(' '), fault, ...execIn(id)];
        const exec = spawn(program('fault'), args, { stdio: 'ignore' });
        const over = exitOf(exec).then(() => true);
        const frozen = (): boolean => readFileSync(report, 'utf8') !== '';
        while (!frozen() && !(await Promise.race([over, sleep(2, false)])));
        if (frozen()) met++;
        // The exec continues until the frozen cgroup stops it.
        await Promise.race([over, sleep(5)]);
        const deleted = sandbox.tare(['delete', '--force', id], { timeout: 10_000 });
        if (deleted.status !== 0) t.fail(`${point}: delete --force`, { ...deleted });
        const ended = await Promise.race([over, sleep(10_000, false, { ref: false })]);
        if (!ended) {
          t.fail(`${point}: exec goes on`);
          exec.kill();
        }
        if (sandbox.leftovers().length > 0) t.fail(point, { left: sandbox.leftovers() });
      }
      t.comment(`${met} of ${all.length} calls met`);
      t.ok(met > all.length / 2);
    });
  }
}

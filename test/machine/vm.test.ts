/**
 * The harness itself: the properties of a guest, that it returns exact results, and that its death
 * is noticed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CommandTimeout, GuestDied, Unavailable, Vm, inGuest, repository } from './vm.js';
import { allowTime } from '../support/timeout.js';

allowTime(t, 600_000);

async function bootOrSkip(): Promise<Vm | undefined> {
  try {
    return await Vm.boot();
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    t.test('guests', { skip: error.message }, () => {});
    return undefined;
  }
}

const vm = await bootOrSkip();
if (vm) {
  t.teardown(() => vm.stop());
  const output = async (command: string) => (await vm.run(command)).stdout.toString();

  await t.test('exit statuses are exact', async (t) => {
    for (const [script, status] of [
      ['true', 0],
      ['exit 7', 7],
      ['exit 255', 255],
      ['kill -KILL $$', 137],
      ['nosuchcommand', 127],
    ] as const) {
      t.equal((await vm.run(script)).status, status, script);
    }
    t.equal((await vm.run(['sh', '-c', 'exit 3'])).status, 3, 'of a command in words');
  });

  await t.test('output is exact and streamed', async (t) => {
    const pieces: Buffer[] = [];
    const script = 'seq 1 50000; printf "no line end"; printf "e\\0r\\377" >&2';
    const result = await vm.run(script, { onStdout: (chunk) => pieces.push(chunk) });
    const numbers = Array.from({ length: 50_000 }, (_, index) => `${index + 1}\n`).join('');
    t.ok(result.stdout.toString() === `${numbers}no line end`, 'standard output');
    t.same(result.stderr, Buffer.from('e\0r\xff', 'latin1'), 'standard error');
    t.ok(Buffer.concat(pieces).equals(result.stdout), 'the pieces are the whole');
    t.ok(pieces.length > 1, 'it came in pieces');
    const words = ["it's", 'a b', '$HOME', '', '*'];
    const { stdout } = await vm.run(['printf', '%s\n', ...words]);
    t.same(stdout.toString(), `${words.join('\n')}\n`, 'words are not interpreted');
    t.equal(await output('cat'), '', 'standard input is empty');
  });

  await t.test('the guest is this machine, read-only under a tmpfs', async (t) => {
    t.equal(await output('pwd'), `${repository}\n`);
    const own = readFileSync(join(repository, 'package.json'), 'utf8');
    t.equal(await output('cat package.json'), own);
    const file = join(repository, 'written-in-guest');
    t.equal(await output(`echo there >${file}; cat ${file}`), 'there\n');
    t.notOk(existsSync(file), 'what the guest writes does not reach this machine');
  });

  await t.test('it has what containers need', async (t) => {
    const controllers = (await output('cat /sys/fs/cgroup/cgroup.subtree_control')).trim();
    for (const name of ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb']) {
      t.ok(controllers.split(' ').includes(name), `cgroup controller ${name}`);
    }
    t.match(await output('cat /sys/kernel/security/lsm'), /\bapparmor\b/);
    const last = Number(await output('cat /proc/sys/kernel/cap_last_cap'));
    const all = ((1n << BigInt(last + 1)) - 1n).toString(16).padStart(16, '0');
    t.match(await output('cat /proc/self/status'), new RegExp(`^CapEff:\\s*${all}$`, 'm'));
    const [major, minor] = (await output('uname -r')).split('.').map(Number);
    t.ok(major! > 6 || (major === 6 && minor! >= 12), 'Linux 6.12 or newer');
    t.match(await output('cat /proc/filesystems'), /\boverlay\b/);
  });

  await t.test('a command that outlives its time is told from a guest that hangs', async (t) => {
    await t.rejects(vm.run('echo begun; sleep 1000', { timeout: 1500 }), {
      constructor: CommandTimeout,
      message: /no end within 1.5 s of: echo begun; sleep 1000\nstdout: begun/,
    });
    await t.rejects(vm.run('true'), GuestDied, 'the guest is stopped then');
  });

  await t.test(
    'a guest that dies is replaced, a failure is not tried again, a hang is noticed',
    async (t) => {
      let guests = 0;
      const result = await inGuest(
        async (guest) => {
          guests++;
          if (guests === 1) await guest.run('echo c >/proc/sysrq-trigger');
          const { status } = await guest.run('echo alive; exit 9');
          // The only other child of process 1 answers the liveness checks of the guest.
          const freeze = 'kill -STOP $(cat /proc/1/task/1/children | cut -d " " -f 1)';
          await t.rejects(guest.run(`${freeze}; sleep 1000`, { timeout: 1000 }), {
            constructor: GuestDied,
            message: /^the guest hangs: no answer within 0.5 s/,
          });
          return status;
        },
        { answerTimeout: 500 },
      );
      t.equal(result, 9);
      t.equal(guests, 2);
    },
  );
}

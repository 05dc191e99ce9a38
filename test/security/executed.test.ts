/**
 * A container's process that may trace all others in it, with CAP_SYS_PTRACE in the host's user
 * namespace, gains nothing that the container does not have. `spy` (test/programs) is that process.
 */
import { Container } from '../../lib/index.js';
import { Output, exitOf, skipReason, type Config } from '../support/tare.js';
import { Inside } from '../support/inside.js';
import { bundleOf, byCommand, byLibrary, looks, type Exec } from './spied.js';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const marker = join(inside.directory, 'of-the-host');
  writeFileSync(marker, 'of the host');
  // In the environment of this process, and so in its memory and in that of the programs it calls.
  const secret = `secret of ${inside.tag}`;
  process.env['TARE_TEST_SECRET'] = secret;
  const words = [marker, secret];

  const tracing = (config: Config): void => {
    const sets = ['bounding', 'effective', 'permitted'];
    const given = ['CAP_SYS_PTRACE', 'CAP_KILL', 'CAP_DAC_OVERRIDE'];
    config.process.capabilities = Object.fromEntries(sets.map((set) => [set, given]));
  };
  const filtered = (config: Config): void => {
    tracing(config);
    // As in engines' profiles: a filter cannot inspect the arguments of clone3(2).
    const syscalls = [
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
      {
        names: ['clone'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: 0x7e020000, op: 'SCMP_CMP_MASKED_EQ' }],
      },
      { names: ['kexec_load'], action: 'SCMP_ACT_ERRNO' },
    ];
    config.linux['seccomp'] = { defaultAction: 'SCMP_ACT_ALLOW', syscalls };
  };

  /**
   * What the spy gains from processes of `exec` beyond inspecting them, one list for each process.
   */
  const gains = async (
    t: Test,
    edit: (config: Config) => void,
    exec: Exec,
  ): Promise<string[][]> => {
    const isRead = (line: string): boolean => line.includes(' read;');
    const wanted = (lines: string[]): boolean => lines.filter(isRead).length >= 20;
    const lines = await looks(t, inside, edit, 0, exec, wanted, words);
    t.ok(
      lines.some((line) => line.includes('made it call')),
      'it had one of them call',
    );
    const early = lines.filter((line) => line.includes('tare-init'));
    t.comment(`${early.length} of ${lines.length} were seen before their execve(2)`);
    const named = (line: string): string[] => line.split(' gains:')[1]?.split(';') ?? [];
    return lines.map((line) =>
      named(line)
        .map((gain) => gain.trim())
        .filter((gain) => !['', 'read', 'made it call'].includes(gain)),
    );
  };
  const nothing = async (t: Test, edit: (config: Config) => void, exec: Exec): Promise<void> => {
    const all = await gains(t, edit, exec);
    t.strictSame([...new Set(all.flat())], [], 'nothing was gained');
  };

  // Weakened: add_joined_namespaces (plan/namespaces.cc) as it is for user namespaces. The spy
  // obtains the memory of the command line and Node, or that of init, all capabilities, and files
  // of the host.
  inside.test(
    'CVE-2016-9962: a process with CAP_SYS_PTRACE gains nothing from an executed process',
    async (t) => {
      await nothing(t, tracing, byCommand(inside));
      await nothing(t, tracing, byLibrary(inside));
    },
  );

  // Weakened: the filter is loaded after `fork_into_pidns` (plan/fork_into_pidns.cc), as in the test below.
  inside.test('CVE-2016-9962: nor from one under a filter', async (t) => {
    await nothing(t, filtered, byCommand(inside));
    await nothing(
      t,
      (config) => {
        filtered(config);
        config.process.noNewPrivileges = false;
      },
      byCommand(inside),
    );
  });

  // SECURITY.md documents this.
  inside.test(
    'a filter that stops init is not there yet, nor has CAP_SYS_ADMIN gone',
    async (t) => {
      const edit = (config: Config): void => {
        filtered(config);
        config.process.noNewPrivileges = false;
        const { syscalls } = config.linux['seccomp'] as { syscalls: object[] };
        syscalls.push({ names: ['setsid'], action: 'SCMP_ACT_KILL_PROCESS' });
      };
      const all = (await gains(t, edit, byCommand(inside))).flat();
      t.ok(all.length > 0, 'it was caught');
      const told = /^(?:Seccomp:0|Seccomp_filters:0|Cap(?:Prm|Eff):0000000000280022)$/;
      t.strictSame(
        all.filter((gain) => !told.test(gain)),
        [],
      );
    },
  );

  // Weakened: calls_afterwards (plan/fork_into_pidns.cc) without one of its calls. init fails at that
  // call.
  inside.test('CVE-2016-9962: no filter stops a process that is about to fork', async (t) => {
    for (const name of ['clone', 'exit_group', 'setsid', 'sendto', 'capset', 'prctl', 'ioctl']) {
      const bundle = inside.bundle(['sleep', '1000'], (config) => {
        filtered(config);
        config.process.noNewPrivileges = false;
        const { syscalls } = config.linux['seccomp'] as { syscalls: object[] };
        const action = name === 'exit_group' ? 'SCMP_ACT_KILL_PROCESS' : 'SCMP_ACT_ERRNO';
        syscalls.push({ names: [name], action });
      });
      await inside.created(bundle, async (id) => {
        inside.must(['start', id]);
        const container = await Container.open(id, { root: inside.root });
        // The process ends without any of these calls.
        const process = await container.exec({
          args: ['sh', '-c', 'kill -KILL $$'],
          terminal: name === 'ioctl',
        });
        process.terminal?.resume();
        t.equal((await process.wait()).signal, 'SIGKILL', name);
      });
    }
  });

  // Weakened: as in the first test.
  inside.test('CVE-2016-9962: nor with a terminal', async (t) => {
    await nothing(t, tracing, async (id) => {
      const container = await Container.open(id, { root: inside.root });
      const process = await container.exec({ args: ['true'], terminal: true });
      process.terminal?.resume();
      return (await process.wait()).exitCode ?? -1;
    });
  });

  // Weakened: as in the first test.
  inside.test('CVE-2016-9962: nor where the container was paused', async (t) => {
    await nothing(t, tracing, (id) => {
      inside.must(['pause', id]);
      inside.must(['exec', '--detach', '--ignore-paused', id, 'true']);
      inside.must(['resume', id]);
      return Promise.resolve(0);
    });
  });

  // Weakened: as in the first test.
  inside.test('CVE-2016-9962: nor of hooks in the container', async (t) => {
    const seen: string[] = [];
    const bundle = bundleOf(inside, 'spy', (config) => {
      tracing(config);
      config.process.args = ['sleep', '1000'];
      const hook = { path: '/bin/busybox', args: ['true'] };
      config.hooks = { startContainer: Array.from({ length: 10 }, () => hook) };
    });
    for (let i = 0; i < 20 && seen.length < 20; i++) {
      await inside.created(bundle, async (id) => {
        const spy = inside.spawn(['exec', id, '/bin/spy', ...words], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const output = new Output(spy.stdout);
        await output.until('begun\n');
        inside.must(['start', id]);
        inside.must(['kill', id, 'KILL']);
        await exitOf(spy);
        seen.push(...output.text.split('\n').filter((line) => line.includes(' read;')));
      });
    }
    t.ok(seen.length >= 20, 'it looked');
    t.strictSame(
      seen.filter((line) => !/ gains: read;(?: made it call;)?$/.test(line)),
      [],
      'nothing was gained',
    );
  });

  inside.test('what is executed by way of /proc/self is found', async (t) => {
    await inside.created(inside.script('sleep 1000'), (id) => {
      inside.must(['start', id]);
      const found = inside.tare(['exec', id, '/proc/self/root/bin/busybox', 'echo', 'found']);
      t.strictSame([found.status, found.stdout, found.stderr], [0, 'found\n', '']);
      const absent = inside.tare(['exec', id, '/proc/self/root/bin/absent']);
      t.equal(absent.status, 255);
      t.match(absent.error, 'stat /proc/self/root/bin/absent: no such file or directory');
    });
  });
}

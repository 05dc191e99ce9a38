/**
 * Who may trace all processes in a container, by CAP_SYS_PTRACE of the host's user namespace, and what that
 * brings him: nothing that the container has not. `spy` (test/programs) is the one.
 */
import { Container } from '../../lib/index.js';
import { state, whyNot, type Config } from '../cli/tare.js';
import { Inside } from '../init/inside.js';
import { byCommand, byLibrary, looks, type Exec } from './spied.js';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

if (whyNot !== undefined) {
  t.plan(0, whyNot);
} else {
  const inside = new Inside();
  t.teardown(() => inside.remove());
  const marker = join(inside.directory, 'of-the-host');
  writeFileSync(marker, 'of the host');
  // In the environment of this process, and by that in its memory and in that of what it calls.
  const secret = `secret of ${inside.tag}`;
  process.env['TARE_TEST_SECRET'] = secret;
  // What is looked for must not be what the look itself has brought along.
  const words = [marker, secret];

  const tracing = (config: Config): void => {
    const sets = ['bounding', 'effective', 'permitted'];
    const given = ['CAP_SYS_PTRACE', 'CAP_KILL', 'CAP_DAC_OVERRIDE'];
    config.process.capabilities = Object.fromEntries(sets.map((set) => [set, given]));
  };
  const filtered = (config: Config): void => {
    tracing(config);
    // As engines have it: clone3(2) cannot be looked into.
    const syscalls = [
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
      { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 0x7e020000, op: 'SCMP_CMP_MASKED_EQ' }] },
      { names: ['kexec_load'], action: 'SCMP_ACT_ERRNO' },
    ];
    config.linux['seccomp'] = { defaultAction: 'SCMP_ACT_ALLOW', syscalls };
  };

  /** What the spy gains from processes of `exec`; the lines of those seen before their execve(2). */
  const gains = async (
    t: Test,
    edit: (config: Config) => void,
    exec: Exec,
    own = /^(?:read|made it call)$/,
  ): Promise<void> => {
    const isRead = (line: string): boolean => line.includes(' read;');
    const lines = await looks(t, inside, edit, 0, exec, (seen) => seen.filter(isRead).length >= 20, words);
    t.ok(lines.some((line) => line.includes('made it call')), 'it had one of them call');
    const early = lines.filter((line) => line.includes('tare-init'));
    t.comment(`${early.length} of ${lines.length} were seen before their execve(2)`);
    const gained = lines.flatMap((line) => {
      const gains = line.split(' gains:')[1]?.split(';').map((gain) => gain.trim()) ?? [];
      const more = gains.filter((gain) => gain !== '' && !own.test(gain));
      return more.length > 0 ? [line] : [];
    });
    t.strictSame(gained, [], 'nothing was gained');
  };

  inside.test('who may trace all gains nothing of who is executed', async (t) => {
    await gains(t, tracing, byCommand(inside));
    await gains(t, tracing, byLibrary(inside));
  });
}

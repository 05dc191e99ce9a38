/** The probes of `doctor`, as the kernel sees them. */
import { OrdinaryUser } from '../support/ordinary-user.js';
import { Sandbox, call, cli, skipReason, type Result } from '../support/tare.js';
import { existsSync } from 'node:fs';
import t, { type Test } from 'tap';

/** An execve(2) or execveat(2) as strace(1) prints it, with its argv. */
const execution = /exec(?:ve|veat)\((?:\d+, )?"[^"]*", (NULL|\[[^\]]*\])/g;
const tracing = ['-qq', '-f', '-s', '4096', '-e', 'trace=execve,execveat', '-e', 'signal=none'];

/** The first word of each argv that strace reports; of an empty one "[]" or "NULL". */
function names(traced: string): string[] {
  return [...traced.matchAll(execution)].map(
    ([, argv = '']) => /^\["([^"]*)"/.exec(argv)?.[1] ?? argv,
  );
}

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else if (!existsSync('/usr/bin/strace')) {
  t.plan(0, 'needs strace');
} else {
  const sandbox = new Sandbox(t);
  const user = new OrdinaryUser(sandbox);

  // The kernel logs a warning about a program that is executed with an empty argv.
  const check = (t: Test, { status, stderr }: Result, program: string): void => {
    t.equal(status, 0, stderr);
    const found = names(stderr);
    t.equal(stderr.match(/exec(ve|veat)\(/g)?.length, found.length, 'each was understood');
    t.equal(found[0], program);
    t.ok(found.includes('tare-doctor'), 'a program in memory was tried');
    t.notOk(found.includes('NULL') || found.includes('[]'), found.join(' '));
  };

  sandbox.test('each program has an argv, as root', async (t) => {
    check(t, call('strace', [...tracing, cli, '--root', sandbox.root, 'doctor']), cli);
  });

  sandbox.test('each program has an argv, as an ordinary user', async (t) => {
    check(t, user.run(['strace', ...tracing, user.program, 'doctor']), user.program);
  });

  sandbox.test('an empty argv would be seen', async (t) => {
    const script = 'import ctypes; ctypes.CDLL(None).execve(b"/bin/true", None, None)';
    const { stderr } = call('strace', [...tracing, 'python3', '-c', script]);
    t.equal(names(stderr).at(-1), 'NULL');
  });
}

/** run(): commands that are ended by a timeout, by an AbortSignal and by kill(). */
import { failure, runInside, sh, skipReason } from '../support/containers.js';
import t from 'tap';
import { type RunOptions, type Running } from '../../lib/index.js';

const skip = { skip: skipReason ?? false };

t.test('timeout, abort and kill', skip, async (t) => {
  const inside = runInside(t);
  const late = await failure(inside(['sleep', '1000'], { timeout: 100 }));
  t.match(late, {
    code: 'ERR_TARE_TIMED_OUT',
    message: 'sleep 1000: did not end within 100 ms',
    result: { timedOut: true, signal: 'SIGKILL', exitCode: null },
  });
  t.ok(late.result!.durationMs >= 99 && late.result!.durationMs < 5000);

  const reason = new Error('enough');
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 50);
  const aborted = await failure(inside(['sleep', '1000'], { signal: controller.signal }));
  t.match(aborted, { code: 'ERR_TARE_ABORTED', result: { aborted: true } });
  t.equal(aborted.cause, reason);
  const before = await failure(inside(['true'], { signal: AbortSignal.abort(reason) }));
  t.match(before, { code: 'ERR_TARE_ABORTED', message: 'true: was aborted' });
  t.equal(before.cause, reason);

  const patient = sh('trap "echo asked; exit 7" TERM; echo ready; while :; do sleep 0.1; done');
  const running = inside(patient, { killSignal: 'SIGTERM', reject: false });
  await once(running);
  running.kill();
  t.match(await running, { exitCode: 7, stdout: 'ready\nasked\n', failed: true });

  const deaf = inside(sh('trap "" TERM; echo ready; while :; do sleep 0.1; done'), {
    killSignal: 'SIGTERM',
    forceKillAfterDelay: 50,
    reject: false,
  });
  await once(deaf);
  deaf.kill();
  t.match(await deaf, { signal: 'SIGKILL' });

  const early = inside(['sleep', '1000'], { reject: false });
  early.kill();
  t.match(await early, { signal: 'SIGKILL', failed: true }, 'before the program runs');
});

/** Waits for the first output. */
async function once(running: Running<RunOptions>): Promise<void> {
  await new Promise((resolve) => running.stdout!.once('data', resolve));
}

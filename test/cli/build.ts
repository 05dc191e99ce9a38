/** What is tested, and how its errors are read. */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
/** The build that is tested; another one may be named, such as build/sanitize. */
const build = resolve(repository, process.env['TARE_TEST_BUILD'] ?? 'build');
export const cli = join(build, 'tare');
/** The program that replays the corpus of a fuzzer. */
export const fuzzer = (target: string): string => join(build, 'fuzz', target);
/** A program of test/programs. */
export const program = (name: string): string => join(build, 'test', name);
/** The same for a container's root: a static one, which that of a build with sanitizers is not. */
export const staticProgram = (name: string): string => join(repository, 'build/test', name);
export const staticCli = join(repository, 'build/tare');

/** `msg` of a text log's last error. */
export function errorIn(stderr: string): string {
  const line = stderr
    .split('\n')
    .filter((one) => one.includes(' level=error msg='))
    .at(-1);
  // A program that cannot be executed says so without time and level.
  if (line === undefined) return /^exec .*: .*$/m.exec(stderr)?.[0] ?? '';
  const text = JSON.parse(line.slice(line.indexOf(' msg=') + 5)) as string;
  // "create ID: start ID: …" and the like: one frame says on what container something was done.
  if (/(?:^|: )(?:[a-z]+|exec in) ([\w.+-]+): (?:.*: )?(?:[a-z]+|exec in) \1: /.test(text)) {
    throw new Error(`the container is named by two frames: ${text}`);
  }
  return text.replace(mountWords, '');
}

/** What stands before tare's own sentence where a mount failed. */
const mountWords =
  /^\w+ \w+ failed: unable to start container process: error during container init: error mounting: /;

/** Paths of the tested build, and the parsing of its error messages. */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
/** The tested build; TARE_TEST_BUILD selects another one, such as build/sanitize. */
const build = resolve(repository, process.env['TARE_TEST_BUILD'] ?? 'build');
export const cli = join(build, 'tare');
/** Returns the path of the program that replays a fuzzer's corpus. */
export const fuzzer = (target: string): string => join(build, 'fuzz', target);
/** Returns the path of a program of test/programs. */
export const program = (name: string): string => join(build, 'test', name);
/** As program(), for use in a container's root: always static, unlike a build with sanitizers. */
export const staticProgram = (name: string): string => join(repository, 'build/test', name);
export const staticCli = join(repository, 'build/tare');

/** Returns `msg` of the last error in a text log. */
export function errorIn(stderr: string): string {
  const line = stderr
    .split('\n')
    .filter((one) => one.includes(' level=error msg='))
    .at(-1);
  // The error for a program that cannot be executed has no time and no level.
  if (line === undefined) return /^exec .*: .*$/m.exec(stderr)?.[0] ?? '';
  const text = JSON.parse(line.slice(line.indexOf(' msg=') + 5)) as string;
  // Only one frame may name the container, not two as in "create ID: start ID: …".
  if (/(?:^|: )(?:[a-z]+|exec in) ([\w.+-]+): (?:.*: )?(?:[a-z]+|exec in) \1: /.test(text)) {
    throw new Error(`the container is named by two frames: ${text}`);
  }
  return text.replace(mountWords, '');
}

/** The prefix that tare puts before its own message if a mount fails. */
const mountWords =
  /^\w+ \w+ failed: unable to start container process: error during container init: error mounting: /;

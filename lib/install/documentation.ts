/**
 * The manual pages and shell completions of an installed command line, as printed by its own `tare
 * man` and `tare completion`.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { InstallError } from './change.js';

/** Where shells look for completions, below PREFIX/share. */
const completions = {
  bash: 'bash-completion/completions/tare',
  zsh: 'zsh/site-functions/_tare',
  fish: 'fish/vendor_completions.d/tare.fish',
};

/** Text that each of these files contains, and no file of another program. */
export const documentationTrait = /^\.TH TARE|made by `tare completion /m;

function output(program: string, words: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, words, { encoding: 'utf8' });
  if (error !== undefined || status !== 0) {
    throw new InstallError(
      `${program} ${words.join(' ')}: ${error?.message ?? stderr.trim()}; --no-manual skips it`,
    );
  }
  return stdout;
}

/** Returns the commands that `--help` lists; each has a manual page. */
function verbs(program: string): string[] {
  const [, list = ''] = /^COMMANDS:\n((?: {3}.*\n)+)/m.exec(output(program, ['--help'])) ?? [];
  return [...list.matchAll(/^ {3}(\w+) {2,}/gm)].map(([, verb = '']) => verb);
}

/** A manual page or a completion. */
export interface Page {
  readonly path: string;
  /** Returns its content, as the program prints it. */
  readonly text: () => string;
}

/** Returns the manual pages and completions below `prefix`. */
export function documentation(program: string, prefix: string): Page[] {
  const share = join(prefix, 'share');
  const page = (path: string, words: string[]): Page => ({
    path: join(share, path),
    text: () => output(program, words),
  });
  return [
    page('man/man8/tare.8', ['man']),
    ...verbs(program).map((verb) => page(`man/man8/tare-${verb}.8`, ['man', verb])),
    ...Object.entries(completions).map(([shell, path]) => page(path, ['completion', shell])),
  ];
}

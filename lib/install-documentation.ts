/** What a shell and man(1) are to know of an installed command line: its own words, by `tare man` and `tare completion`. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { InstallError } from './install-change.js';
import type { Edit } from './install-engine.js';

/** Where shells look for completions, below a prefix's share. */
const completions = {
  bash: 'bash-completion/completions/tare',
  zsh: 'zsh/site-functions/_tare',
  fish: 'fish/vendor_completions.d/tare.fish',
};

/** Words that each of these files has, and nobody else's. */
export const documentationTrait = /^\.TH TARE|made by `tare completion /m;

function output(program: string, words: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, words, { encoding: 'utf8' });
  if (error !== undefined || status !== 0) {
    throw new InstallError(
      `${program} ${words.join(' ')}: ${error?.message ?? stderr.trim()}; --no-manual does without`,
    );
  }
  return stdout;
}

/** The commands that `--help` lists, which are those that have a page. */
function verbs(program: string): string[] {
  const [, list = ''] = /^COMMANDS:\n((?: {3}.*\n)+)/m.exec(output(program, ['--help'])) ?? [];
  return [...list.matchAll(/^ {3}(\w+) {2,}/gm)].map(([, verb = '']) => verb);
}

/** Manual pages and completions below `prefix`. */
export function documentation(program: string, prefix: string): Edit[] {
  const share = join(prefix, 'share');
  const pages = [[], ...verbs(program).map((verb) => [verb])];
  return [
    ...pages.map((words) => ({
      path: join(share, 'man/man8', `${['tare', ...words].join('-')}.8`),
      content: output(program, ['man', ...words]),
    })),
    ...Object.entries(completions).map(([shell, path]) => ({
      path: join(share, path),
      content: output(program, ['completion', shell]),
    })),
  ];
}

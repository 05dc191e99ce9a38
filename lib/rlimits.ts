/** The limits of getrlimit(2) as options. */
import type { Rlimit } from './spec.js';

export const rlimitNames = [
  ...(['as', 'core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nice'] as const),
  ...(['nofile', 'nproc', 'rss', 'rtprio', 'rttime', 'sigpending', 'stack'] as const),
];

/** Limits by their names of prlimit(1), such as `nofile`; a number is both, Infinity no limit. */
export type Rlimits = {
  readonly [Name in (typeof rlimitNames)[number]]?:
    | number
    | {
        /** What holds; the process may raise it up to the other. */
        readonly soft: number;
        /** The highest. More than this program's own needs privilege. */
        readonly hard: number;
      };
};

/** No limit, of a uint64. */
const unlimited = 2 ** 64;

export function rlimitsOf(rlimits: Rlimits): Rlimit[] {
  const value = (limit: number): number => (limit === Infinity ? unlimited : limit);
  return Object.entries(rlimits).map(([name, limit]) => {
    const { soft, hard } = typeof limit === 'number' ? { soft: limit, hard: limit } : limit;
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: value(soft), hard: value(hard) };
  });
}

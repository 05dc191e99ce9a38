/** The resource limits of getrlimit(2), as options. */
import type { Rlimit } from '../spec/spec.js';

export const rlimitNames = [
  ...(['as', 'core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nice'] as const),
  ...(['nofile', 'nproc', 'rss', 'rtprio', 'rttime', 'sigpending', 'stack'] as const),
];

/**
 * Resource limits by their prlimit(1) names, such as `nofile`. A number sets both soft and hard
 * limit; Infinity means no limit.
 */
export type Rlimits = {
  readonly [Name in (typeof rlimitNames)[number]]?:
    | number
    | {
        /** The limit in force; the process may raise it up to `hard`. */
        readonly soft: number;
        /** The highest value of `soft`. Exceeding this program's own hard limit needs privilege. */
        readonly hard: number;
      };
};

/** No limit, as a uint64. */
const unlimited = 2 ** 64;

export function rlimitsOf(rlimits: Rlimits): Rlimit[] {
  const value = (limit: number): number => (limit === Infinity ? unlimited : limit);
  return Object.entries(rlimits).map(([name, limit]) => {
    const { soft, hard } = typeof limit === 'number' ? { soft: limit, hard: limit } : limit;
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: value(soft), hard: value(hard) };
  });
}

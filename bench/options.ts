/** The options that benchmarks of command lines share. */
import type { ParseArgsConfig } from 'node:util';

export const runOptions = {
  rounds: { type: 'string', default: '200' },
  warmup: { type: 'string', default: '10' },
  peer: { type: 'string', multiple: true, default: [] as string[] },
  'peers-root': { type: 'string', default: '/' },
  out: { type: 'string' },
  help: { type: 'boolean', default: false },
} satisfies ParseArgsConfig['options'];

export const runUsage = `  --rounds N         rounds of each scenario (200)
  --warmup N         rounds before them that are not counted (10)
  --peer NAME=PATH   time this runtime too, or this one instead of the NAME that PATH has
  --peers-root DIR   run all command lines with DIR as root file system, and take peers from there`;

/** Returns the number given for an option. Throws Error with the usage if it is not above 0. */
export function positive(name: string, value: string, usage: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number <= 0) {
    throw new Error(`--${name} ${value}: wanted a whole number above 0\n${usage}`);
  }
  return number;
}

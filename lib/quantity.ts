import { invalidArgument } from './errors.js';

const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** A number of bytes: a number, or text such as `128MiB`, `1.5GB`. */
export type ByteSize = number | string;

/** The number of bytes that an option is given as. */
export function bytesOf(name: string, size: ByteSize): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(String(size).trim()) ?? [];
  const factor = units[unit.toLowerCase()];
  const bytes = Math.round(Number(number) * (factor ?? NaN));
  if (number === '' || !Number.isSafeInteger(bytes)) {
    throw invalidArgument(
      `${name}: ${JSON.stringify(size)} is no size; give bytes, or text such as "128MiB" or "1.5GB"`,
    );
  }
  return bytes;
}

/** A number that an option is given as, within `least` and `most`. */
export function numberOf(name: string, value: unknown, least: number, most = Infinity): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  const range = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
  throw invalidArgument(`${name}: must be a number ${range}, not ${JSON.stringify(value)}`);
}

/** The same for a whole number. */
export function integerOf(name: string, value: unknown, least: number, most?: number): number {
  const number = numberOf(name, value, least, most);
  if (Number.isInteger(number)) return number;
  throw invalidArgument(`${name}: must be a whole number, not ${number}`);
}

import { randomUUID } from 'node:crypto';
import { asInvalidArgument, mustBe } from '../options/option-values.js';

/**
 * 2^64 - 1 as a JavaScript number, which cannot hold it exactly. The spec uses it for "unlimited".
 */
const maxUint64 = 2 ** 64;

/**
 * Returns JSON in which 64-bit numbers are exact. `JSON.stringify` refuses bigints, and writes the
 * max uint64, once `JSON.parse` has read it, as a number that does not fit a uint64. `name` is the
 * caller's name for the value.
 */
export function stringify(value: unknown, name = 'spec'): string {
  if (typeof value !== 'object' || value === null) throw mustBe(name, 'an object', value);
  try {
    const text = JSON.stringify(value);
    if (!text.includes('18446744073709552000')) return text;
  } catch (error) {
    if (!(error instanceof TypeError && /BigInt/.test(error.message))) {
      throw asInvalidArgument(name, error);
    }
  }
  const mark = randomUUID();
  let marked;
  try {
    marked = JSON.stringify(value, (_key, item: unknown) => {
      if (typeof item === 'bigint') return `${mark}${item}`;
      return item === maxUint64 ? `${mark}18446744073709551615` : item;
    });
  } catch (error) {
    throw asInvalidArgument(name, error);
  }
  return marked.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1');
}

import { randomUUID } from 'node:crypto';
import { invalidArgument } from '../errors.js';
import { asInvalidArgument, hasLoneSurrogate, mustBe } from '../options/option-values.js';

/** A 64-bit number of the spec. Above `Number.MAX_SAFE_INTEGER` only a bigint is exact. */
export type Uint64 = number | bigint;

/**
 * 2^64 - 1 as a JavaScript number, which cannot hold it exactly. The spec uses it for "unlimited".
 */
const maxUint64 = 2 ** 64;

/** Text of JSON that may stand for a value that JSON cannot express. */
const isSuspicious = /[:[,]null[,}\]]|\\ud[89a-f]/;

/**
 * Refuses values that JSON would replace: a limit of NaN would become null, which means no limit.
 * `value` is known to have no cycle.
 */
function checkValues(value: unknown, name: string): void {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw mustBe(name, 'a finite number', value);
  }
  if (typeof value === 'string' && hasLoneSurrogate(value)) {
    throw invalidArgument(`${name}: must be valid Unicode, without lone surrogates`);
  }
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const [index, item] of (value as unknown[]).entries()) {
      if (item === undefined) throw mustBe(`${name}[${index}]`, 'given', item);
      checkValues(item, `${name}[${index}]`);
    }
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    checkValues(key, `${name}: a name`);
    checkValues(item, `${name}.${key}`);
  }
}

/**
 * Returns JSON in which 64-bit numbers are exact. `JSON.stringify` refuses bigints, and writes the
 * max uint64, once `JSON.parse` has read it, as a number that does not fit a uint64. `name` is the
 * caller's name for the value.
 */
export function stringify(value: unknown, name = 'spec'): string {
  if (typeof value !== 'object' || value === null || value instanceof Promise) {
    throw mustBe(name, 'an object', value);
  }
  try {
    const text = JSON.stringify(value);
    if (isSuspicious.test(text)) checkValues(value, name);
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
    if (isSuspicious.test(marked)) checkValues(value, name);
  } catch (error) {
    throw asInvalidArgument(name, error);
  }
  return marked.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1');
}

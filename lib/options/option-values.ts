/** Checks of options: unknown names and invalid values are refused. */
import { invalidArgument, TareError } from '../errors.js';

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

/** A number of bytes, or text such as `128MiB` or `1.5GB`. */
export type ByteSize = number | string;

/** Throws unless `value` is valid for the option `name`, such as `mounts[1].source`. */
export type Check = (name: string, value: unknown) => void;

/** One check for each option. */
export type Checks<Options> = Readonly<Record<keyof Options & string, Check>>;

/**
 * Returns a copy of the given options, including plain objects and arrays in them. Each property is
 * read once: a getter could return something else the second time, and the caller may change the
 * object during a call. The copies have no prototype: a property that some code has added to
 * Object.prototype must not become an option.
 *
 * @throws {@link TareError} `ERR_TARE_INVALID_ARGUMENT` for an unknown or invalid option.
 */
export function checkedOptions<Options extends object>(
  given: unknown,
  checks: Checks<Options>,
  path = '',
): Options {
  const taken = Object.create(null) as Record<string, unknown>;
  if (given === undefined) return taken as Options;
  try {
    isObject(path || 'options', given);
    for (const key of Object.keys(given as object)) {
      const name = path === '' ? key : `${path}.${key}`;
      if (!Object.hasOwn(checks, key)) throw unknownOption(name, key, Object.keys(checks));
      const value = snapshot((given as Record<string, unknown>)[key]);
      if (value === undefined) continue;
      checks[key as keyof Options & string](name, value);
      taken[key] = value;
    }
  } catch (error) {
    throw asInvalidArgument(path || 'options', error);
  }
  return taken as Options;
}

/** Returns a copy of options with some of them replaced. Like the copies, it has no prototype. */
export function withOptions<Options extends object, Changes extends object>(
  options: Options,
  changes: Changes,
): Omit<Options, keyof Changes> & Changes {
  return Object.assign(Object.create(null) as object, options, changes);
}

/** Whether an object is a plain one, of any realm: no Map, and no instance of a class. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === null || prototype === Object.prototype || value === process.env) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

/** Whether a plain object is a value in itself, such as an input that is read when it is needed. */
const isIterable = (value: object): boolean =>
  Symbol.iterator in value || Symbol.asyncIterator in value;

/** Max depth of copied objects. No option is nested deeper, and a cycle would never end. */
const maxDepth = 16;

/** Copies plain objects and arrays; streams, iterables and the like are returned as they are. */
function snapshot(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > maxDepth) return value;
  if (Array.isArray(value)) return Array.from(value, (item) => snapshot(item, depth + 1));
  if (!isPlain(value) || isIterable(value)) return value;
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) copy[key] = snapshot(item, depth + 1);
  }
  return copy;
}

/** Returns a copy, made of ordinary objects, of an option that the caller gets back. */
export function ordinary<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => ordinary(item)) as T;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => [key, ordinary(item)]),
  ) as T;
}

/** Wraps what a getter, proxy or toString of the caller threw as an error of the option. */
export function asInvalidArgument(name: string, error: unknown): TareError {
  if (error instanceof TareError) return error;
  const why = error instanceof Error ? error.message : shownValue(error);
  return new TareError(`${name}: reading it failed: ${why}`, {
    code: 'ERR_TARE_INVALID_ARGUMENT',
    cause: error,
  });
}

function unknownOption(name: string, key: string, known: readonly string[]): TareError {
  const near = nearest(key, known);
  const remedy = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`;
  return invalidArgument(`${shortened(name)}: unknown option; ${remedy}`);
}

/** Returns the known name that `name` is likely a misspelling of. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const lower = shortened(name).toLowerCase();
  let best: { one: string; distance: number } | undefined;
  for (const one of known) {
    const distance = editDistance(lower, one.toLowerCase());
    if (distance <= Math.max(1, one.length / 3) && distance < (best?.distance ?? Infinity)) {
      best = { one, distance };
    }
  }
  return best?.one;
}

/**
 * Returns the Damerau–Levenshtein distance: characters added, removed, replaced, or two swapped.
 */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swaps = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = swaps ? beforeLast[j - 2]! + 1 : Infinity;
      row.push(Math.min(replaced, last[j]! + 1, row[j - 1]! + 1, swapped));
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length]!;
}

const maxShown = 100;
const shortened = (text: string): string =>
  text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;

/** Formats a value for a message. The length is bounded, and no code of the value runs. */
export function shownValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shortened(value));
  if (typeof value === 'bigint') return `${shortened(String(value))}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return shortened(String(value));
  if (value instanceof Promise) return 'a promise';
  return Array.isArray(value) ? 'an array' : 'an object';
}

export function mustBe(name: string, what: string, value: unknown): TareError {
  return invalidArgument(`${name}: must be ${what}, not ${shownValue(value)}`);
}

/** Returns the number of bytes that an option specifies. */
export function bytesOf(name: string, size: unknown): number {
  const text = typeof size === 'number' || typeof size === 'string' ? String(size).trim() : '';
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text) ?? [];
  const factor = units[unit.toLowerCase()];
  const bytes = Math.round(Number(number) * (factor ?? NaN));
  if (number === '' || !Number.isSafeInteger(bytes)) {
    throw invalidArgument(
      `${name}: invalid size ${shownValue(size)}; give bytes, or text such as "128MiB" or "1.5GB"`,
    );
  }
  // The kernel often takes 0 as no limit.
  if (bytes < 1) throw mustBe(name, 'a size of at least 1 byte', size);
  return bytes;
}

/** Returns the value of a numeric option. Throws unless it is within `min` and `max`. */
export function numberOf(name: string, value: unknown, min: number, max = Infinity): number {
  if (typeof value === 'number' && value >= min && value <= max) return value;
  const range = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
  throw mustBe(name, `a number ${range}`, value);
}

/** Like numberOf(), for a whole number. */
export function integerOf(name: string, value: unknown, min: number, max?: number): number {
  const number = numberOf(name, value, min, max);
  if (Number.isInteger(number)) return number;
  throw mustBe(name, 'a whole number', number);
}

export const isBoolean: Check = (name, value) => {
  if (typeof value !== 'boolean') throw mustBe(name, 'true or false', value);
};

export const isFunction: Check = (name, value) => {
  if (typeof value !== 'function') throw mustBe(name, 'a function', value);
};

export const isObject: Check = (name, value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw mustBe(name, 'an object', value);
  }
  // An iterable is not copied, and would be read again.
  if (!isPlain(value) || isIterable(value)) throw mustBe(name, 'a plain object', value);
};

/** Whether a string has a surrogate without its other half, which UTF-8 cannot express. */
export const hasLoneSurrogate = (text: string): boolean => /\p{Surrogate}/u.test(text);

/** A string that a system call can take. */
export const isText: Check = (name, value) => {
  if (typeof value !== 'string') throw mustBe(name, 'a string', value);
  if (value.includes('\0')) throw invalidArgument(`${name}: must not contain a NUL character`);
  if (hasLoneSurrogate(value)) {
    throw invalidArgument(`${name}: must be valid Unicode, without lone surrogates`);
  }
};

/** Names and texts of a map such as `env`. */
export const isTexts: Check = (name, value) => {
  isObject(name, value);
  for (const [key, text] of Object.entries(value as object)) {
    // Code that copies the map would set the prototype.
    if (key === '__proto__') throw invalidArgument(`${name}.__proto__: invalid name`);
    isText(`${name}: a name`, key);
    isText(`${name}.${shortened(key)}`, text);
  }
};

export const isPath: Check = (name, value) => {
  isText(name, value);
  if (value === '') throw invalidArgument(`${name}: must be a path, not an empty string`);
};

/** Milliseconds within the range of a timer; `Infinity` for none. */
export const isDelay: Check = (name, value) => {
  if (value !== Infinity) numberOf(name, value, 0, maxDelay);
};
const maxDelay = 2 ** 31 - 1;

export const isAbortSignal: Check = (name, value) => {
  const { aborted, addEventListener } = (value ?? {}) as Partial<AbortSignal>;
  if (typeof aborted !== 'boolean' || typeof addEventListener !== 'function') {
    throw mustBe(name, 'an AbortSignal', value);
  }
};

export const eachOf =
  (check: Check): Check =>
  (name, value) => {
    if (!Array.isArray(value)) throw mustBe(name, 'an array', value);
    for (const [index, one] of (value as unknown[]).entries()) check(`${name}[${index}]`, one);
  };

export const oneOf =
  (...words: readonly string[]): Check =>
  (name, value) => {
    if (words.includes(value as string)) return;
    throw mustBe(name, `one of ${words.map((word) => JSON.stringify(word)).join(', ')}`, value);
  };

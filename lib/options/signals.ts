import { constants } from 'node:os';
import { invalidArgument } from '../errors.js';
import { shownValue, type Check } from './option-values.js';

const numbers = constants.signals as Partial<Record<string, number>>;
// Of several names for a number, the first is the usual one (SIGABRT, not SIGIOT).
const names = new Map<number, string>();
for (const [name, number] of Object.entries(numbers)) {
  if (!names.has(number!)) names.set(number!, name);
}
/** The real-time signals of signal(7). */
const sigrtmin = 34;
const sigrtmax = 64;

/** Returns the number of a signal, given by number or name. `option` is its name in an error. */
export function signalNumber(signal: NodeJS.Signals | number, option = 'signal'): number {
  const number = typeof signal === 'number' ? signal : numberOfName(signal);
  if (number === undefined || !Number.isInteger(number) || number < 0 || number > sigrtmax) {
    throw invalidArgument(
      `${option}: invalid signal ${shownValue(signal)}; give a name such as "SIGTERM", or a number up to ${sigrtmax}`,
    );
  }
  return number;
}

function numberOfName(name: unknown): number | undefined {
  return typeof name === 'string' && Object.hasOwn(numbers, name) ? numbers[name] : undefined;
}

export const checkSignal: Check = (name, value) => {
  signalNumber(value as NodeJS.Signals, name);
};

/** Returns the name of a signal: `SIGKILL`; `SIGRTMIN+2` for a real-time signal. */
export function signalName(number: number): NodeJS.Signals {
  const name = names.get(number);
  if (name !== undefined) return name as NodeJS.Signals;
  const other = number < sigrtmin ? `SIG${number}` : `SIGRTMIN+${number - sigrtmin}`;
  return other as NodeJS.Signals;
}

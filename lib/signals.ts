import { constants } from 'node:os';
import { invalidArgument } from './errors.js';

const numbers = constants.signals as Partial<Record<string, number>>;
// Of names for the same number the first is the usual one (SIGABRT, not SIGIOT).
const names = new Map<number, string>();
for (const [name, number] of Object.entries(numbers)) {
  if (!names.has(number!)) names.set(number!, name);
}
/** The real-time signals of signal(7). */
const sigrtmin = 34;
const sigrtmax = 64;

/** The number of a signal by its number or its name. */
export function signalNumber(signal: NodeJS.Signals | number): number {
  const number = typeof signal === 'number' ? signal : numbers[signal];
  if (number === undefined || !Number.isInteger(number) || number < 0 || number > sigrtmax) {
    const given = typeof signal === 'string' ? `"${signal}"` : String(signal);
    throw invalidArgument(
      `signal: ${given} is none; give a name such as "SIGTERM", or a number up to ${sigrtmax}`,
    );
  }
  return number;
}

/** The name of a signal: `SIGKILL`; `SIGRTMIN+2` for a real-time signal. */
export function signalName(number: number): string {
  const name = names.get(number);
  if (name !== undefined) return name;
  return number < sigrtmin ? `SIG${number}` : `SIGRTMIN+${number - sigrtmin}`;
}

/** Calls thousands of command lines through test/programs/callers.cc. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { cli, program } from '../support/build.js';

interface Ended {
  command: number;
  status: number;
  signal: number;
  stderr: string;
}

/**
 * Calls the command line with each list of arguments, from `callers` processes at once; each of
 * them makes its part of the calls one after the other. Throws if a call fails.
 */
export async function callAll(root: string, calls: string[][], callers = 1): Promise<void> {
  const words = calls.map((args) => ['command', cli, '--root', root, ...args].join('\t'));
  const part = Math.ceil(calls.length / callers);
  const lines = Array.from({ length: callers }, (_, caller) => {
    const numbers = calls.map((_, number) => number).slice(caller * part, (caller + 1) * part);
    return ['caller', ...numbers].join('\t');
  });
  const hour = '3600';
  const child = spawn(program('callers'), [hour, '60'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] },
  });
  const exited = once(child, 'exit') as Promise<[number | null]>;
  child.stdin.end([...words, ...lines].map((line) => `${line}\n`).join(''));
  const failed: string[] = [];
  let ended = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const { command, status, signal, stderr } = JSON.parse(line) as Ended;
    ended++;
    if (status !== 0) failed.push(`${calls[command]?.join(' ')}: ${status} ${signal} ${stderr}`);
  }
  const [status] = await exited;
  if (failed.length > 0) throw new Error(failed.slice(0, 5).join('\n'));
  if (status !== 0 || ended !== calls.length) throw new Error(`${ended} calls, status ${status}`);
}

/** Programs that use the library in a process of their own, which the test may end. */
import { spawn, type ChildProcess } from 'node:child_process';
import { Output } from './tare.js';

const library = new URL('../../dist/index.js', import.meta.url).href;

/** Provides the library, `data`, and tell(), which writes a line to the test. */
function source(body: string, data: unknown): string {
  return `
    import { Container, run } from ${JSON.stringify(library)};
    import { writeSync } from 'node:fs';
    const data = ${JSON.stringify(data)};
    const tell = (text) => void writeSync(1, text + '\\n');
    ${body}
  `;
}

export interface Program {
  child: ChildProcess;
  /** The standard output, with the lines of tell(). */
  output: Output;
}

/**
 * Runs `body`, in which Container, run, data and tell() are defined. `prefix` is a command that
 * executes its arguments.
 */
export function program(body: string, data: unknown, prefix: string[] = []): Program {
  const [command, ...args] = [
    ...prefix,
    ...[process.execPath, '--no-warnings', '--input-type=module', '-e', source(body, data)],
  ];
  const child = spawn(command!, args, { stdio: 'pipe', env: { PATH: process.env['PATH'] } });
  return { child, output: new Output(child.stdout) };
}

/** The other end of --console-socket and --pidfd-socket. */
import { spawn, type ChildProcess } from 'node:child_process';
import { Output, program } from './tare.js';

export interface Receiver {
  socket: string;
  process: ChildProcess;
  stdin: NodeJS.WritableStream;
  /** What came; it ends when the terminal has been closed at its other end. */
  output: Output;
}

/** A listener on `socket`, ready. */
export async function recvtty(socket: string, ...options: string[]): Promise<Receiver> {
  const child = spawn(program('recvtty'), [...options, socket], { stdio: 'pipe' });
  const output = new Output(child.stdout);
  await new Output(child.stderr).until('listening\n');
  return { socket, process: child, stdin: child.stdin, output };
}

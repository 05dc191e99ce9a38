/** The receiving end of --console-socket and --pidfd-socket. */
import { spawn, type ChildProcess } from 'node:child_process';
import { Output, program } from './tare.js';

export interface Receiver {
  socket: string;
  process: ChildProcess;
  stdin: NodeJS.WritableStream;
  /** The received output; it ends when the terminal is closed at its other end. */
  output: Output;
}

/** Starts a receiver on `socket`, and waits until it listens. */
export async function recvtty(socket: string, ...options: string[]): Promise<Receiver> {
  const child = spawn(program('recvtty'), [...options, socket], { stdio: 'pipe' });
  const output = new Output(child.stdout);
  await new Output(child.stderr).until('listening\n');
  return { socket, process: child, stdin: child.stdin, output };
}

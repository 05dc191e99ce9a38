#!/usr/bin/env node
/**
 * `npx tare …`: runs the package's command line with this process's arguments. `install` and
 * `uninstall` are not part of that program.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { arch } from 'node:process';
import { fileURLToPath } from 'node:url';

const candidates = ['../build/tare', `../prebuilds/linux-${arch}/tare`].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);
const program = candidates.find((path) => existsSync(path));
if (program === undefined) {
  console.error(
    `tare: this package has no command line for linux-${arch}, only for x64 and arm64; build it with npm run build`,
  );
  process.exit(127);
}

const words = process.argv.slice(2);
const isHelp = words[0] === 'help' || words[0] === 'h';
const command = words[isHelp ? 1 : 0];
if (command === 'install' || command === 'uninstall') {
  const { install } = await import('./install/install.js');
  process.exitCode = install(isHelp ? [command, '--help'] : words, program);
} else {
  pass(program);
}

/** Runs `program` with this process's streams and forwards its signals. */
function pass(program: string): void {
  const child = spawn(program, words, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => {
    console.error(`tare: ${error.message}`);
    process.exit(126);
  });
  child.on('exit', (status, signal) => {
    process.exitCode = status ?? 128 + constants.signals[signal!];
  });
}

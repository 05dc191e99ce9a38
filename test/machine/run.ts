/**
 * npm run vm -- COMMAND [ARG ...]: runs a command in a guest, in this directory, and exits with its
 * status. VM_CONSOLE=yes shows the guest's console, VM_SYSTEMD=yes makes systemd its init,
 * VM_ARCH=arm64 selects a guest of that architecture.
 */
import type { Architecture } from './platform.js';
import type { Vm } from './vm.js';
import { Unavailable, inGuest, quote } from './vm.js';

const words = process.argv.slice(2);
if (words.length === 0) {
  process.stderr.write('usage: npm run vm -- COMMAND [ARG ...]\n   or: npm run vm -- "SCRIPT"\n');
  process.exit(2);
}
const verbose = process.env.VM_CONSOLE !== undefined;
try {
  process.exitCode = await inGuest(
    async (vm: Vm) => {
      if (verbose) process.stderr.write(`booted in ${(vm.bootTime / 1000).toFixed(2)} s\n`);
      const { status } = await vm.run(words.length === 1 ? words[0]! : words.map(quote).join(' '), {
        cwd: process.cwd(),
        timeout: 2 ** 31 - 1,
        onStdout: (chunk) => process.stdout.write(chunk),
        onStderr: (chunk) => process.stderr.write(chunk),
      });
      return status;
    },
    {
      directories: [process.cwd()],
      systemd: process.env.VM_SYSTEMD !== undefined,
      architecture: process.env.VM_ARCH as Architecture | undefined,
      onConsole: verbose ? (text) => process.stderr.write(text) : undefined,
    },
  );
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  process.stderr.write(`vm: ${error.message}\n`);
  process.exitCode = 125;
}

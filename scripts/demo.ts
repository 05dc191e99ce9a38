/**
 * npm run demo: makes an OCI bundle from busybox and runs it twice: in this process by the library,
 * and with build/tare. Prints what the process in the container sees.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { Container, type Spec } from '../lib/index.js';

const tare = fileURLToPath(new URL('../build/tare', import.meta.url));
const namespaces = ['mnt', 'pid', 'net', 'uts', 'ipc', 'cgroup', 'user'];

const script = `
echo "  I am process $$ on $(hostname), $(id)"
echo "  my namespaces: $(for name in ${namespaces.join(' ')}; do readlink /proc/self/ns/$name; done | xargs)"
echo "  my root holds: $(ls / | xargs), and $(wc -l < /proc/self/mountinfo) mounts"
echo "  all processes that I see:"
ps -o pid,comm | sed 's/^/    /'
`;
const applets = ['sh', 'echo', 'hostname', 'id', 'ls', 'ps', 'readlink', 'sed', 'wc', 'xargs'];

/**
 * Makes a bundle in a new directory: busybox as root file system, and the config.json of `tare
 * spec`.
 */
function makeBundle(): string {
  const bundle = mkdtempSync(join(tmpdir(), 'tare-demo-'));
  const bin = join(bundle, 'rootfs/bin');
  mkdirSync(bin, { recursive: true });
  copyFileSync('/bin/busybox', join(bin, 'busybox'));
  for (const name of applets) symlinkSync('busybox', join(bin, name));

  const rootless = process.getuid?.() === 0 ? [] : ['--rootless'];
  execFileSync(tare, ['spec', '--bundle', bundle, ...rootless]);
  const file = join(bundle, 'config.json');
  const spec = JSON.parse(readFileSync(file, 'utf8')) as Spec;
  spec.process!.terminal = false;
  spec.process!.args = ['sh', '-c', script];
  spec.hostname = 'tare-demo';
  writeFileSync(file, JSON.stringify(spec, null, 2));
  return bundle;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints how long `work` takes. */
async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work();
  print(`${what} took ${(performance.now() - began).toFixed(1)} ms`);
  return result;
}

async function byLibrary(bundle: string, root: string): Promise<number> {
  const id = `demo-library-${process.pid}`;
  const container = await timed('Container.create()', () =>
    Container.create(id, { bundle, root, stdio: ['ignore', 'inherit', 'inherit'] }),
  );
  try {
    const ended = container.wait();
    await timed('start()', () => container.start());
    const { exitCode, signal } = await ended;
    print(`wait() says ${JSON.stringify({ exitCode, signal })}`);
    return exitCode ?? 1;
  } finally {
    await timed('delete()', () => container.delete({ force: true }));
  }
}

function byCommandLine(bundle: string, root: string): number {
  const id = `demo-cli-${process.pid}`;
  const args = ['--root', root, 'run', '--bundle', bundle, id];
  const { status, error } = spawnSync(tare, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) throw error;
  return status ?? 1;
}

const bundle = makeBundle();
try {
  const root = join(bundle, 'state');
  const own = namespaces.map((name) => readlinkSync(`/proc/self/ns/${name}`)).join(' ');
  print(`the namespaces of this program: ${own}`);
  print('\n# by the library');
  const library = await byLibrary(bundle, root);
  print('\n# by the command line: build/tare run');
  const commandLine = byCommandLine(bundle, root);
  process.exitCode = library || commandLine;
} finally {
  rmSync(bundle, { recursive: true, force: true });
}

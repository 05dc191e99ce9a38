/**
 * The host's files that a container's processes get: stdio, preserved descriptors, nothing else.
 */
import { Output, exitOf, state, skipReason } from '../support/tare.js';
import { Inside, type Edit } from '../support/inside.js';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  // A glob would open a directory in the shell itself, so the script tests each number.
  const listing = 'for fd in $(seq 0 300); do [ -e /proc/$$/fd/$fd ] && echo $fd; done; true';
  const numbers = (text: string): number[] => text.trim().split('\n').map(Number);
  const host = openSync('/', 'r');
  /** stdio, and additional descriptors of a host directory. */
  const stdio = (more: number) =>
    ['ignore', 'pipe', 'inherit', ...Array.from({ length: more }, () => host)] as (
      'ignore' | number
    )[];

  const said = async (args: string[], more: number): Promise<number[]> => {
    const child = inside.spawn(args, { stdio: stdio(more) });
    const chunks: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    const [status] = (await once(child, 'close')) as [number];
    if (status !== 0) throw new Error(`${args.join(' ')}: ${status}`);
    return numbers(Buffer.concat(chunks).toString());
  };

  inside.test('run', async (t) => {
    const bundle = inside.script(listing);
    t.strictSame(await said(['run', '-b', bundle, inside.fresh()], 20), [0, 1, 2]);
    const preserve = ['run', '--preserve-fds', '2', '-b', bundle, inside.fresh()];
    t.strictSame(await said(preserve, 20), [0, 1, 2, 3, 4]);
    const closed = inside.tare(['run', '-b', bundle, inside.fresh()], { stdio: ['ignore'] });
    t.equal(closed.status, 0);
  });

  inside.test('create and start, exec', async (t) => {
    const edits: Edit[] = [
      () => undefined,
      (config) => {
        // Files that init keeps open for longer: a private procfs, and those of the masked paths.
        config.linux['sysctl'] = { 'net.ipv4.ip_forward': '1' };
      },
    ];
    for (const edit of edits) {
      const id = inside.fresh();
      const bundle = inside.script(`${listing}; echo end; sleep 1000`, edit);
      const create = inside.spawn(['create', '--preserve-fds', '1', '-b', bundle, id], {
        stdio: stdio(20),
      });
      const output = new Output(create.stdout);
      t.equal(await exitOf(create), 0);
      const pid = state(inside.must(['state', id]).stdout).pid;
      inside.must(['start', id]);
      const text = (await output.until('end\n')).replace('end\n', '');
      t.strictSame(numbers(text), [0, 1, 2, 3], 'start');
      t.match(readlinkSync(`/proc/${pid}/exe`), /busybox$/);
      t.strictSame(await said(['exec', id, 'sh', '-c', listing], 20), [0, 1, 2], 'exec');
      const preserve = ['exec', '--preserve-fds', '3', id, 'sh', '-c', listing];
      t.strictSame(await said(preserve, 20), [0, 1, 2, 3, 4, 5], 'exec --preserve-fds');
      inside.must(['delete', '--force', id]);
    }
  });

  inside.test('hooks of every kind', async (t) => {
    const kinds = [
      'prestart',
      'createRuntime',
      'createContainer',
      'startContainer',
      'poststart',
      'poststop',
    ];
    const id = inside.fresh();
    const bundle = inside.script('true', (config, rootfs) => {
      config.hooks = Object.fromEntries(
        kinds.map((kind) => {
          const inContainer = kind === 'startContainer';
          const out = inContainer ? '/out' : join(inside.directory, kind);
          if (inContainer) writeFileSync(join(rootfs, 'out'), '');
          const script = `(${listing}) >${out}`;
          return [
            kind,
            [{ path: inContainer ? '/bin/sh' : '/bin/busybox', args: ['sh', '-c', script] }],
          ];
        }),
      );
    });
    for (const args of [
      ['create', '-b', bundle, id],
      ['start', id],
      ['delete', '--force', id],
    ]) {
      t.equal(await exitOf(inside.spawn(args, { stdio: stdio(20) })), 0);
    }
    // Hooks on the host are ordinary children of the caller, and inherit every descriptor that the
    // caller leaves open for its children.
    const child = spawnSync('/bin/busybox', ['sh', '-c', listing], { stdio: stdio(20) });
    const own = new Set(numbers(child.stdout.toString()));
    for (const kind of kinds) {
      const path =
        kind === 'startContainer' ? join(bundle, 'rootfs/out') : join(inside.directory, kind);
      const seen = numbers(readFileSync(path, 'utf8'));
      const wanted = kind.endsWith('Container') ? new Set([0, 1, 2]) : own;
      t.strictSame(
        seen.filter((fd) => !wanted.has(fd)),
        [],
        kind,
      );
    }
  });
}

/**
 * A full disk and a read-only one: tare reports the failed operation and leaves nothing behind, and
 * running containers continue.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { state, skipReason, type Result } from '../support/tare.js';
import { Inside, whileMounted } from '../support/inside.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const bundle = inside.bundle(['sleep', '1000']);

  /** Mounts a file system of its own for `body`, which gets its path. */
  async function small(
    options: string,
    body: (path: string) => Promise<void> | void,
  ): Promise<void> {
    const path = join(inside.directory, 'small');
    mkdirSync(path, { recursive: true });
    await whileMounted(['-t', 'tmpfs', '-o', options, 'tmpfs', path], () => body(path));
  }
  function remount(path: string, options: string): void {
    execFileSync('mount', ['-o', `remount,${options}`, path]);
  }
  /** Takes all remaining space of a small file system. */
  function fill(path: string): void {
    try {
      writeFileSync(join(path, 'filler'), Buffer.alloc(1 << 20));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
  const at = (root: string, ...args: string[]): Result =>
    inside.tare(args, { global: ['--root', root], timeout: 20_000 });
  function must(root: string, ...args: string[]): Result {
    const result = at(root, ...args);
    if (result.status !== 0) throw new Error(`${args.join(' ')}: ${result.stderr}`);
    return result;
  }
  /**
   * Returns the errors of creates with an increasing amount of a resource, up to the first success.
   */
  async function untilItFits(
    t: Test,
    options: (amount: number) => string,
    step: number,
  ): Promise<string[]> {
    const errors: string[] = [];
    for (let amount = step; ; amount += step) {
      if (amount > 64 * step) throw new Error('it never fits');
      let fits = false;
      await small(options(amount), (path) => {
        const root = join(path, 'state');
        const id = inside.fresh();
        const result = at(root, 'create', '-b', bundle, id);
        fits = result.status === 0;
        if (fits) {
          must(root, 'start', id);
          t.equal(state(must(root, 'state', id).stdout).status, 'running');
          must(root, 'delete', '--force', id);
        } else {
          errors.push(result.error.replaceAll(path, 'DISK').replaceAll(id, 'ID'));
        }
        if (existsSync(root)) t.strictSame(readdirSync(root), [], `nothing stays: ${amount}`);
      });
      t.strictSame(inside.leftovers(), [], `not elsewhere either: ${amount}`);
      if (fits) return errors;
    }
  }

  inside.test(
    'a state root without inodes: each step says which file it could not make',
    async (t) => {
      const errors = await untilItFits(t, (inodes) => `nr_inodes=${inodes}`, 1);
      t.ok(errors.length > 4, `${errors.length} steps`);
      for (const error of errors) {
        t.match(error, /^create ID: .*DISK\/state.*: ENOSPC \(No space left on device\)$/);
      }
    },
  );

  inside.test('a state root without space', async (t) => {
    const page = 4096;
    const errors = await untilItFits(t, (size) => `size=${size}`, page);
    t.ok(errors.length > 0, `${errors.length} steps`);
    for (const error of errors) {
      t.match(error, /^create ID: keep the state in DISK\/state\/ID: .*: write: ENOSPC \(/);
    }
  });

  inside.test('a disk that is full when the container is there', async (t) => {
    await small('size=256k', (path) => {
      const root = join(path, 'state');
      const id = inside.fresh();
      must(root, 'create', '-b', bundle, id);
      fill(path);
      must(root, 'start', id);
      t.equal(state(must(root, 'state', id).stdout).status, 'running', 'start needs none of it');
      t.equal(must(root, 'exec', id, 'echo', 'here').stdout, 'here\n', 'nor does exec');
      const depth = join('/sys/fs/cgroup', id, 'cgroup.max.depth');
      const before = readFileSync(depth, 'utf8');
      const limits = { unified: { 'cgroup.max.depth': '7' } };
      const update = inside.tare(['update', '-r', '-', id], {
        global: ['--root', root],
        input: JSON.stringify(limits),
      });
      t.equal(update.status, 1);
      t.match(update.error, `update ${id}: keep the state in ${root}/${id}: resources.json: `);
      t.match(update.error, 'ENOSPC (No space left on device)');
      t.equal(readFileSync(depth, 'utf8'), before, 'what cannot be remembered is put back');
      const pidFile = join(path, 'pid');
      const exec = at(root, 'exec', '-d', '--pid-file', pidFile, id, 'sleep', '1000');
      t.equal(exec.status, 255);
      t.match(exec.error, `${pidFile}: `);
      t.match(exec.error, 'ENOSPC (No space left on device)');
      t.notOk(existsSync(pidFile));
      t.equal(must(root, 'ps', '--format', 'json', id).stdout.split(',').length, 1, 'it is ended');
      must(root, 'delete', '--force', id);
      t.strictSame(readdirSync(root), []);
    });
  });

  inside.test(
    'a root file system without inodes: the mount that has no place is named',
    async (t) => {
      await small('nr_inodes=64', (path) => {
        const full = join(path, 'bundle');
        cpSync(bundle, full, { recursive: true, verbatimSymlinks: true });
        inside.edit(full, (config) => {
          config.root.readonly = false;
          config.mounts.push({ destination: '/some/new/place', type: 'tmpfs', source: 'tmpfs' });
          config.process.args = ['true'];
        });
        for (let i = 0; ; i++) {
          try {
            writeFileSync(join(path, `filler${i}`), '');
          } catch {
            break;
          }
        }
        const result = inside.tare(['run', '-b', full, inside.fresh()]);
        t.equal(result.status, 1);
        t.match(
          result.error,
          /mount -t tmpfs tmpfs \/some\/new\/place: config\.json: mounts\[\d+\]: mkdirat: ENOSPC \(No space left on device\)$/,
        );
      });
    },
  );

  inside.test('a read-only root file system without the place of a mount', async (t) => {
    await small('size=16m', (path) => {
      const fixed = join(path, 'bundle');
      cpSync(bundle, fixed, { recursive: true, verbatimSymlinks: true });
      inside.edit(fixed, (config) => {
        config.mounts.push({ destination: '/new', type: 'tmpfs', source: 'tmpfs' });
      });
      remount(path, 'ro');
      const result = inside.tare(['run', '-b', fixed, inside.fresh()]);
      t.match(
        result.error,
        /config\.json: mounts\[\d+\]: mkdirat: EROFS \(Read-only file system\)$/,
      );
    });
  });

  inside.test('a pid file that has no place: the container does not stay', async (t) => {
    await small('size=4k', (path) => {
      fill(path);
      const pidFile = join(path, 'pid');
      const id = inside.fresh();
      const result = inside.tare(['create', '-b', bundle, '--pid-file', pidFile, id]);
      t.equal(result.status, 1);
      t.equal(result.error, `create ${id}: ${pidFile}: write: ENOSPC (No space left on device)`);
      t.strictSame(readdirSync(path), ['filler']);
    });
    t.strictSame(inside.leftovers(), []);
  });

  inside.test('a read-only state root', async (t) => {
    await small('size=1m', (path) => {
      const root = join(path, 'state');
      const [id, other, third] = [inside.fresh(), inside.fresh(), inside.fresh()];
      must(root, 'run', '-d', '-b', bundle, id);
      must(root, 'create', '-b', bundle, other);
      remount(path, 'ro');
      const erofs = 'EROFS (Read-only file system)';
      const create = at(root, 'create', '-b', bundle, third);
      t.equal(create.status, 1);
      t.equal(create.error, `create ${third}: ${root}/${third}: mkdir: ${erofs}`);
      t.equal(state(must(root, 'state', id).stdout).status, 'running', 'what only reads works');
      t.equal(state(must(root, 'state', other).stdout).status, 'created');
      t.equal(must(root, 'exec', id, 'echo', 'here').stdout, 'here\n');
      t.equal(must(root, 'list', '-q').stdout, [id, other].sort().join('\n') + '\n');
      must(root, 'kill', id, 'KILL');
      while (state(must(root, 'state', id).stdout).status !== 'stopped');
      for (const [args, container] of [
        [['delete', id], id],
        [['delete', '--force', other], other],
      ] as const) {
        const result = at(root, ...args);
        t.equal(result.status, 1, args.join(' '));
        t.match(result.error, `delete ${container}: ${root}/${container}`);
        t.match(result.error, erofs);
      }
      remount(path, 'rw');
      must(root, 'delete', '--force', id);
      must(root, 'delete', '--force', other);
      t.strictSame(readdirSync(root), []);
    });
  });
}

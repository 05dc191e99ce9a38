/** checkpoint and restore, by Debian's criu: a container that counts goes on counting. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Sandbox, exitOf, state, type Config } from './tare.js';

t.setTimeout(280_000);
const sandbox = new Sandbox();
t.teardown(() => sandbox.remove());

/** What criu and its iptables ask the kernel for. */
function loadModules(): void {
  const modules = process.env['TARE_GUEST_MODULES'];
  if (modules === undefined) return;
  const names =
    'nf_tables nft_compat nft_ct xt_mark xt_conntrack ip_tables iptable_filter ip6_tables ip6table_filter ' +
    'nf_conntrack_netlink unix_diag inet_diag tcp_diag udp_diag raw_diag netlink_diag af_packet_diag veth tun';
  execFileSync('depmod', ['-b', modules]);
  for (const name of names.split(' ')) execFileSync('modprobe', ['-d', modules, name]);
}
loadModules();

const counting = 'i=0; while :; do i=$((i+1)); echo $i >/data/count; sleep 0.02; done';

interface Counter {
  id: string;
  bundle: string;
  images: string;
  data: string;
  /** What it has come to. */
  count(): number;
  /** Waits until it has counted on from `from`, and to no number that it would come to only later. */
  goesOn(t: Test, from: number): Promise<void>;
}

async function counter(
  name: string,
  edit?: (config: Config, data: string) => void,
  script = counting,
): Promise<Counter> {
  const directory = mkdtempSync(join(sandbox.directory, 'work-'));
  const data = join(directory, 'data');
  mkdirSync(data);
  const bundle = sandbox.bundle(['sh', '-c', script], (config) => {
    config.mounts.push({
      destination: '/data',
      type: 'bind',
      source: data,
      options: ['rbind', 'rw'],
    });
    edit?.(config, data);
  });
  const count = (): number => Number(readFileSync(join(data, 'count'), 'utf8'));
  const one = {
    id: sandbox.id(name),
    bundle,
    images: join(directory, 'images'),
    data,
    count,
    async goesOn(t: Test, from: number): Promise<void> {
      const deadline = Date.now() + 10_000;
      // A file that is being written is empty for a moment.
      while (!(count() > from) && Date.now() < deadline) await sleep(10);
      t.ok(count() > from, `it counts on from ${from}`);
      t.ok(count() < from + 500, 'and did not begin anew');
    },
  };
  const child = sandbox.spawn(['run', '-d', '-b', bundle, one.id], { stdio: 'ignore' });
  if ((await exitOf(child)) !== 0) throw new Error(`${name} does not start`);
  while (!existsSync(join(data, 'count')) || !(count() > 0)) await sleep(10);
  return one;
}

const sleep = (milliseconds: number): Promise<void> =>
  new Promise((done) => setTimeout(done, milliseconds));

/** Calls tare and tells what its log says where that fails. */
function call(t: Test, args: string[]): void {
  const { status, stderr } = sandbox.tare(args);
  t.equal(status, 0, args.join(' '), { stderr });
}

async function restored(t: Test, one: Counter, id: string, flags: string[] = []): Promise<void> {
  const args = ['restore', '-d', '-b', one.bundle, '--image-path', one.images, ...flags, id];
  const child = sandbox.spawn(args, { stdio: ['ignore', 'ignore', 'inherit'] });
  t.equal(await exitOf(child), 0, args.join(' '));
  t.equal(state(sandbox.must(['state', id]).stdout).status, 'running');
}

sandbox.test('directories that absolute links name, as containerd has them', async (t) => {
  const one = await counter('linked');
  const directory = mkdtempSync(join(sandbox.directory, 'real-'));
  const link = `${directory}.link`;
  symlinkSync(directory, link);
  const from = one.count();
  const images = ['--image-path', one.images, '--work-path', link];
  call(t, ['checkpoint', ...images, one.id]);
  await restored(t, one, one.id, ['--work-path', link]);
  await one.goesOn(t, from);
  t.same(
    readdirSync(directory)
      .filter((name) => name.endsWith('.log'))
      .sort(),
    ['dump.log', 'restore.log'],
  );
  call(t, ['delete', '--force', one.id]);
});

sandbox.test('where mounts are shared, as on a host that systemd has booted', async (t) => {
  const shared = (how: string) => execFileSync('mount', [`--make-${how}`, '/']);
  shared('rshared');
  t.teardown(() => shared('rprivate'));
  const one = await counter('shared');
  const from = one.count();
  call(t, ['checkpoint', '--image-path', one.images, one.id]);
  await restored(t, one, one.id);
  await one.goesOn(t, from);
  call(t, ['delete', '--force', one.id]);
});

sandbox.test('a counter goes on, in its own id and in another one', async (t) => {
  const one = await counter('plain');
  for (const id of [one.id, sandbox.id('other')]) {
    const from = one.count();
    call(t, ['checkpoint', '--image-path', one.images, one.id]);
    t.equal(sandbox.must(['list', '-q']).stdout, '', 'the saved container is gone');
    t.ok(existsSync(join(one.images, 'dump.log')));
    await restored(t, one, id);
    await one.goesOn(t, from);
  }
  const id = sandbox.id('other');
  const { stdout } = sandbox.must(['exec', id, 'sh', '-c', 'cat /proc/self/cgroup; id -u']);
  t.equal(stdout, '0::/\n0\n', 'a process can be executed in it, and is in its cgroup');
  const { pid } = state(sandbox.must(['state', id]).stdout);
  t.match(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), new RegExp(`^0::/${id}$`, 'm'));
  t.not(sandbox.tare(['exec', id, 'touch', '/new']).status, 0, 'its root is read-only as before');
  call(t, ['delete', '--force', id]);
});

/** Names that become paths on the host: each denotes exactly the named object, or is refused. */
import { Inside } from '../support/inside.js';
import { state, skipReason } from '../support/tare.js';
import { mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  // Weakened: no validate_id in state/directory.cc and container/create.cc. A container is created with the
  // id " ", and "delete --force" of most others reports success.
  inside.test('crun 1.28: container ids', async (t) => {
    const bundle = inside.script('sleep 1000');
    mkdirSync(inside.root);
    const beside = join(inside.directory, 'beside');
    mkdirSync(beside);
    const before = readdirSync(inside.directory).sort();
    const ids = [
      ...['', ' ', '.', '..', '../beside', 'a/b', 'a/..', 'a/../b', '//', 'a b', 'a\tb', 'a\nb'],
      ...['a\\b', 'a%b', 'a*', 'a:b', 'a@b', '~', '$x', 'ä', '@seccomp', 'x'.repeat(1025)],
      ...[beside, `${'../'.repeat(40)}${beside.slice(1)}`, `../../${inside.tag}`],
    ];
    for (const id of ids) {
      for (const verb of [
        'create',
        'run',
        'state',
        'start',
        'kill',
        'delete',
        'pause',
        'ps',
        'exec',
      ]) {
        const flags = verb === 'create' || verb === 'run' ? ['-b', bundle] : [];
        const more = verb === 'exec' ? ['true'] : [];
        const result = inside.tare([verb, ...flags, '--', id, ...more]);
        if (result.status === 0 || result.stdout !== '') t.fail(`${verb} ${JSON.stringify(id)}`);
        t.match(result.error, /container id cannot be empty|invalid container ID format/, verb);
      }
      const forced = inside.tare(['delete', '--force', '--', id]);
      if (forced.status === 0) t.fail(`delete --force ${JSON.stringify(id)}`);
    }
    t.strictSame(readdirSync(inside.directory).sort(), before);
  });

  // Weakened: requested_cgroup (container/exec_target.cc) without its search for "..". Processes are
  // executed in "..", "below/../.." and others, above the container's cgroup.
  inside.test('crun 1.28: sub-cgroups of exec, and linux.cgroupsPath', async (t) => {
    await inside.created(inside.script('sleep 1000'), (id) => {
      inside.must(['start', id]);
      const { pid } = state(inside.must(['state', id]).stdout);
      const own = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? '';
      mkdirSync(`/sys/fs/cgroup${own}/below`);
      const tricks =
        '..|../|/..|../..|below/..|below/../..|./..|below/./../..|//..|..//..|below/...|.../..|' +
        `../${own.split('/').at(-1)}x|${'../'.repeat(30)}`;
      for (const trick of tricks.split('|')) {
        const result = inside.tare(['exec', '--cgroup', trick, id, 'cat', '/proc/self/cgroup']);
        t.match(result, { status: 255, stdout: '' }, trick);
      }
      const inBelow = inside.must(['exec', '--cgroup', 'below', id, 'cat', '/proc/self/cgroup']);
      t.match(inBelow.stdout, /^0::\/below$/m);
      rmdirSync(`/sys/fs/cgroup${own}/below`);
    });
    for (const path of ['/../x', '/a/../../x', '../x', 'a/..', '/..']) {
      const refused = inside.run('true', (config) => {
        config.linux.cgroupsPath = path;
      });
      t.match(refused, { status: 1, error: /linux\.cgroupsPath: .*must not contain "\.\."/ }, path);
    }
  });

  const corePattern = '/proc/sys/kernel/core_pattern';
  // Weakened: check_sysctl (validate/sysctl.cc) refuses nothing. kernel.core_pattern is "|/x"
  // afterwards.
  inside.test('CVE-2022-0811: a sysctl sets itself, and nothing of the host', async (t) => {
    const before = readFileSync(corePattern, 'utf8');
    t.teardown(() => {
      if (readFileSync(corePattern, 'utf8') !== before) writeFileSync(corePattern, before);
    });
    const seen = (value: string) =>
      inside.run('cat /proc/sys/kernel/domainname', (config) => {
        config.linux['sysctl'] = { 'kernel.domainname': value };
      });
    // Separators between sysctls in other syntaxes are part of the value here.
    for (const value of ['a+kernel.core_pattern=|/x', 'a kernel.core_pattern=x', 'a,b=c']) {
      t.match(seen(value), { status: 0, stdout: `${value}\n` });
    }
    const keys =
      'kernel.core_pattern|kernel/core_pattern|kernel.shm_rmid_forced+kernel.core_pattern|' +
      'net.ipv4/../../kernel/core_pattern|net/../kernel/core_pattern|net....kernel.core_pattern|' +
      '/proc/sys/kernel/core_pattern|../kernel/core_pattern|kernel.domainname=x|net|net.|.net.x|' +
      'fs.mqueue/../suid_dumpable|kernel.shmmax/../core_pattern|vm.overcommit_memory|kernel.hostname';
    for (const key of keys.split('|')) {
      const { status, stdout, error } = inside.run('echo started', (config) => {
        config.linux['sysctl'] = { [key]: '|/x' };
      });
      t.match({ status, stdout, error }, { status: 1, stdout: '', error: /linux\.sysctl/ }, key);
    }
    t.equal(readFileSync(corePattern, 'utf8'), before);
  });
}

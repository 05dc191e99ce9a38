/** Names that become paths on the host: they name what they say, or nothing. */
import { Inside } from '../init/inside.js';
import { state, whyNot } from '../cli/tare.js';
import { mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (whyNot !== undefined) {
  t.plan(0, whyNot);
} else {
  const inside = new Inside();
  t.teardown(() => inside.remove());

  // To be seen to fail without validate_id in StateDir::create and open (state.cc): "../beside" was
  // created, and "." deleted the state root.
  inside.test('crun 1.28: container ids', async (t) => {
    const bundle = inside.script('sleep 1000');
    mkdirSync(join(inside.directory, 'beside'));
    mkdirSync(inside.root);
    const before = readdirSync(inside.directory).sort();
    const ids =
      ' |.|..|../beside|../../x|a/b|a/..|a/../b|/abs|//|a b|a\tb|a\nb|a\\b|a%b|a*|a:b|a@b|~|$x|ä|@seccomp|' +
      `${'x'.repeat(1025)}|${'../'.repeat(40)}etc`;
    for (const id of ['', ...ids.split('|')]) {
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

  // To be seen to fail without the search for ".." in requested_cgroup (container_exec.cc): with
  // "below/../.." the process was in the cgroup above the container's.
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
  // To be seen to fail without `problems.add` in check_sysctl (validate_sysctl.cc): init was told to write
  // kernel.core_pattern, which it did.
  inside.test('CVE-2022-0811: a sysctl sets itself, and nothing of the host', async (t) => {
    const before = readFileSync(corePattern, 'utf8');
    const seen = (value: string) =>
      inside.run('cat /proc/sys/kernel/domainname', (config) => {
        config.linux['sysctl'] = { 'kernel.domainname': value };
      });
    // What the separators of others would take for a second one is part of the value here.
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

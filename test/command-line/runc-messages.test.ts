/**
 * The messages that runc's users search for, next to tare's own: errors, and the log of --debug.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, program, Sandbox, skipReason, type Config } from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);

  /** Adds a script that cannot be executed to a bundle, or to a container's file system. */
  const withScript = (bundle: string): string => {
    const script = join(bundle, 'rootfs/bin/script');
    writeFileSync(script, '#!/bin/absent\n');
    chmodSync(script, 0o755);
    return bundle;
  };
  const bare = 'exec /bin/script: no such file or directory';
  const whole = `${bare}: its interpreter (#! line or dynamic linker) does not exist in the container`;

  sandbox.test('a program that cannot be executed: one bare line for scripts', async (t) => {
    const bundle = withScript(sandbox.bundle(['/bin/script']));
    t.match(sandbox.tare(['run', '-b', bundle, sandbox.id('bare')]), {
      status: 1,
      stdout: '',
      stderr: `${bare}\n`,
    });
    const runs = withScript(sandbox.bundle(['sleep', '1000']));
    const id = sandbox.id('runs');
    sandbox.must(['run', '-d', '-b', runs, id]);
    t.match(sandbox.tare(['exec', id, '/bin/script']), { status: 255, stderr: `${bare}\n` });
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('and the whole sentence in a log, as JSON, and on a terminal', async (t) => {
    const bundle = withScript(sandbox.bundle(['/bin/script']));
    const file = join(sandbox.directory, 'log');
    const id = sandbox.id('whole');
    const logged = sandbox.tare(['run', '-b', bundle, id], { global: ['--log', file] });
    t.match(logged, { status: 1, stderr: `${whole}\n` });
    t.match(readFileSync(file, 'utf8'), whole);
    const json = sandbox.tare(['run', '-b', bundle, id], { global: ['--log-format', 'json'] });
    const line = JSON.parse(json.stderr) as Record<string, string>;
    t.match(line, { level: 'error', msg: whole });
    const args = [cli, '--root', sandbox.root, 'run', '-b', bundle, id];
    const pty = [program('pty'), '24x80', '24x80', ...args].map((word) => `'${word}'`).join(' ');
    t.match(execFileSync('sh', ['-c', `${pty} </dev/null || true`], { encoding: 'utf8' }), whole);
  });

  const failing = (config: Config): void => {
    config.mounts.push({ destination: '/tmp', source: '/nowhere', options: ['bind'] });
  };
  const words =
    'failed: unable to start container process: error during container init: error mounting: create';

  sandbox.test('a mount that fails', async (t) => {
    const bundle = sandbox.bundle(['true'], failing);
    for (const verb of ['run', 'create']) {
      const id = sandbox.id(verb);
      const { stderr, status } = sandbox.tare([verb, '-b', bundle, id]);
      t.equal(status, 1);
      t.match(
        stderr,
        `msg="tare ${verb} ${words} ${id}: mount --bind /nowhere /tmp: config.json: `,
      );
    }
    // Errors that come before init exists have only tare's own message.
    const refused = sandbox.bundle(['true'], (config) => {
      config.mounts.push({ destination: 'relative', source: '/', options: ['bind'] });
    });
    t.notMatch(sandbox.tare(['run', '-b', refused, sandbox.id('early')]).stderr, 'unable to');
  });

  sandbox.test('flags of a mount that are locked in a user namespace: what to do', async (t) => {
    const source = join(sandbox.directory, 'locked');
    mkdirSync(source);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'nodev', 'tmpfs', source]);
    const bundle = sandbox.bundle(['true'], (config) => {
      config.mounts.push({ destination: '/tmp', source, options: ['bind', 'dev', 'exec', 'suid'] });
      config.linux.namespaces.push({ type: 'user' });
      const mapping = [{ containerID: 0, hostID: 100000, size: 65536 }];
      Object.assign(config.linux, { uidMappings: mapping, gidMappings: mapping });
    });
    chownSync(join(bundle, 'rootfs'), 100000, 100000);
    const { error, status } = sandbox.tare(['run', '-b', bundle, sandbox.id('locked')]);
    execFileSync('umount', [source]);
    t.equal(status, 1);
    t.match(
      error,
      "config.json: mounts[7]: mount_setattr: EPERM (Operation not permitted); operation not permitted in a user namespace: nodev of the source's mount is locked there; leave out dev",
    );
  });

  sandbox.test('sysfs without a network namespace in a user namespace: what to do', async (t) => {
    const bundle = sandbox.bundle(['true'], (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'network');
      config.linux.namespaces.push({ type: 'user' });
      const mapping = [{ containerID: 0, hostID: 100000, size: 65536 }];
      Object.assign(config.linux, { uidMappings: mapping, gidMappings: mapping });
    });
    chownSync(join(bundle, 'rootfs'), 100000, 100000);
    const { error, status } = sandbox.tare(['run', '-b', bundle, sandbox.id('sysfs')]);
    t.equal(status, 1);
    t.match(
      error,
      /mounts\[\d\]: .*EPERM .*; a user namespace's root may mount sysfs only in a network namespace of its own: add \{"type": "network"\}/,
    );
  });

  /** Returns those of `wanted` that are not in a debug line, in this order. */
  const inOrder = (log: string, wanted: string[]): string[] => {
    let at = 0;
    return wanted.filter((words) => {
      const found = log.indexOf(words, at);
      at = Math.max(at, found);
      return found < 0;
    });
  };

  sandbox.test('the log of --debug: the plan, and how far init has come with it', async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      config.process['execCPUAffinity'] = { initial: '0' };
    });
    const id = sandbox.id('debug');
    const debug = { global: ['--debug'] };
    const setup = [
      'level=debug msg="nsexec container setup: cgroup /sys/fs/cgroup/',
      'level=debug msg="plan: clone pid,network,mount,ipc,uts,cgroup"',
      'mount -t proc proc /proc',
      'pivot_root',
      ']: child process in init(), executed from a sealed memfd"',
    ];
    const { stderr } = sandbox.must(['create', '-b', bundle, id], debug);
    const closing = 'level=debug msg="init: closing the pipe to signal completion"';
    const gate = 'level=debug msg="init: about to wait at the start gate"';
    t.strictSame(inOrder(stderr, [...setup, gate, closing]), []);
    t.equal(sandbox.must(['start', id]).stderr, '', 'nothing of it without the flag');
    const exec = sandbox.must(['exec', id, 'true'], debug).stderr;
    const pid = /nsexec\[(\d+)\]: affinity: 0x1"/.exec(exec)?.[1];
    t.strictSame(
      inOrder(exec, [
        'nsexec container setup: cgroup ',
        `nsexec[${pid}]: affinity: 0x1`,
        `nsexec[${pid}]: child process in init()`,
        'setns_init: about to exec true',
        closing,
      ]),
      [],
    );
    sandbox.must(['delete', '--force', id]);
    const file = join(sandbox.directory, 'debug-log');
    const json = ['--debug', '--log', file, '--log-format', 'json'];
    const run = sandbox.bundle(['true']);
    t.equal(sandbox.must(['run', '-b', run, sandbox.id('json')], { global: json }).stderr, '');
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    for (const line of lines) t.match(JSON.parse(line), { level: 'debug', msg: /./, time: /Z$/ });
    t.strictSame(inOrder(lines.join('\n'), ['child process in init()', 'about to exec']), []);
  });
}

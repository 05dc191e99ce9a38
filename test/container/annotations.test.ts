/** crun's annotations, which engines use for settings that the runtime-spec has no field for. */
import { spawn } from 'node:child_process';
import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Inside, field, inNewUserNamespace, mapped, type Edit } from '../support/inside.js';
import { recvtty } from '../support/recvtty.js';
import {
  Output,
  call,
  cli,
  exitOf,
  program,
  state,
  skipReason,
  type Result,
} from '../support/tare.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const annotated =
    (annotations: Record<string, string>, more?: Edit): Edit =>
    (config, rootfs) => {
      config.annotations = annotations;
      more?.(config, rootfs);
    };

  inside.test('run.oci.keep_original_groups: those of the caller, also of exec', async (t) => {
    const withGroups = (args: string[]): Result =>
      call('setpriv', ['--groups', '4321,5432', cli, '--root', inside.root, ...args]);
    const groups = (edit: Edit): string => {
      const result = withGroups(['run', '-b', inside.script('id -G', edit), inside.fresh()]);
      return result.stdout.trim() + result.stderr;
    };
    const keep = { 'run.oci.keep_original_groups': '1' };
    t.equal(
      groups(() => undefined),
      '0',
    );
    t.equal(groups(annotated(keep)), '0 4321 5432');
    t.equal(groups(annotated({ 'run.oci.keep_original_groups': '0' })), '0');
    const inUserNamespace: Edit = (config, rootfs) => {
      inNewUserNamespace(config);
      chownSync(rootfs, mapped.first, mapped.first);
    };
    const status = (edit: Edit): string => {
      const bundle = inside.script('cat /proc/self/status', edit);
      return field(withGroups(['run', '-b', bundle, inside.fresh()]).stdout, 'Groups').trim();
    };
    t.equal(status(annotated({}, inUserNamespace)), '');
    t.equal(status(annotated(keep, inUserNamespace)), '65534 65534', 'they have no mapping');
    const more: Edit = (config) => {
      config.process.user['additionalGids'] = [77];
    };
    const warned = withGroups([
      'run',
      '-b',
      inside.script('id -G', annotated(keep, more)),
      inside.fresh(),
    ]);
    t.equal(warned.stdout, '0 4321 5432\n');
    t.match(warned.stderr, 'the groups of process.user.additionalGids are not set');

    await inside.created(inside.script('sleep 1000', annotated(keep)), (id) => {
      inside.must(['start', id]);
      t.equal(withGroups(['exec', id, 'id', '-G']).stdout, '0 4321 5432\n');
      t.equal(inside.must(['exec', id, 'id', '-G']).stdout.startsWith('0'), true);
    });
  });

  inside.test('run.oci.hooks.stdout and .stderr: files of the host, appended', async (t) => {
    const [out, err] = ['out', 'err'].map((name) => join(inside.directory, name)) as [
      string,
      string,
    ];
    writeFileSync(out, 'before\n');
    const hook = (name: string) => ({
      path: '/bin/sh',
      args: ['sh', '-c', `echo ${name}; echo ${name}-error >&2`],
    });
    const kinds = [
      ...['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart'],
      'poststop',
    ];
    const bundle = inside.script(
      'true',
      annotated({ 'run.oci.hooks.stdout': out, 'run.oci.hooks.stderr': err }, (config) => {
        config.hooks = Object.fromEntries(kinds.map((kind) => [kind, [hook(kind)]]));
      }),
    );
    inside.must(['run', '-b', bundle, inside.fresh()]);
    t.strictSame(readFileSync(out, 'utf8').split('\n'), ['before', ...kinds, '']);
    t.strictSame(readFileSync(err, 'utf8').split('\n'), [
      ...kinds.map((kind) => `${kind}-error`),
      '',
    ]);
    // The error message still quotes output that is not redirected.
    const failing = inside.script(
      'true',
      annotated({ 'run.oci.hooks.stdout': out }, (config) => {
        const args = ['sh', '-c', 'echo seen-in-file; echo why >&2; exit 3'];
        config.hooks = { createRuntime: [{ path: '/bin/sh', args }] };
      }),
    );
    const failed = inside.tare(['run', '-b', failing, inside.fresh()]);
    t.match(failed.error, /exited with status 3; its last output: why$/);
    t.match(readFileSync(out, 'utf8'), /seen-in-file\n$/);
    const nowhere = inside.script(
      'true',
      annotated({ 'run.oci.hooks.stderr': '/nowhere/file' }, (config) => {
        config.hooks = { poststart: [hook('x')] };
      }),
    );
    t.match(inside.tare(['run', '-b', nowhere, inside.fresh()]), {
      status: 1,
      error: /hooks\.poststart\[0\].*\/nowhere\/file: open: ENOENT/,
    });
  });

  inside.test('run.oci.timens_offset: linux.timeOffsets', async (t) => {
    const offsets = (value: string): Result =>
      inside.run(
        'cat /proc/self/timens_offsets',
        annotated({ 'run.oci.timens_offset': value }, (config) => {
          config.linux.namespaces.push({ type: 'time' });
        }),
      );
    t.match(offsets('1 5000 17').stdout, /^monotonic +5000 +17\nboottime +0 +0\n$/);
    t.match(offsets('boottime 7 0\nmonotonic 3 1').stdout, /^monotonic +3 +1\nboottime +7 +0\n$/);
    for (const bad of ['2 1 1', 'monotonic', 'monotonic 1', 'monotonic 1 1 1', '1 x 1']) {
      t.match(offsets(bad), {
        status: 1,
        error: /\["run\.oci\.timens_offset"\]: invalid time offset/,
      });
    }
  });

  inside.test('run.oci.pidfd_receiver', async (t) => {
    const receiver = await recvtty(join(inside.directory, 'receiver'), '--pidfd');
    const annotations = { 'run.oci.pidfd_receiver': receiver.socket };
    await inside.created(inside.script('true', annotated(annotations)), async (id) => {
      const { pid } = state(inside.must(['state', id]).stdout);
      t.equal(await receiver.output.all(), `${pid}\n`);
    });
    const absent = annotated({ 'run.oci.pidfd_receiver': '/nowhere/socket' });
    t.match(
      inside.run('true', absent).error,
      /annotations\["run\.oci\.pidfd_receiver"\].*\/nowhere\/socket/,
    );
  });

  const asking: Edit = (config) => {
    config.linux['seccomp'] = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'no_such_call'], action: 'SCMP_ACT_NOTIFY' }],
    };
  };

  inside.test('run.oci.seccomp.receiver: the agent of linux.seccomp', async (t) => {
    const socket = join(inside.directory, 'agent');
    const agent = spawn(program('seccomp-agent'), [socket, 'mkdir=123'], { stdio: 'pipe' });
    await new Output(agent.stdout).until('ready\n');
    const edit = annotated({ 'run.oci.seccomp.receiver': socket }, asking);
    const { stdout } = inside.run('mkdir /tmp/x 2>&1', edit);
    t.match(stdout, "mkdir: can't create directory '/tmp/x': No medium found\n");
    agent.stdin.end();
    await exitOf(agent);
    t.match(
      inside.run('true', annotated({ 'run.oci.seccomp.receiver': 'relative' }, asking)).error,
      'annotations["run.oci.seccomp.receiver"]: must be an absolute path, not "relative"',
    );
    t.match(
      inside.run('true', annotated({ 'run.oci.seccomp.receiver': socket })).stderr,
      'linux.seccomp is not set, so no agent is called',
    );
  });

  inside.test('run.oci.seccomp_fail_unknown_syscall', async (t) => {
    const profile: Edit = (config) => {
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'no_such_call'], action: 'SCMP_ACT_ERRNO' }],
      };
    };
    t.equal(inside.run('echo runs', annotated({}, profile)).stdout, 'runs\n');
    const refused = inside.run(
      'echo runs',
      annotated({ 'run.oci.seccomp_fail_unknown_syscall': '1' }, profile),
    );
    t.match(refused, {
      status: 1,
      stdout: '',
      error: 'config.json: linux.seccomp.syscalls[0].names[1]: unknown system call "no_such_call"',
    });
  });

  inside.test('run.oci.delegate-cgroup: the processes are below the container’s', async (t) => {
    const annotations = { 'run.oci.delegate-cgroup': '/payload/of' };
    const bundle = inside.script('sleep 1000', annotated(annotations));
    await inside.created(bundle, (id) => {
      const { pid } = state(inside.must(['state', id]).stdout);
      const cgroup = (of: number): string =>
        /^0::(.*)$/m.exec(readFileSync(`/proc/${of}/cgroup`, 'utf8'))?.[1] ?? '';
      t.ok(cgroup(pid).endsWith(`/${id}/payload/of`), cgroup(pid));
      inside.must(['start', id]);
      const seen = inside.must(['exec', id, 'grep', '^0::', '/proc/self/cgroup', '/proc/1/cgroup']);
      t.equal(
        seen.stdout,
        '/proc/self/cgroup:0::/payload/of\n/proc/1/cgroup:0::/payload/of\n',
        'the namespace begins at the container’s',
      );
      t.equal(
        inside.must(['exec', '--cgroup', '/', id, 'grep', '^0::', '/proc/self/cgroup']).stdout,
        '0::/\n',
      );
    });
    for (const bad of ['..', 'a/../b', 'a//b', '.']) {
      const result = inside.run('true', annotated({ 'run.oci.delegate-cgroup': bad }));
      t.match(result.error, `"${bad}" does not name a cgroup below the container's`);
    }
    t.equal(inside.stdoutOf('echo none', annotated({ 'run.oci.delegate-cgroup': '' })), 'none');
  });

  inside.test('run.oci.mount_context_type: the option that takes linux.mountLabel', async (t) => {
    const plan = (type?: string): Result => {
      const annotations: Record<string, string> = type
        ? { 'run.oci.mount_context_type': type }
        : {};
      const bundle = inside.script(
        'true',
        annotated(annotations, (config) => {
          config.linux['mountLabel'] = 'system_u:object_r:container_file_t';
        }),
      );
      return inside.tare(['plan', '-b', bundle]);
    };
    t.match(plan().stdout, /tmpfs \/dev -o .*[,\s]context=system_u:/);
    for (const type of ['context', 'fscontext', 'defcontext', 'rootcontext']) {
      t.match(plan(type).stdout, new RegExp(`tmpfs /dev -o .*[,\\s]${type}=system_u:`));
    }
    t.match(
      plan('bogus').error,
      'annotations["run.oci.mount_context_type"]: invalid mount option "bogus"; use context',
    );
  });

  const refused: Record<string, RegExp> = {
    'run.oci.handler': /unknown handler "krun"; remove the annotation/,
    'run.oci.seccomp.plugins': /plugins for seccomp are not supported/,
    'run.oci.seccomp_bpf_data': /compiled filters are not supported/,
    'run.oci.systemd.force_cgroup_v1': /cgroup v1 is not mounted in containers/,
  };
  for (const [key, message] of Object.entries(refused)) {
    inside.test(`${key} is refused by name`, async (t) => {
      const result = inside.run('true', annotated({ [key]: 'krun' }));
      t.equal(result.status, 1);
      t.ok(result.error.includes(`config.json: annotations["${key}"]: `), result.error);
      t.match(result.error, message);
    });
  }

  inside.test(
    'what is not known is warned of by name, and others’ annotations are not',
    async (t) => {
      const result = inside.run(
        'echo runs',
        annotated({ 'run.oci.bogus': '1', 'run.ocix': '1', 'io.podman.annotations.init': 'TRUE' }),
      );
      t.match(result, { status: 0, stdout: 'runs\n' });
      t.match(
        result.stderr,
        /^time="[^"]*" level=warning msg="config\.json: annotations\[\\"run\.oci\.bogus\\"\]: unknown annotation, ignored"\n$/,
      );
    },
  );

  inside.test('run.oci.systemd.subgroup has no meaning without systemd’s cgroups', async (t) => {
    const edit = annotated({ 'run.oci.systemd.subgroup': 'payload' });
    t.equal(inside.stdoutOf('grep ^0:: /proc/self/cgroup', edit), '0::/');
  });

  inside.test('they are told to be unsafe in a pod’s hands', async (t) => {
    const features = JSON.parse(inside.must(['features']).stdout) as Record<string, string[]>;
    t.ok(features['potentiallyUnsafeConfigAnnotations']?.includes('run.oci.'));
  });
}

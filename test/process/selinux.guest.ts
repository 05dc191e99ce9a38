/** SELinux labels, with a policy that knows only a few types and enforces nothing. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Sandbox, exitOf, type Config } from '../support/tare.js';

const sandbox = new Sandbox(t);

const level = '((s0) (s0))';
const context = (role: string, type: string) => `(system_u ${role} ${type} ${level})`;
const sids = 'kernel security unlabeled file any_socket port netif netmsg node devnull init'.split(
  ' ',
);
const domains = ['kernel_t', 'container_t', 'other_t'];
const files = ['file_t', 'container_file_t'];
const policy = `
(handleunknown allow)
(mls false)
(policycap nnp_nosuid_transition)
(sensitivity s0) (sensitivityorder (s0))
(class process (transition dyntransition)) (class dir (relabelfrom relabelto))
(classorder (process dir))
(role system_r) (role object_r)
(user system_u) (userrole system_u system_r) (userrole system_u object_r)
(userlevel system_u (s0)) (userrange system_u ${level})
${domains.map((type) => `(type ${type}) (roletype system_r ${type}) (roletype object_r ${type})`).join('\n')}
${files.map((type) => `(type ${type}) (roletype object_r ${type})`).join('\n')}
${sids.map((sid) => `(sid ${sid}) (sidcontext ${sid} ${context('system_r', 'kernel_t')})`).join('\n')}
(sidorder (${sids.join(' ')}))
${['tmpfs', 'mqueue', 'devpts'].map((type) => `(fsuse trans ${type} ${context('object_r', 'file_t')})`).join('\n')}
(allow kernel_t container_t (process (transition)))
${files.map((type) => `(allow kernel_t ${type} (dir (relabelfrom relabelto)))`).join('\n')}
`;

function loadPolicy(): void {
  const source = join(sandbox.directory, 'policy.cil');
  const binary = join(sandbox.directory, 'policy');
  writeFileSync(source, policy);
  const made = spawnSync('secilc', ['-c', '31', '-o', binary, '-f', '/dev/null', source]);
  t.equal(made.status, 0, 'the policy is one', { stderr: made.stderr.toString() });
  if (!existsSync('/sys/fs/selinux/load'))
    spawnSync('mount', ['-t', 'selinuxfs', 'selinuxfs', '/sys/fs/selinux']);
  writeFileSync('/sys/fs/selinux/load', readFileSync(binary));
}
loadPolicy();

const process_ = 'system_u:system_r:container_t';
const other = 'system_u:system_r:other_t';
const mount = 'system_u:object_r:container_file_t';
const current = ['cat', '/proc/self/attr/current'];
/** The kernel ends a label with a NUL. */
const label = (text: string) => text.replaceAll('\0', '').trim();

function run(name: string, args: string[], edit: (config: Config) => void) {
  return sandbox.tare(['run', '--bundle', sandbox.bundle(args, edit), sandbox.id(name)]);
}

sandbox.test('process.selinuxLabel is the label of the process', async (t) => {
  const labelled = run('labelled', current, (config) => {
    config.process['selinuxLabel'] = process_;
  });
  t.equal(label(labelled.stdout), process_, labelled.stderr);
  t.equal(label(run('plain', current, () => {}).stdout), 'system_u:system_r:kernel_t');
});

sandbox.test('exec: the container’s label, and --process-label', async (t) => {
  const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
    config.process['selinuxLabel'] = process_;
  });
  const id = sandbox.id('exec');
  const running = sandbox.spawn(['run', '--detach', '--bundle', bundle, id], { stdio: 'ignore' });
  t.equal(await exitOf(running), 0);
  t.equal(label(sandbox.must(['exec', id, ...current]).stdout), process_);
  t.equal(label(sandbox.must(['exec', '--process-label', other, id, ...current]).stdout), other);
  sandbox.must(['delete', '--force', id]);
});

sandbox.test('a label that the policy does not know ends create, and nothing stays', async (t) => {
  const { status, error } = run('unknown', ['true'], (config) => {
    config.process['selinuxLabel'] = 'system_u:system_r:no_such_t';
  });
  t.equal(status, 1);
  t.match(
    error,
    'config.json: process.selinuxLabel: write: EINVAL (Invalid argument); does the SELinux policy',
  );
});

sandbox.test('linux.mountLabel labels the container’s own file systems', async (t) => {
  const script = ['cat', '/proc/self/mountinfo'];
  const labelled = run('mounts', script, (config) => {
    config.linux['mountLabel'] = mount;
  });
  t.equal(labelled.status, 0, labelled.stderr);
  const mounts = labelled.stdout.split('\n').map((line) => line.split(' '));
  const ours = mounts.filter((words) => words[3] === '/' && words.at(-1)?.includes(mount));
  t.strictSame(
    ours.map((words) => words[4]),
    ['/dev', '/dev/pts', '/dev/shm'],
  );
  t.notMatch(run('plain-mounts', script, () => {}).stdout, 'context=');
  const other = run('root-context', script, (config) => {
    config.linux['mountLabel'] = mount;
    config.annotations = { 'run.oci.mount_context_type': 'rootcontext' };
  });
  t.match(other.stdout, `rootcontext=${mount}`, other.stderr);
  t.notMatch(other.stdout, ` context=${mount}`);
});

sandbox.test(
  'linux.mountLabel labels an mqueue, which takes no context=, by its root',
  async (t) => {
    const bundle = sandbox.bundle(['sleep', '1000'], (config) => {
      config.linux['mountLabel'] = mount;
    });
    const id = sandbox.id('mqueue');
    sandbox.must(['create', '--bundle', bundle, id]);
    const { pid } = JSON.parse(sandbox.must(['state', id]).stdout) as { pid: number };
    const read = spawnSync('getfattr', [
      ...['--only-values', '--absolute-names', '-n', 'security.selinux'],
      `/proc/${pid}/root/dev/mqueue`,
    ]);
    t.equal(label(read.stdout.toString()), mount, read.stderr.toString());
    sandbox.must(['delete', '--force', id]);
  },
);

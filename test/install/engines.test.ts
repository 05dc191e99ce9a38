/**
 * `tare install --configure`: what it adds to the engines' configuration, and that it keeps the
 * rest.
 */
import { chmodSync, statSync } from 'node:fs';
import t, { type Test } from 'tap';
import { TomlDocument, type TomlValue } from '../../lib/install/toml.js';
import { Machine, place } from '../support/installation.js';

const containerd = '/etc/containerd/config.toml';
const podman = '/etc/containers/containers.conf.d/50-tare.conf';
const docker = '/etc/docker/daemon.json';
const crio = '/etc/crio/crio.conf.d/50-tare.conf';
const all = ['containerd', 'podman', 'docker', 'cri-o'];
const configureAll = all.flatMap((name) => ['--configure', name]);

function value(machine: Machine, path: string, key: string[]): TomlValue | undefined {
  return new TomlDocument(machine.read(path)).find(key)?.value;
}

const plugin = {
  2: 'io.containerd.grpc.v1.cri',
  3: 'io.containerd.cri.v1.runtime',
} as const;

function runtime(version: 2 | 3, ...rest: string[]): string[] {
  return ['plugins', plugin[version], 'containerd', 'runtimes', 'tare', ...rest];
}

/** Checks that the call fails with a message that contains all of `words`, and changes nothing. */
function refused(t: Test, machine: Machine, flags: string[], ...words: string[]): void {
  const before = machine.files();
  const { status, stdout, stderr } = machine.tare('install', ...flags);
  t.strictSame([status, stdout], [1, ''], flags.join(' '));
  for (const word of words) t.match(stderr, word);
  t.strictSame(machine.files(), before, 'nothing is changed');
}

t.test('where nothing is', async (t) => {
  const machine = new Machine(t);
  const dry = machine.tare('install', '--dry-run', ...configureAll);
  t.equal(dry.status, 0);
  t.equal(machine.files().size, 0, 'only told');
  const { status, stdout, stderr } = machine.tare('install', ...configureAll);
  t.strictSame([status, stderr], [0, '']);
  t.strictSame(
    [...machine.files().keys()].sort(),
    [containerd, podman, crio, docker, place].sort(),
  );
  t.strictSame(value(machine, containerd, ['version']), { raw: '2' });
  t.equal(value(machine, containerd, runtime(2, 'runtime_type')), 'io.containerd.runc.v2');
  t.equal(value(machine, containerd, runtime(2, 'options', 'BinaryName')), place);
  const runc = [...runtime(2).slice(0, -1), 'runc', 'runtime_type'];
  t.equal(value(machine, containerd, runc), 'io.containerd.runc.v2', 'the default one, too');
  t.strictSame(value(machine, podman, ['engine', 'runtimes', 'tare']), [place]);
  const json = value(machine, podman, ['engine', 'runtime_supports_json']) as string[];
  t.ok(['crun', 'runc', 'tare'].every((name) => json.includes(name)));
  t.equal(value(machine, podman, ['engine', 'runtime']), undefined);
  t.strictSame(JSON.parse(machine.read(docker)), { runtimes: { tare: { path: place } } });
  t.equal(value(machine, crio, ['crio', 'runtime', 'runtimes', 'tare', 'runtime_path']), place);
  for (const path of [containerd, podman, docker, crio]) {
    t.equal(statSync(machine.path(path)).mode & 0o777, 0o644);
  }
  for (const what of ['restart containerd', 'reload docker', 'restart crio']) t.match(stdout, what);

  const before = machine.files();
  const again = machine.tare('install', ...configureAll);
  t.equal(again.status, 0);
  t.notMatch(again.stdout, /written|restart|reload/);
  t.strictSame(machine.files(), before, 'twice is once');
  t.equal(machine.tare('uninstall').status, 0);
  t.strictSame([...machine.files().keys()], []);
});

t.test('by another name, as the default', async (t) => {
  const machine = new Machine(t);
  const flags = ['--name', 'fast.1', '--destination', '/opt/bin/tare', '--default'];
  const engines = ['podman', 'docker', 'crio'].flatMap((name) => ['--configure', name]);
  t.equal(machine.tare('install', ...flags, ...engines).status, 0);
  t.strictSame(JSON.parse(machine.read(docker)), {
    'default-runtime': 'fast.1',
    runtimes: { 'fast.1': { path: '/opt/bin/tare' } },
  });
  t.equal(value(machine, podman, ['engine', 'runtime']), 'fast.1');
  t.strictSame(value(machine, podman, ['engine', 'runtimes', 'fast.1']), ['/opt/bin/tare']);
  t.equal(value(machine, crio, ['crio', 'runtime', 'default_runtime']), 'fast.1');
  t.equal(
    value(machine, crio, ['crio', 'runtime', 'runtimes', 'fast.1', 'runtime_path']),
    '/opt/bin/tare',
  );
  machine.tare('uninstall', '--name', 'other', '--destination', '/opt/bin/other');
  t.equal(machine.files().size, 4, 'what has another name stays');
  machine.tare('uninstall', ...flags.slice(0, 4));
  t.equal(machine.files().size, 0);
});

for (const version of [2, 3] as const) {
  t.test(`containerd: a configuration of version ${version}`, async (t) => {
    const machine = new Machine(t);
    const name = `plugins.'${plugin[version]}'.containerd`;
    const text = `# ours
version = ${version}
imports = []
disabled_plugins = ["a]b"] # [not a table]

[${name}] # the runtimes
  default_runtime_name = "runc"
  [${name}.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [${name}.runtimes.runc.options]
      SystemdCgroup = true

# the last one
[metrics]
  address = """
[${name}.runtimes.tare]
"""`;
    machine.write(containerd, text);
    chmodSync(machine.path(containerd), 0o640);
    const flags = ['--configure', 'containerd', '--systemd-cgroup'];
    t.equal(machine.tare('install', ...flags).status, 0);
    const after = machine.read(containerd);
    t.ok(after.startsWith(`${text}\n\n# Added by \`tare install\``), 'all of it is kept');
    t.equal(statSync(machine.path(containerd)).mode & 0o777, 0o640);
    t.equal(value(machine, containerd, runtime(version, 'options', 'BinaryName')), place);
    t.strictSame(value(machine, containerd, runtime(version, 'options', 'SystemdCgroup')), {
      raw: 'true',
    });
    t.match(machine.tare('install', ...flags).stdout, `config.toml: is as it should be`);
    t.equal(machine.read(containerd), after);

    const other = ['--configure', 'containerd', '--prefix', '/opt'];
    refused(t, machine, other, `${containerd}:21: another runtime is named "tare"`, '--force');
    t.equal(machine.tare('install', ...other, '--force').status, 0);
    t.equal(
      machine.read(containerd),
      after.replace('/usr/local', '/opt').replace(/ *Systemd.*\n$/, ''),
    );
    t.equal(machine.tare('uninstall').status, 0);
    t.equal(machine.read(containerd), `${text}\n`);
  });
}

t.test('containerd: an entry of another origin', async (t) => {
  const machine = new Machine(t);
  const entry = (binary: string): string => `
[plugins."${plugin[2]}".containerd.runtimes]
  [plugins."${plugin[2]}".containerd.runtimes.tare]
    runtime_type = "io.containerd.runc.v2"
    options = {BinaryName = "${binary}"}
  [plugins."${plugin[2]}".containerd.runtimes.zzz]
    runtime_type = "z"
`;
  machine.write(containerd, `version = 2\n${entry(place)}`);
  t.match(machine.tare('install', '--configure', 'containerd').stdout, 'toml: is as it should be');
  machine.write(containerd, `version = 2\n${entry('/usr/bin/mine')}`);
  refused(t, machine, ['--configure', 'containerd'], `${containerd}:5: another runtime is named`);
  t.equal(machine.tare('install', '--configure', 'containerd', '--force').status, 0);
  t.equal(value(machine, containerd, runtime(2, 'options', 'BinaryName')), place);
  t.equal(
    value(machine, containerd, [...runtime(2).slice(0, -1), 'zzz', 'runtime_type']),
    'z',
    'the next table is kept',
  );
});

t.test('containerd: the default runtime', async (t) => {
  const machine = new Machine(t);
  const text = `version = 2\n\n[plugins."${plugin[2]}"]\n  enable_selinux = true\n`;
  const runc = [...runtime(2).slice(0, -1), 'runc', 'runtime_type'];
  machine.write(containerd, text);
  machine.tare('install', '--configure', 'containerd');
  t.equal(value(machine, containerd, runc), 'io.containerd.runc.v2', 'is named where none was');
  const after = machine.read(containerd);
  machine.tare('install', '--configure', 'containerd', '--prefix', '/opt', '--force');
  t.equal(machine.read(containerd), after.replace('/usr/local', '/opt'));
  machine.tare('uninstall');
  t.equal(machine.read(containerd), text, 'and no more, with ours');
  machine.tare('install', '--configure', 'containerd');
  const other = `\n[plugins."${plugin[2]}".containerd.runtimes.kata]\nruntime_type = "k"\n`;
  machine.write(containerd, machine.read(containerd) + other);
  machine.tare('uninstall');
  t.equal(value(machine, containerd, runc), 'io.containerd.runc.v2', 'stays beside others');
  t.equal(value(machine, containerd, runtime(2, 'runtime_type')), undefined);
});

t.test('containerd: what cannot be added to', async (t) => {
  const machine = new Machine(t);
  const flags = ['--configure', 'containerd'];
  machine.write(containerd, 'disabled_plugins = ["cri"]\n');
  refused(t, machine, flags, 'has no version', 'containerd config default');
  machine.write(containerd, 'version = 7\n');
  refused(t, machine, flags, 'unknown version 7');
  machine.write(containerd, 'version = 2\n[plugins\n');
  refused(t, machine, flags, `${containerd}: line 2: `, 'it is left as it is');
  const closed = `runtimes = { runc = { runtime_type = "x" } }`;
  machine.write(containerd, `version = 2\n[plugins."${plugin[2]}".containerd]\n${closed}\n`);
  refused(t, machine, flags, `${containerd}:3: runtimes is an inline table`);
});

t.test('containerd: a directory of imported files', async (t) => {
  const machine = new Machine(t);
  const own = '/etc/containerd/conf.d/tare.toml';
  const flags = ['--configure', 'containerd'];
  const text = 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n';
  machine.write(containerd, text);
  machine.write('/etc/containerd/conf.d/other.toml', 'version = 3\n[debug]\nlevel = "info"\n');
  t.equal(machine.tare('install', ...flags).status, 0);
  t.equal(machine.read(containerd), text, 'the main file is left alone');
  t.equal(value(machine, own, runtime(3, 'options', 'BinaryName')), place);
  t.match(machine.tare('install', ...flags).stdout, 'tare.toml: is as it should be');
  t.equal(machine.tare('uninstall').status, 0);
  t.strictSame([...machine.files().keys()].sort(), [
    '/etc/containerd/conf.d/other.toml',
    containerd,
  ]);
  // A file of the import directory replaces all settings of a plugin that other files have.
  machine.write(containerd, `${text}[plugins.'${plugin[3]}']\nenable_cdi = true\n`);
  t.equal(machine.tare('install', ...flags).status, 0);
  t.equal(value(machine, containerd, runtime(3, 'options', 'BinaryName')), place);
  t.notOk(machine.files().has(own));
});

t.test('docker: all that is there is kept, in its manner', async (t) => {
  const machine = new Machine(t);
  const flags = ['--configure', 'docker'];
  for (const [text, after] of [
    [
      '{\n\t"log-opts": { "max-size": "1m" },\n\t"runtimes": {"a": {"path": "/a"}}\n}\n',
      `{\n\t"log-opts": {\n\t\t"max-size": "1m"\n\t},\n\t"runtimes": {\n\t\t"a": {\n\t\t\t"path": "/a"\n\t\t},\n\t\t"tare": {\n\t\t\t"path": "${place}"\n\t\t}\n\t}\n}\n`,
    ],
    ['{"ipv6":true}', `{"ipv6":true,"runtimes":{"tare":{"path":"${place}"}}}`],
    ['', `{\n  "runtimes": {\n    "tare": {\n      "path": "${place}"\n    }\n  }\n}\n`],
  ] as const) {
    machine.write(docker, text);
    t.equal(machine.tare('install', ...flags).status, 0);
    t.equal(machine.read(docker), after);
    t.match(machine.tare('install', ...flags).stdout, 'daemon.json: is as it should be');
    t.equal(machine.tare('uninstall').status, 0);
    const rest = machine.files().has(docker) ? (JSON.parse(machine.read(docker)) as unknown) : {};
    t.strictSame(rest, JSON.parse(text || '{}'));
  }
});

t.test('docker: what is wrong, and what is otherwise', async (t) => {
  const machine = new Machine(t);
  const flags = ['--configure', 'docker'];
  for (const [text, where] of [
    ['{\n  "debug": true,\n}\n', ':3:1: invalid JSON'],
    ['{\n  "debug": tru', ':2:15: invalid JSON'],
    ['{', ':1:2: invalid JSON'],
    ['[]', ': not a JSON object'],
    ['{"runtimes": []}', ': runtimes: not a JSON object'],
  ] as const) {
    machine.write(docker, text);
    refused(t, machine, flags, `${docker}${where}`, 'it is left as it is');
  }
  const text = '{"default-runtime":"kata","runtimes":{"tare":{"path":"/x"},"kata":{"path":"/k"}}}';
  machine.write(docker, text);
  refused(t, machine, flags, 'another runtime is named "tare"');
  t.equal(machine.tare('install', ...flags, '--force').status, 0);
  refused(t, machine, [...flags, '--default'], 'default-runtime is "kata"');
  t.equal(machine.tare('install', ...flags, '--default', '--force').status, 0);
  t.equal(machine.tare('uninstall').status, 0);
  t.equal(machine.read(docker), '{"runtimes":{"kata":{"path":"/k"}}}');
});

t.test('podman: other files', async (t) => {
  const machine = new Machine(t);
  const flags = ['--configure', 'podman'];
  const main = '/etc/containers/containers.conf';
  machine.write('/usr/share/containers/containers.conf', '[engine]\n#runtime = "x"\n');
  machine.write(main, '[engine]\nruntime = "crun"\nruntime_supports_json = ["mine", "crun"]\n');
  t.equal(machine.tare('install', ...flags).status, 0);
  const json = ['engine', 'runtime_supports_json'];
  t.strictSame(value(machine, podman, json), ['mine', 'crun', 'tare'], 'a list is not cut short');
  refused(t, machine, [...flags, '--default'], `${main}:2: another default runtime is set there`);
  machine.write(
    '/etc/containers/containers.conf.d/10-x.conf',
    '[engine.runtimes]\ntare = ["/x"]\n',
  );
  refused(t, machine, flags, '10-x.conf:2: another runtime is named "tare"');
  machine.write('/etc/containers/containers.conf.d/10-x.conf', '[engine\n');
  refused(t, machine, flags, '10-x.conf: line 1: ');
});

t.test('cri-o: other files', async (t) => {
  const machine = new Machine(t);
  const main = '/etc/crio/crio.conf';
  machine.write(main, '[crio.runtime]\ndefault_runtime = "crun"\n[crio.runtime.runtimes.crun]\n');
  const flags = ['--configure', 'cri-o'];
  t.equal(machine.tare('install', ...flags).status, 0);
  refused(t, machine, [...flags, '--default'], `${main}:2: another default runtime`);
  refused(t, machine, [...flags, '--prefix', '/opt'], `${crio}: exists with different content`);
  t.equal(machine.tare('install', ...flags, '--prefix', '/opt', '--default', '--force').status, 0);
  t.equal(value(machine, crio, ['crio', 'runtime', 'default_runtime']), 'tare');
});

t.test('one engine that refuses keeps all from being told', async (t) => {
  const machine = new Machine(t);
  machine.write(docker, '{');
  refused(t, machine, configureAll, 'invalid JSON');
  t.strictSame([...machine.files().keys()], [docker]);
});

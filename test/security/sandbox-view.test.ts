/**
 * A command of run() without options sees what docs/isolation.md lists and nothing else: as root
 * and as an ordinary user, wherever this program's Node is installed.
 */
import { Sandbox, skipReason } from '../support/tare.js';
import { uid } from '../support/ordinary-user.js';
import { ProjectOfUser } from '../support/user-programs.js';
import { spawnSync } from 'node:child_process';
import type * as Fs from 'node:fs';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { sandboxSpec } from '../../lib/index.js';

const page = readFileSync(
  fileURLToPath(new URL('../../docs/isolation.md', import.meta.url)),
  'utf8',
);

/** The lines of a block of the page, each split into words. */
function block(name: string): string[][] {
  const found = new RegExp(`^\`\`\`text ${name}\\n(.*?)^\`\`\`$`, 'ms').exec(page);
  if (found === null) throw new Error(`docs/isolation.md: no block ${name}`);
  return found[1]!
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/,? +/));
}

interface Seen {
  /**
   * The kind of each path: the type of a file system, `link`, `directory`, `device`, `socket`,
   * `file`.
   */
  paths: Record<string, string>;
  readOnly: string[];
  /** Mounts of the host's files in which set-id programs or devices would have effect. */
  unsafe: string[];
  environment: string[];
  namespaces: Record<string, string>;
  unixSockets: string[];
  sockets: string[];
}

/**
 * Collects this from inside. Its source text is executed there, so it uses nothing outside itself.
 */
function look(): Seen {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const fs = require('node:fs') as typeof Fs;
  const mounts = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ');
      const [, , , , path = '', options = ''] = before.split(' ');
      const words = options.split(',');
      return {
        path,
        type: after.split(' ')[0]!,
        isReadOnly: words.includes('ro'),
        isSafe: words.includes('nosuid') && words.includes('nodev'),
      };
    });
  // In a user namespace devices are mounts.
  const own = /^(tmpfs|devpts|mqueue|proc|sysfs)$/;
  const paths: Record<string, string> = {};
  const walk = (path: string): void => {
    const status = fs.lstatSync(path);
    const mount = mounts.filter((one) => one.path === path).at(-1);
    if (status.isSymbolicLink()) paths[path] = 'link';
    else if (status.isSocket()) paths[path] = 'socket';
    else if (status.isCharacterDevice() || status.isBlockDevice()) paths[path] = 'device';
    else if (mount !== undefined) {
      // A bind mount of a host tmpfs has this type, too.
      const isOwn = own.test(mount.type) && !/^\/(usr|etc|opt|bin|sbin|lib)/.test(path);
      paths[path] = isOwn ? mount.type : 'host';
    } else if (status.isDirectory()) paths[path] = 'directory';
    else paths[path] = 'file';
    if (!status.isDirectory() || /^(host|proc|sysfs)$/.test(paths[path])) return;
    for (const name of fs.readdirSync(path)) walk(path === '/' ? `/${name}` : `${path}/${name}`);
  };
  walk('/');
  const namespaces = Object.fromEntries(
    fs.readdirSync('/proc/self/ns').map((name) => [name, fs.readlinkSync(`/proc/self/ns/${name}`)]),
  );
  const sockets: string[] = [];
  const search = (directory: string): void => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`;
      if (entry.isSocket() || entry.isFIFO() || entry.isBlockDevice()) sockets.push(path);
      if (!entry.isDirectory()) continue;
      try {
        search(path);
      } catch {
        // An unreadable directory exposes nothing.
      }
    }
  };
  for (const [path, kind] of Object.entries(paths)) {
    if (kind === 'host' && fs.statSync(path).isDirectory()) search(path);
  }
  return {
    paths,
    readOnly: mounts.filter(({ isReadOnly }) => isReadOnly).map(({ path }) => path),
    unsafe: mounts.flatMap(({ path, isSafe }) => (paths[path] === 'host' && !isSafe ? [path] : [])),
    environment: Object.keys(process.env),
    namespaces,
    unixSockets: fs.readFileSync('/proc/net/unix', 'utf8').trimEnd().split('\n').slice(1),
    sockets,
  };
}

t.test('the page lists what the configuration masks or makes read-only', (t) => {
  const sentence = /are masked or read-only, as with `tare spec`: (.*?)\./s.exec(page)?.[1] ?? '';
  const listed = [...sentence.matchAll(/`(\/[^`]+)`/g)].map(([, path = '']) => path);
  const pathsOf = (options: object): string[] => {
    const { linux } = sandboxSpec(['true'], { rootfs: '/', ...options });
    return [...linux!.maskedPaths!, ...linux!.readonlyPaths!].sort();
  };
  t.ok(listed.length > 10);
  t.strictSame(pathsOf({ network: 'host' }), [...listed].sort());
  t.match(page, /With `network: 'none'`, `\/sys\/firmware` is masked too\./);
  t.strictSame(pathsOf({}), [...listed, '/sys/firmware'].sort());
  t.end();
});

if (skipReason !== undefined) {
  t.test('the view of a command', { skip: skipReason }, (t) => t.end());
} else {
  const sandbox = new Sandbox(t);
  const project = new ProjectOfUser(sandbox);

  const home = join(project.user.directory, 'home');
  const installed = process.execPath;
  const write = (path: string, text = 'secret'): void => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  /** The command must see none of the files made here. */
  const inHome = join(home, 'bin/node');
  const version = join(home, '.nvm/versions/node/v0.0.0');
  const inNvm = join(version, 'bin/node');
  for (const name of [
    '.ssh/id_rsa',
    '.env',
    'bin/secret',
    'lib/secret',
    'lib/node_modules/mine/x',
  ]) {
    write(join(home, name));
  }
  for (const name of ['etc/npmrc', 'lib/secret', 'share/secret', 'lib/node_modules/npm/bin/npm']) {
    write(join(version, name));
  }
  write(join(version, 'bin/program'));
  copyFileSync(installed, inHome);
  linkSync(inHome, (mkdirSync(dirname(inNvm), { recursive: true }), inNvm));
  symlinkSync('../lib/node_modules/npm/bin/npm', join(version, 'bin/npm'));
  symlinkSync('../../../../../.env', join(version, 'bin/stray'));
  chmodSync(join(version, 'lib/node_modules/npm/bin/npm'), 0o755);
  spawnSync('python3', [
    ...['-c', 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])'],
    join(home, 'bin/socket'),
  ]);
  spawnSync('chown', ['-R', `${uid}:${uid}`, home]);
  chmodSync(home, 0o700);
  chownSync(home, uid, uid);

  /** The kind of a path that the page promises if the host has it, otherwise undefined. */
  const hostHas = (path: string): string | undefined => {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return undefined;
    if (path.startsWith('/etc/')) {
      if (!existsSync(path)) return undefined;
      return realpathSync(path).startsWith('/usr/') ? 'link' : 'host';
    }
    if (status.isSymbolicLink()) return 'link';
    return readdirSync(path).length > 0 ? 'host' : undefined;
  };
  const expected = (more: Record<string, string>): Record<string, string> => {
    const paths = block('paths').flatMap(([path = '', kind = '']) => {
      const found = kind === 'host' ? hostHas(path) : kind === 'node' ? undefined : kind;
      return found === undefined ? [] : [[path, found] as const];
    });
    return { ...Object.fromEntries(paths), ...more };
  };
  const opt = { '/opt': 'directory', '/opt/node': 'directory', '/opt/node/bin': 'directory' };
  const layouts: [name: string, node: string, more: Record<string, string>][] = [
    ['a Node of the system', installed, {}],
    ['a Node in a home', inHome, { ...opt, '/opt/node/bin/node': 'host' }],
    [
      'a Node of nvm',
      inNvm,
      {
        ...opt,
        '/opt/node/bin/node': 'host',
        '/opt/node/bin/npm': 'link',
        '/opt/node/lib': 'directory',
        '/opt/node/lib/node_modules': 'host',
      },
    ],
  ];
  const isOfSystem = /^\/(usr|bin)\//.test(installed);

  // The tests' compiler wraps each function in a helper that sets its name.
  const looked = `globalThis.__name = (one) => one; globalThis.__require = require; console.log(JSON.stringify((${look.toString()})()))`;
  // Does not open a directory, whose descriptor would be listed.
  const listDescriptors =
    'n=0; while [ $n -lt 256 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n + 1)); done; true';
  const code = (options: object): string => `
    import { run } from 'tare';
    const options = ${JSON.stringify(options)};
    const seen = await run(['node', '-e', ${JSON.stringify(looked)}], options);
    const descriptors = await run(['sh', '-c', ${JSON.stringify(listDescriptors)}], options);
    console.log(JSON.stringify({ seen: JSON.parse(seen.stdout), descriptors: descriptors.stdout }));
  `;

  const compare = (t: Test, text: string, stderr: string, more: Record<string, string>): void => {
    if (text === '') throw new Error(stderr);
    const { seen, descriptors } = JSON.parse(text) as { seen: Seen; descriptors: string };
    t.strictSame(seen.paths, expected(more));
    for (const [path = '', kind = '', ...words] of block('paths')) {
      if (seen.paths[path] === undefined || seen.paths[path] === 'link') continue;
      const isReadOnly = words.includes('read-only') || kind === 'host';
      if (/^(host|tmpfs|sysfs)$/.test(kind))
        t.equal(seen.readOnly.includes(path), isReadOnly, path);
    }
    t.strictSame(seen.unsafe, []);
    t.strictSame(seen.environment.sort(), block('environment').flat().sort());
    const own = Object.entries(seen.namespaces)
      .filter(([name, id]) => {
        const host = spawnSync('readlink', [`/proc/self/ns/${name}`], { encoding: 'utf8' });
        return host.stdout.trim() !== id && !name.endsWith('_for_children');
      })
      .map(([name]) => name);
    t.strictSame(own.sort(), block('namespaces').flat());
    t.strictSame(descriptors.trimEnd().split('\n'), block('descriptors').flat());
    t.strictSame(seen.unixSockets, []);
    t.strictSame(seen.sockets, []);
  };

  for (const [name, node, more] of layouts) {
    const skip = node === installed && !isOfSystem ? { skip: 'this Node is elsewhere' } : {};
    t.test(`${name}, as an ordinary user`, skip, async (t) => {
      const { stdout, stderr } = project.run(code({}), node);
      compare(t, stdout, stderr, more);
    });
    t.test(`${name}, as root`, skip, async (t) => {
      const { stdout, stderr } = project.runAsRoot(code({ root: sandbox.root }), node);
      compare(t, stdout, stderr, more);
    });
  }
}

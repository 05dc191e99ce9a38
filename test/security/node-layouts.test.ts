/**
 * Nodes that version managers have installed in a home: a command of run() has that Node with its
 * npm and its libraries, and sees nothing else of the home.
 */
import { Sandbox, skipReason } from '../support/tare.js';
import { uid } from '../support/ordinary-user.js';
import { ProjectOfUser } from '../support/user-programs.js';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';

/** Paths in the home. */
interface Layout {
  name: string;
  /** The directory with bin/node. */
  prefix: string;
  /** A script that executes this Node, or a symlink to the prefix with the rest of the path. */
  launcher?: { script: string } | { link: string };
  /** Files, beside those that are in every home. */
  secrets: string[];
  hasOwnLibrary?: boolean;
}

const layouts: Layout[] = [
  {
    name: 'volta',
    prefix: '.volta/tools/image/node/22.0.0',
    launcher: { script: '.volta/bin/node' },
    secrets: ['.volta/hooks.json', '.volta/tools/user/platform.json', '.volta/bin/secret'],
  },
  {
    name: 'asdf',
    prefix: '.asdf/installs/nodejs/22.0.0',
    launcher: { script: '.asdf/shims/node' },
    secrets: ['.asdf/shims/secret', '.asdf/installs/nodejs/22.0.0/.npm/lib/node_modules/own/x'],
  },
  {
    name: 'nodenv',
    prefix: '.nodenv/versions/22.0.0',
    launcher: { script: '.nodenv/shims/node' },
    secrets: ['.nodenv/version', '.nodenv/versions/22.0.0/etc/npmrc'],
  },
  {
    name: 'nvm',
    prefix: '.nvm/versions/node/v22.0.0',
    secrets: ['.nvm/alias/default', '.nvm/versions/node/v22.0.0/bin/secret'],
  },
  {
    name: 'fnm',
    prefix: '.local/share/fnm/node-versions/v22.0.0/installation',
    launcher: { link: '.local/state/fnm_multishells/1_2' },
    secrets: ['.local/state/fnm_multishells/secret', '.local/share/fnm/aliases/secret'],
  },
  {
    name: 'libraries beside Node',
    prefix: 'node',
    secrets: ['node/lib/secret.so', 'node/lib/node_modules/own/x', 'node/secret'],
    hasOwnLibrary: true,
  },
];

const library = /\/\S*\/(libstdc\+\+\.so\.6)[.\d]*$/m.exec(readFileSync('/proc/self/maps', 'utf8'));

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const sandbox = new Sandbox(t);
  const project = new ProjectOfUser(sandbox);
  const secret = `secret of ${sandbox.tag}`;
  const copied = join(project.user.directory, 'copy-of-node');
  copyFileSync(realpathSync(process.execPath), copied);

  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
  };

  /** Makes a home with the layout; returns the program to call, and the Node that it executes. */
  const install = (home: string, layout: Layout): [program: string, node: string] => {
    const prefix = join(home, layout.prefix);
    const node = join(prefix, 'bin/node');
    mkdirSync(dirname(node), { recursive: true });
    linkSync(copied, node);
    for (const path of ['.ssh/id_rsa', '.npmrc', '.bashrc', ...layout.secrets]) {
      write(join(home, path), secret);
    }
    let program = node;
    if (layout.hasOwnLibrary) {
      copyFileSync(library![0], join(prefix, 'lib', library![1]!));
      program = join(home, 'with-library');
      write(program, `#!/bin/sh\nLD_LIBRARY_PATH=${prefix}/lib exec ${node} "$@"\n`, 0o755);
    } else {
      write(join(prefix, 'lib/node_modules/npm/bin/npm'), '#!/bin/sh\necho npm ran\n', 0o755);
      symlinkSync('../lib/node_modules/npm/bin/npm', join(prefix, 'bin/npm'));
    }
    const { launcher } = layout;
    if (launcher && 'script' in launcher) {
      program = join(home, launcher.script);
      write(program, `#!/bin/sh\nexec ${node} "$@"\n`, 0o755);
    } else if (launcher) {
      symlinkSync(prefix, join(home, launcher.link));
      program = join(home, launcher.link, 'bin/node');
    }
    spawnSync('chown', ['-hR', `${uid}:${uid}`, home]);
    chmodSync(home, 0o700);
    return [program, node];
  };

  const expected = ({ hasOwnLibrary = false }: Layout): string[] =>
    [
      ...['/opt', '/opt/node', '/opt/node/bin', '/opt/node/bin/node', '/opt/node/lib'],
      ...(hasOwnLibrary
        ? [`/opt/node/lib/${library![1]}`]
        : [
            ...[
              '/opt/node/bin/npm',
              '/opt/node/lib/node_modules',
              '/opt/node/lib/node_modules/npm',
            ],
            ...['/opt/node/lib/node_modules/npm/bin', '/opt/node/lib/node_modules/npm/bin/npm'],
          ]),
    ].sort();

  /** What a program that this Node executes gets from run(). */
  const code = (home: string, layout: Layout, options: object): string => {
    const own = '/opt/node/lib';
    const loaded = `console.log(require("fs").readFileSync("/proc/self/maps", "utf8").includes("${own}/"))`;
    const look = `find /opt | sort; find / -path /proc -prune -o -path '*${home}*' -print; grep -rl --exclude=node '${secret}' /opt /home /root /tmp /run /var /etc`;
    return `
      import { run } from 'tare';
      import { dirname } from 'node:path';
      const options = ${JSON.stringify({ ...options, reject: false })};
      const out = async (command, more) => (await run(command, { ...options, ...more })).stdout.trim();
      const own = ${JSON.stringify({ env: layout.hasOwnLibrary ? { LD_LIBRARY_PATH: own } : {} })};
      const mounts = [{ source: dirname(process.execPath), destination: '/mnt' }];
      const refused = await run([process.execPath, '-v'], options).catch((error) => error);
      console.log(JSON.stringify({
        node: process.execPath,
        seen: (await out(['sh', '-c', ${JSON.stringify(look)}])).split('\\n'),
        ran: await out(['node', '-p', 'process.execPath'], own),
        npm: await out(['sh', '-c', '/opt/node/bin/npm || true']),
        loaded: await out(['/opt/node/bin/node', '-e', ${JSON.stringify(loaded)}], own),
        refused: { code: refused.code, message: refused.message },
        mounted: await out(['/mnt/node', '-p', '6 * 7'], { mounts }),
      }));`;
  };

  const check = (t: Test, layout: Layout, root: boolean): void => {
    const home = join(
      project.user.directory,
      `home-of-${root ? 'root' : 'user'}-${layouts.indexOf(layout)}`,
    );
    const [program, node] = install(home, layout);
    const done = root
      ? project.runAsRoot(code(home, layout, { root: sandbox.root }), program)
      : project.run(code(home, layout, {}), program);
    t.strictSame([done.status, done.stderr], [0, '']);
    const { refused, ...told } = JSON.parse(done.stdout) as {
      refused: { code: string; message: string };
    };
    t.strictSame(told, {
      node,
      seen: expected(layout),
      ran: '/opt/node/bin/node',
      npm: layout.hasOwnLibrary ? '' : 'npm ran',
      loaded: String(layout.hasOwnLibrary ?? false),
      mounted: '42',
    });
    // The path of the host is not there; the message names what makes it visible.
    t.equal(refused.code, 'ERR_TARE_COMMAND_NOT_FOUND');
    for (const word of [node, 'mounts', dirname(node), '/mnt/node']) t.match(refused.message, word);
  };

  for (const layout of layouts) {
    const skip = { skip: layout.hasOwnLibrary && !library && 'this Node has loaded no libstdc++' };
    t.test(`${layout.name}, as an ordinary user`, skip, async (t) => check(t, layout, false));
    t.test(`${layout.name}, as root`, skip, async (t) => check(t, layout, true));
  }
}

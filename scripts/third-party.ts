/**
 * third-party BUILD...: prints the licences of all third-party code in builds of tare, for the npm
 * package. The code is determined from the linker's maps and the compiler's dependencies: a file
 * that belongs to no component below is an error. The texts are those of the Debian and npm
 * packages.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const repository = resolve(import.meta.dirname, '..');
const { homepage, version } = JSON.parse(
  readFileSync(join(repository, 'package.json'), 'utf8'),
) as { homepage: string; version: string };

interface Component {
  name: string;
  /** SPDX expression. */
  license: string;
  /** Matches the files of the component among those that a build reads. */
  files: RegExp;
  /** The Debian package with its copyright file, or the npm package. */
  from: { debian: string } | { npm: string };
}

const components: Component[] = [
  {
    name: 'libseccomp',
    license: 'LGPL-2.1-only',
    files: /\/(libseccomp\.a|seccomp(-syscalls)?\.h)$/,
    from: { debian: 'libseccomp-dev' },
  },
  {
    name: 'protobuf-c',
    license: 'BSD-2-Clause',
    files: /\/libprotobuf-c\.a$|\/protobuf-c\/[^/]+\.h$/,
    from: { debian: 'libprotobuf-c-dev' },
  },
  {
    name: 'RapidJSON',
    license: 'MIT AND BSD-3-Clause',
    files: /\/include\/rapidjson\//,
    from: { debian: 'rapidjson-dev' },
  },
  {
    name: 'node-addon-api',
    license: 'MIT',
    files: /\/node_modules\/node-addon-api\//,
    from: { npm: 'node-addon-api' },
  },
  {
    name: 'node-api-headers',
    license: 'MIT',
    files: /\/node_modules\/node-api-headers\//,
    from: { npm: 'node-api-headers' },
  },
  {
    name: 'GNU C++ library and libgcc',
    license: 'GPL-3.0-or-later WITH GCC-exception-3.1',
    files: /\/include\/c\+\+\/|\/lib\/gcc(-cross)?\/|\/lib(stdc\+\+|supc\+\+|gcc|gcc_eh)\.a$/,
    from: {
      debian: packageOf(execFileSync('g++', ['-print-libgcc-file-name'], { encoding: 'utf8' })),
    },
  },
  {
    name: 'Linux kernel headers',
    license: 'GPL-2.0-only WITH Linux-syscall-note',
    files: /\/include\/([^/]+-linux-gnu\/)?(linux|asm|asm-generic|mtd|rdma|sound|misc)\//,
    from: { debian: 'linux-libc-dev' },
  },
  {
    name: 'GNU C Library',
    license: 'LGPL-2.1-or-later',
    files:
      /\/lib(c|c_nonshared|m|m-[\d.]+|mvec|pthread|dl|rt|util|resolv)\.a$|\/crt[1in]\.o$|\/usr\/([^/]+-linux-gnu\/)?include\//,
    from: { debian: 'libc6-dev' },
  },
];

/** Returns the Debian package that installed a file. */
function packageOf(file: string): string {
  const path = resolve(file.trim());
  // dpkg may know the file below /lib, where /usr is merged.
  const owner = execFileSync('dpkg-query', ['--search', path], { encoding: 'utf8' });
  return owner.split(/[:,]/)[0]!;
}

/** Returns the archives and start files that are linked into a program. */
function linked(map: string): string[] {
  const text = readFileSync(map, 'utf8');
  const [members = '', rest = ''] = text.split(/^Memory Configuration$/m);
  const archives = [...members.matchAll(/^(\/\S.*?\.a)\(/gm)].map(([, path]) => path!);
  const objects = [...rest.matchAll(/^LOAD (\/.*\.o)$/gm)].map(([, path]) => path!);
  if (archives.length === 0) throw new Error(`${map}: no archive is linked in: not a map of ld?`);
  return [...archives, ...objects];
}

/** Returns the headers that the objects of a program were compiled with. */
function included(build: string): string[] {
  const text = execFileSync('ninja', ['-C', build, '-t', 'deps'], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return text
    .split('\n\n')
    .filter((block) => /^CMakeFiles\/(tare|tare_core|tare_node)\.dir\//.test(block))
    .flatMap((block) => block.split('\n').slice(1))
    .map((line) => resolve(build, line.trim()));
}

/** Returns the components in these builds. */
function componentsOf(builds: readonly string[]): Component[] {
  const own = `${repository}/`;
  const files = builds.flatMap((build) => [
    ...['tare.map', 'tare_node.map'].flatMap((map) => linked(join(build, map))),
    ...included(build),
  ]);
  const found = new Set<Component>();
  for (const file of new Set(files.map((file) => resolve(file)))) {
    if (file.startsWith(own) && !file.startsWith(`${own}node_modules/`)) continue;
    const component = components.find((one) => one.files.test(file));
    if (!component)
      throw new Error(
        `${file}: whose is it? Name it among the components of scripts/third-party.ts`,
      );
    found.add(component);
  }
  return components.filter((component) => found.has(component));
}

interface Notice {
  title: string;
  text: string;
}

function notice({ name, license, from }: Component): Notice {
  if ('npm' in from) {
    const directory = join(repository, 'node_modules', from.npm);
    const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
      version: string;
    };
    const file = ['LICENSE', 'LICENSE.md'].map((name) => join(directory, name)).find(existsSync);
    if (file === undefined) throw new Error(`${directory}: there is no LICENSE in it`);
    return {
      title: `${name} ${version} (${license})\nhttps://www.npmjs.com/package/${from.npm}/v/${version}`,
      text: readFileSync(file, 'utf8'),
    };
  }
  const format = '${source:Package}\t${source:Version}';
  const [source, version] = execFileSync(
    'dpkg-query',
    ['--show', `--showformat=${format}`, from.debian],
    {
      encoding: 'utf8',
    },
  ).split('\t');
  const url = `https://snapshot.debian.org/package/${source}/${version}/`;
  return {
    title: `${name}, of Debian's ${source} ${version} (${license})\nsource: ${url}`,
    text: readFileSync(`/usr/share/doc/${from.debian}/copyright`, 'utf8'),
  };
}

const rule = `${'='.repeat(80)}\n`;
const section = ({ title, text }: Notice): string =>
  `${rule}${title}\n${rule}\n${text.trimEnd()}\n\n`;

const builds = process.argv.slice(2).map((build) => resolve(build));
const notices = componentsOf(builds).map(notice);
const named = new Set(
  notices.flatMap(({ text }) =>
    [...text.matchAll(/\/usr\/share\/common-licenses\/([\w.-]*\w)/g)].map(([, name]) => name!),
  ),
);
const common = [...named].sort().map((name) => ({
  title: `/usr/share/common-licenses/${name}, which is named above`,
  text: readFileSync(`/usr/share/common-licenses/${name}`, 'utf8'),
}));

process.stdout
  .write(`tare is licensed under Apache-2.0, see LICENSE. Its programs in this package have parts of other
works in them, whose licences follow: ${notices.length} notices, and then the licences that these name.

libseccomp and the GNU C Library are linked in statically under the GNU Lesser General Public
License. You may replace either by a version of your own: the complete source of tare ${version}, with
all that builds it, is at
${homepage.replace(/#.*/, '')};
install your version where the compiler finds it, and "npm run build" links tare anew. The sources
of the versions that are linked in are at the addresses below. Nothing in tare's licence forbids
modifying it for your own use, or reverse engineering for debugging such modifications.

${notices.map(section).join('')}${common.map(section).join('')}`);

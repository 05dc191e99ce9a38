/**
 * Unpacks Debian packages into the cache without installing them: a kernel, a daemon or another
 * architecture's library is needed as files, and the machine must not change. apt gets its own
 * sources, lists and archives, so the machine's apt configuration is not touched either.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);

export const cacheDirectory = join(
  process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
  'tare',
  'vm',
);

/** The machine cannot provide what a guest needs; the message says what to do. Tests skip on it. */
export class Unavailable extends Error {
  override name = 'Unavailable';
}

/** Returns VERSION_CODENAME of the running Debian, such as `bookworm`. */
export function codename(): string {
  const fields = new Map<string, string>();
  for (const line of readFileSync('/etc/os-release', 'utf8').split('\n')) {
    const [, key, value] = /^(\w+)="?(.*?)"?$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) fields.set(key, value);
  }
  if (fields.get('ID') !== 'debian') {
    throw new Unavailable(
      `test/machine takes its kernel from Debian, and this is ${fields.get('PRETTY_NAME')}`,
    );
  }
  // sid and testing may have no codename.
  return fields.get('VERSION_CODENAME') ?? 'sid';
}

interface Source {
  mirror: string;
  suites: string[];
  signedBy: string;
}

const debianKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Reads sources.list(5), both the one-line and the deb822 style. */
export function parseSources(text: string, style: 'list' | 'sources'): Source[] {
  const sources: Source[] = [];
  if (style === 'list') {
    for (const line of text.split('\n')) {
      const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line);
      if (!match) continue;
      const signedBy = /signed-by=(\S+)/i.exec(match[1] ?? '')?.[1] ?? debianKeyring;
      sources.push({ mirror: match[2]!, suites: [match[3]!], signedBy });
    }
    return sources;
  }
  for (const stanza of text.replace(/^#.*\n/gm, '').split(/\n\s*\n/)) {
    const field = (name: string) =>
      new RegExp(`^${name}:\\s*(.*)$`, 'im').exec(stanza)?.[1]?.trim();
    const mirror = field('URIs')?.split(/\s+/)[0];
    if (!mirror || !field('Types')?.split(/\s+/).includes('deb') || field('Enabled') === 'no')
      continue;
    const key = field('Signed-By');
    sources.push({
      mirror,
      suites: field('Suites')?.split(/\s+/) ?? [],
      signedBy: key?.startsWith('/') ? key : debianKeyring,
    });
  }
  return sources;
}

function machineSources(): Source[] {
  const sources: Source[] = [];
  const list = '/etc/apt/sources.list';
  if (existsSync(list)) sources.push(...parseSources(readFileSync(list, 'utf8'), 'list'));
  const parts = '/etc/apt/sources.list.d';
  for (const name of existsSync(parts) ? readdirSync(parts).sort() : []) {
    const style = /\.(list|sources)$/.exec(name)?.[1] as 'list' | 'sources' | undefined;
    if (style) sources.push(...parseSources(readFileSync(join(parts, name), 'utf8'), style));
  }
  return sources;
}

const updated = new Map<string, Promise<string>>();

/** Where packages come from; by default this machine's release and architecture. */
export interface Origin {
  /** Debian's name of the architecture. */
  architecture?: string;
  /** Codename of the release, such as `trixie`. */
  release?: string;
}

/**
 * Makes a private apt configuration of a release and its backports, for an architecture. Returns
 * its file, for `apt-get -c`.
 */
function privateApt(origin: Origin): Promise<string> {
  const words = [origin.release, origin.architecture].filter((word) => word !== undefined);
  const name = ['apt', ...words].join('-');
  const ready = updated.get(name) ?? makeApt(join(cacheDirectory, name), origin);
  updated.set(name, ready);
  return ready;
}

async function makeApt(apt: string, { architecture, release }: Origin): Promise<string> {
  const own = codename();
  const source = machineSources().find(({ suites }) => suites.includes(own));
  if (!source) {
    throw new Unavailable(
      `no source of ${own} in /etc/apt/sources.list or sources.list.d: add Debian's`,
    );
  }
  await mkdir(join(apt, 'lists', 'partial'), { recursive: true });
  await mkdir(join(apt, 'archives', 'partial'), { recursive: true });
  const wanted = release ?? own;
  const suites = wanted === 'bookworm' ? [wanted, `${wanted}-backports`] : [wanted];
  await writeFile(
    join(apt, 'sources.list'),
    suites
      .map((suite) => `deb [signed-by=${source.signedBy}] ${source.mirror} ${suite} main\n`)
      .join(''),
  );
  await writeFile(join(apt, 'status'), '');
  const file = join(apt, 'apt.conf');
  await writeFile(
    file,
    [
      `Dir::State "${apt}";`,
      `Dir::State::status "${apt}/status";`,
      `Dir::Cache "${apt}";`,
      `Dir::Etc::sourcelist "${apt}/sources.list";`,
      'Dir::Etc::sourceparts "-";',
      'APT::Sandbox::User "";', // the cache may lie in a home directory that _apt cannot enter
      'APT::Update::Post-Invoke-Success { };',
      '#clear APT::Update::Post-Invoke-Success;',
      '#clear APT::Update::Post-Invoke;',
      ...(architecture === undefined
        ? []
        : [
            `APT::Architecture "${architecture}";`,
            '#clear APT::Architectures;',
            `APT::Architectures { "${architecture}"; };`,
          ]),
      '',
    ].join('\n'),
  );
  // Other processes may be updating it; apt itself does not wait for them.
  await run('flock', [apt, 'apt-get', '-c', file, '-q', 'update']);
  return file;
}

async function run(file: string, args: string[], cwd?: string): Promise<string> {
  try {
    const { stdout } = await exec(file, args, {
      cwd,
      maxBuffer: 64 << 20,
      env: { ...process.env, LC_ALL: 'C' },
    });
    return stdout;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new Unavailable(`${file} ${args.join(' ')}: ${stderr?.trim() || message}`);
  }
}

export interface Unpacking {
  /** Suite to prefer, such as `bookworm-backports`. */
  suite?: string;
  /** Take the package's first dependency instead: the real package of a meta package. */
  firstDependency?: boolean;
  /** tar's wildcard patterns of the wanted members; all by default. */
  members?: string[];
  /** Debian's name of the architecture; this machine's by default. */
  architecture?: string;
}

/** Returns a directory below the cache. `fill` makes its contents, once. */
async function once(
  directory: string,
  fill: (unpacking: string) => Promise<void>,
): Promise<string> {
  if (existsSync(directory)) return directory;
  const unpacking = `${directory}.${process.pid}`;
  await rm(unpacking, { recursive: true, force: true });
  await mkdir(join(unpacking, 'root'), { recursive: true });
  await fill(unpacking);
  await rename(join(unpacking, 'root'), directory).catch((error: NodeJS.ErrnoException) => {
    // Another process may have made the same directory first.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
  await rm(unpacking, { recursive: true, force: true });
  return directory;
}

function digestOf(words: readonly string[]): string {
  return createHash('sha256').update(words.join('\n')).digest('hex').slice(0, 8);
}

/** Unpacks a package below the cache, once per release of Debian. Returns the directory. */
export async function unpackPackage(
  name: string,
  { suite, firstDependency, members, architecture }: Unpacking = {},
): Promise<string> {
  // Other members need another directory: what was unpacked before may lack some.
  const variant = members ? `-${digestOf(members)}` : '';
  const directory = join(cacheDirectory, codename(), architecture ?? '', name + variant);
  return once(directory, async (unpacking) => {
    const config = await privateApt({ architecture });
    const options = ['-c', config, ...(suite ? ['-o', `APT::Default-Release=${suite}`] : [])];
    let wanted = name;
    if (firstDependency) {
      const depends = await run('apt-cache', [...options, 'depends', '--important', name]);
      const match = /^\s*Depends: ([^\s<]+)/m.exec(depends);
      if (!match) throw new Unavailable(`${name} of ${suite ?? codename()} depends on no package`);
      wanted = match[1]!;
    }
    await run('apt-get', [...options, '-q', 'download', wanted], unpacking);
    const select = members
      ? ` --wildcards ${members.map((member) => `'${member}'`).join(' ')}`
      : '';
    await run('sh', ['-c', `dpkg-deb --fsys-tarfile *.deb | tar -x -C root${select}`], unpacking);
  });
}

/**
 * Unpacks packages and all their dependencies into one root file system below the cache, without
 * running anything from them. Returns its directory.
 */
export async function unpackRoot(
  packages: readonly string[],
  origin: Origin = {},
): Promise<string> {
  const { architecture = '', release = codename() } = origin;
  const name = `root-${digestOf(packages)}`;
  return once(join(cacheDirectory, release, architecture, name), async (unpacking) => {
    const config = await privateApt(origin);
    await mkdir(join(unpacking, 'archives', 'partial'), { recursive: true });
    const options = ['-c', config, '-o', `Dir::Cache::archives=${join(unpacking, 'archives')}`];
    const install = ['install', '-y', '--no-install-recommends', '--download-only'];
    await run('apt-get', [...options, '-q', ...install, ...packages]);
    const script = `
      cd root
      mkdir mnt
      for name in bin lib lib64 sbin; do mkdir -p usr/$name; ln -s usr/$name $name; done
      for archive in ../archives/*.deb; do
        dpkg-deb --fsys-tarfile "$archive" | tar -x --keep-directory-symlink
      done`;
    await run('sh', ['-ec', script], unpacking);
  });
}

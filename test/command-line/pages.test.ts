/**
 * Pages generated from the table of commands, apart from help: shell completions and manual pages.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryDirectory } from '../support/directory.js';
import { Sandbox, call, cli, tare, skipReason } from '../support/tare.js';

const directory = temporaryDirectory(t, 'pages');

/** Returns the lines below a heading of a help text: its commands or its flags. */
const entries = (help: string, heading: string): string[] =>
  (help.split(`${heading}:\n`)[1]?.split('\n\n')[0] ?? '').match(/^ {3}\S.*?(?= {2}|$)/gm) ?? [];
const verbs = entries(tare(['help']).stdout, 'COMMANDS')
  .map((line) => line.trim())
  .filter((name) => name !== 'help, h');
interface Flag {
  name: string;
  letter: string | undefined;
  takes: boolean;
}
const flagsOf = (verb: string): Flag[] =>
  entries(tare(['help', ...(verb === '' ? [] : [verb])]).stdout, 'OPTIONS').map((line) => {
    const [, name = '', value, letter] =
      /^ +--([\w-]+)(?: (.+?))?(?:, -(\w)(?: .*)?)?$/.exec(line) ?? [];
    return { name, letter, takes: value !== undefined };
  });

/** Returns why the program is missing, or false if it is installed. */
const absent = (program: string): string | false =>
  spawnSync('sh', ['-c', `command -v ${program}`]).status === 0 ? false : `no ${program} here`;

const script = (shell: string, file: string): string => {
  const path = join(directory, file);
  writeFileSync(path, tare(['completion', shell]).stdout);
  return path;
};
const bash = script('bash', 'tare.bash');
const zsh = script('zsh', '_tare');
const fish = script('fish', 'tare.fish');

t.test('the commands are known', async (t) => {
  for (const verb of ['completion', 'create', 'exec', 'man', 'update']) t.ok(verbs.includes(verb));
  t.ok(flagsOf('exec').length > 15);
});

/** Returns bash's completions of the last of `words`. */
function bashOffers(words: string[], before = ''): string[] {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const program = `
    ${before}
    source ${bash}
    function=$(complete -p tare | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
    compopt() { :; } # wants a completion of readline's
    COMP_WORDS=(${quoted})
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
    COMP_LINE="\${COMP_WORDS[*]}"
    COMP_POINT=\${#COMP_LINE}
    $function tare "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', program], { encoding: 'utf8', cwd: directory })
    .split('\n')
    .filter((line) => line !== '');
}

t.test('bash', async (t) => {
  execFileSync('bash', ['-n', bash]);
  const spelled = (flags: Flag[]): string[] =>
    flags.flatMap(({ name, letter }) => [`--${name}`, ...(letter ? [`-${letter}`] : [])]).sort();
  t.strictSame(bashOffers(['tare', '']), verbs);
  t.strictSame(bashOffers(['tare', '-']).sort(), spelled(flagsOf('')));
  for (const verb of verbs) {
    const flags = flagsOf(verb);
    t.strictSame(bashOffers(['tare', verb, '-']).sort(), spelled(flags), verb);
    // The word after a flag that takes a value is that value; after a switch, it is an argument.
    for (const { name, takes } of flags) {
      const offered = bashOffers(['tare', verb, `--${name}`, '--h']);
      t.strictSame(offered, takes ? [] : ['--help'], `${verb} --${name}`);
    }
  }
});

t.test('bash: values', async (t) => {
  mkdirSync(join(directory, 'values/bundle-one'), { recursive: true });
  mkdirSync(join(directory, 'values/bundle-two'));
  writeFileSync(join(directory, 'values/bundle.json'), '');
  const rows: [words: string[], offered: string[]][] = [
    [['cr'], ['create']],
    [
      ['--log-format', ''],
      ['text', 'json'],
    ],
    [['--log-format', '=', 'j'], ['json']],
    [
      ['--log-format', '='],
      ['text', 'json'],
    ],
    [['list', '--log-format', 't'], ['text']],
    [
      ['--rootless', ''],
      ['true', 'false', 'auto'],
    ],
    [['spec', '--rootless', '--b'], ['--bundle']],
    [
      ['list', '-f', ''],
      ['table', 'json'],
    ],
    [['ps', '-format', 'j'], ['json']],
    [
      ['create', '-b', 'values/b'],
      ['values/bundle-one', 'values/bundle-two'],
    ],
    [['--log', 'values/bundle.'], ['values/bundle.json']],
    [['exec', '--env', 'a', '=', 'b', '--t'], ['--tty']],
    [['exec', '--user', '1', ':', '2', '--t'], ['--tty']],
    [['exec', 'id', '--t'], []],
    [['ps', 'id', '--f'], []],
    [['delete', 'id', '--f'], ['--force']],
    [['delete', '--', '--f'], []],
    [['kill', 'id', 'SIGTE'], ['SIGTERM']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['man', 'crea'], ['create']],
    [['create', ''], []],
    [['update', '--memory', ''], []],
  ];
  for (const [words, offered] of rows) {
    t.strictSame(bashOffers(['tare', ...words]), offered, words.join(' '));
  }
  const whole = 'COMP_WORDBREAKS=${COMP_WORDBREAKS//=}';
  t.strictSame(bashOffers(['tare', '--log-format=j'], whole), ['--log-format=json']);
});

t.test('zsh', { skip: absent('zsh') }, async (t) => {
  execFileSync('zsh', ['-n', zsh]);
  const load = `autoload -Uz compinit; compinit -D; source ${zsh}; print -- $_comps[tare]`;
  t.equal(execFileSync('zsh', ['-f', '-c', load], { encoding: 'utf8' }), '_tare\n');
  const text = tare(['completion', 'zsh']).stdout;
  const global = text.slice(text.indexOf('_arguments -S -C'), text.indexOf('case $state'));
  for (const verb of verbs) t.match(text, `    '${verb}:`);
  for (const verb of ['', ...verbs]) {
    const section =
      verb === '' ? global : (text.split(`        ${verb})\n`)[1]?.split(';;\n')[0] ?? '');
    for (const { name, letter, takes } of flagsOf(verb)) {
      const long = `--${name}${takes ? '=' : ''}`;
      const wanted = letter ? `{-${letter}${takes ? '+' : ''},${long}}'[` : `${long}[`;
      t.ok(section.includes(wanted), `${verb}: ${wanted}`);
    }
  }
});

t.test('fish', { skip: absent('fish') }, async (t) => {
  execFileSync('fish', ['--no-execute', fish]);
  const lines = ['', ...verbs].flatMap((verb) => [`tare ${verb} -`, `tare ${verb} --`]);
  const path = `set PATH ${join(cli, '..')} $PATH; source ${fish}`;
  const ask = [path, ...lines.map((line) => `echo "# ${line}"; complete -C '${line}'`)];
  const env = { ...process.env, HOME: directory, XDG_CONFIG_HOME: directory };
  const run = (commands: string[]): string =>
    execFileSync('fish', ['--no-config', '-c', commands.join('\n')], { encoding: 'utf8', env });
  const sections = new Map(
    run(ask)
      .split('# tare ')
      .slice(1)
      .map((section): [string, string[]] => {
        const [line = '', ...offers] = section.split('\n');
        return [line.trim(), offers.map((offer) => offer.split('\t')[0] ?? '')];
      }),
  );
  for (const verb of ['', ...verbs]) {
    const long = sections.get(`${verb} --`.trim()) ?? [];
    for (const { name, letter } of flagsOf(verb)) {
      t.ok(
        long.some((offer) => offer.replace(/=$/, '') === `--${name}`),
        `${verb} --${name}`,
      );
      if (letter)
        t.ok((sections.get(`${verb} -`.trim()) ?? []).includes(`-${letter}`), verb + letter);
    }
  }
  const values = run([path, "complete -C 'tare --log-format '"]);
  t.same(values.match(/^\w+/gm)?.sort(), ['json', 'text']);
});

t.test('manual pages', { skip: absent('mandoc') }, async (t) => {
  for (const verb of ['', ...verbs]) {
    const page = tare(['man', ...(verb === '' ? [] : [verb])]).stdout;
    const lint = spawnSync('mandoc', ['-Tlint', '-Wstyle'], { input: page, encoding: 'utf8' });
    t.equal(lint.stdout + lint.stderr, '', `${verb}: no complaint`);
    const args = ['-Tascii', '-Owidth=500'];
    const struck = execFileSync('mandoc', args, { input: page, encoding: 'utf8' }).split('\b');
    // mandoc overstrikes bold and underlined text.
    const shown = struck
      .map((part, i) => (i + 1 < struck.length ? part.slice(0, -1) : part))
      .join('');
    t.match(shown, verb === '' ? /^TARE\(8\)/ : new RegExp(`^TARE-${verb.toUpperCase()}\\(8\\)`));
    const help = tare(['help', ...(verb === '' ? [] : [verb])]).stdout;
    for (const line of entries(help, 'OPTIONS')) {
      t.ok(
        shown.split('\n').some((one) => `${one.trim()} `.startsWith(`${line.trim()} `)),
        `${verb}: ${line}`,
      );
    }
    for (const other of verb === '' ? verbs : []) t.match(shown, `tare-${other}(8)`);
  }
});

t.test('scripts and pages go by the name that tare was called by', async (t) => {
  const other = join(directory, 'runc');
  symlinkSync(cli, other);
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout } = call(other, ['completion', shell]);
    t.match(stdout, 'runc');
    t.notMatch(stdout, /(?<!\/)\btare\b/);
  }
  t.match(call(other, ['man', 'create']).stdout, '.TH RUNC\\-CREATE 8 ');
});

if (skipReason === undefined) {
  const sandbox = new Sandbox(t);

  sandbox.test('the ids of containers', async (t) => {
    const ids = ['one', 'two'].map((name) => sandbox.id(name));
    const bundle = sandbox.bundle(['true']);
    for (const id of ids) sandbox.must(['create', '-b', bundle, id]);
    const tareInPath = `PATH=${join(cli, '..')}:$PATH`;
    for (const verb of ['state', 'kill', 'exec', 'delete', 'start', 'update']) {
      const words = ['tare', '--root', sandbox.root, verb];
      t.strictSame(bashOffers([...words, ''], tareInPath), ids, verb);
      t.strictSame(bashOffers([...words, ids[0] ?? ''], tareInPath), [ids[0]], verb);
    }
    const root = ['--root', '=', sandbox.root];
    t.strictSame(bashOffers(['tare', ...root, 'state', ''], tareInPath), ids);
    if (absent('fish') === false) {
      const line = `tare --root ${sandbox.root} state `;
      const ask = `set PATH ${join(cli, '..')} $PATH; source ${fish}; complete -C '${line}'`;
      const env = { ...process.env, HOME: directory };
      const args = ['--no-config', '-c', ask];
      t.same(execFileSync('fish', args, { encoding: 'utf8', env }).trim().split('\n').sort(), ids);
    }
    for (const id of ids) sandbox.must(['delete', '--force', id]);
  });
}

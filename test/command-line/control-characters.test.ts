/**
 * Names from an image or a bundle with escape sequences and line breaks: terminals do not interpret
 * them, logs get no additional line, and JSON keeps the names as they are.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Sandbox, call, cli, program, tare, skipReason, type Config } from '../support/tare.js';

/**
 * C0 controls with a line break, DEL, C1 controls as one character and as two (ESC ]), line
 * separators, bidirectional controls.
 */
const hostile =
  'a\u001b]0;x\u0007\n\r\t\u007f\u0085\u009b31m\u2028\u2029\u061c\u200f\u202e\u2066b"\\ü€😀';
const escaped =
  'a\\u001b]0;x\\u0007\n\\u000d\t\\u007f\\u0085\\u009b31m\\u2028\\u2029\\u061c\\u200f\\u202e\\u2066b"\\ü€😀';
/** The name as a file name can have it. */
const name = hostile.replaceAll('/', '');
/** Characters that tare never prints, and U+FFFD, which stands for a byte that is not UTF-8. */
// eslint-disable-next-line no-control-regex
const raw = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffd]/;

/** Escapes text for the name of an assertion, which is one line. */
const spelled = (text: string): string =>
  JSON.stringify(text).replace(/[^ -~]/g, (c) => `<${c.charCodeAt(0).toString(16)}>`);

const isClean = (t: Test, text: string, what: string): void => {
  t.equal(raw.exec(text)?.[0].charCodeAt(0).toString(16), undefined, `${what}: ${spelled(text)}`);
};

t.test('bytes that are not UTF-8', async (t) => {
  const script = `"$0" "$@" kill a "$(printf '\\377\\302')"`;
  const calls = (...args: string[]) => call('sh', ['-c', script, cli, ...args]).stderr;
  const log = calls('--log-format', 'json');
  t.match((JSON.parse(log) as { msg: string }).msg, 'unknown signal "\\xff\\xc2": expected');
  isClean(t, log, 'json');
  t.match(calls(), 'msg="unknown signal \\"\\\\xff\\\\xc2\\": ');
});

t.test('messages about arguments', async (t) => {
  const line = tare(['kill', 'a', hostile]).stderr;
  isClean(t, line, 'text');
  t.equal(line.split('\n').length, 2, 'one line');
  const { msg } = JSON.parse(tare(['--log-format', 'json', 'kill', 'a', hostile]).stderr) as {
    msg: string;
  };
  t.ok(msg.includes(`unknown signal "${hostile}"`), 'JSON has it as it is');
});

if (skipReason !== undefined) {
  t.test('containers', { skip: skipReason }, () => undefined);
} else {
  const sandbox = new Sandbox(t);

  /** Checks each form of output in which a failing run contains `hostile`. */
  const failingRun = (t: Test, what: string, bundle: string): void => {
    const id = sandbox.id('failing');
    const args = ['run', '--bundle', bundle, id];
    const file = join(sandbox.directory, 'log');
    const shown = (...global: string[]) => {
      const { status, stdout, stderr } = sandbox.tare(args, { global });
      t.equal(status, 1, what);
      isClean(t, stdout + stderr, `${what}: ${global.join(' ')}`);
      return stderr;
    };
    const text = shown();
    t.ok(text.includes('\\u001b]0;x\\u0007') && text.includes('\\u009b31m'), spelled(text));
    t.equal(text.trimEnd().split(/\n(?! )/).length, 1, `${what}: one record`);
    const { msg } = JSON.parse(shown('--log-format', 'json')) as { msg: string };
    t.ok(msg.includes(hostile), `${what}: ${spelled(msg)}`);
    const beside = shown('--log', file);
    t.ok(beside.includes(escaped.replace('\n', '\n  ')), spelled(beside));
    isClean(t, readFileSync(file, 'utf8'), `${what}: the file`);
    shown('--debug');
    const words = [program('pty'), '24x80', '24x80', cli, '--root', sandbox.root, ...args];
    const pty = words.map((word) => `'${word}'`).join(' ');
    const terminal = execFileSync('sh', ['-c', `${pty} </dev/null || :`], { encoding: 'utf8' });
    isClean(t, terminal.replaceAll('\r\n', '\n'), `${what}: a terminal`);
    t.ok(
      terminal.replaceAll('\r\n', '\n').includes(escaped.replace('\n', '\n  ')),
      spelled(terminal),
    );
  };

  sandbox.test('the program that is to be run', async (t) => {
    failingRun(t, 'program', sandbox.bundle([`/${name}`]));
    const script = sandbox.bundle([`/bin/${name}`]);
    const path = join(script, 'rootfs/bin', name);
    writeFileSync(path, '#!/bin/absent\n', { mode: 0o755 });
    failingRun(t, 'bare line for scripts', script);
  });

  sandbox.test('an annotation', async (t) => {
    const annotated = (annotations: Config['annotations']) =>
      sandbox.bundle(['true'], (config) => {
        config.annotations = annotations!;
      });
    failingRun(t, 'refused', annotated({ 'run.oci.handler': hostile }));
    const id = sandbox.id('annotated');
    sandbox.must(['create', '--bundle', annotated({ [hostile]: hostile }), id]);
    for (const args of [
      ['state', id],
      ['list', '--format', 'json'],
    ]) {
      const { stdout } = sandbox.must(args);
      isClean(t, stdout, args.join(' '));
      const [state] = [JSON.parse(stdout)].flat() as [{ annotations: Record<string, string> }];
      t.ok(state.annotations[hostile] === hostile, 'it reads as it was written');
    }
    sandbox.must(['delete', '--force', id]);
  });

  sandbox.test('a path in the root file system', async (t) => {
    const bundle = sandbox.bundle(['true'], (config) => {
      config.mounts.push({ destination: `/etc/${name}/file`, type: 'tmpfs', source: 'tmpfs' });
    });
    mkdirSync(join(bundle, 'rootfs/etc'), { recursive: true });
    writeFileSync(join(bundle, 'rootfs/etc', name), '');
    failingRun(t, 'mount point', bundle);
    const { stdout } = sandbox.must(['plan', '--bundle', bundle]);
    isClean(t, stdout, 'plan');
    t.ok(stdout.includes(`/etc/${escaped}/file`), spelled(stdout));
    const json = sandbox.must(['plan', '--bundle', bundle, '--format', 'json']).stdout;
    isClean(t, json, 'plan as JSON');
    t.ok(JSON.stringify(JSON.parse(json)).includes(JSON.stringify(hostile).slice(1, -1)));
  });

  sandbox.test('tables', async (t) => {
    const made = sandbox.bundle(['sh', '-c', `: '${hostile}'; sleep 1000`]);
    const bundle = join(sandbox.directory, `bundle-${name}`);
    renameSync(made, bundle);
    const id = sandbox.id('table');
    sandbox.must(['run', '--detach', '--bundle', bundle, id]);
    const list = sandbox.must(['list']).stdout;
    isClean(t, list, 'list');
    t.equal(list.split('\n').length, 3, 'a line for the container');
    t.ok(list.includes(escaped.replace('\n', '\\n').replace('\t', '\\t')), spelled(list));
    isClean(t, sandbox.must(['ps', id], { env: { LC_ALL: 'C.UTF-8' } }).stdout, 'ps');
    const stats = sandbox.must(['events', '--stats', id]).stdout;
    isClean(t, stats, 'events');
    sandbox.must(['delete', '--force', id]);
  });
}

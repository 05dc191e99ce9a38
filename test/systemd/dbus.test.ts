/** D-Bus: values, messages and addresses as in the specification, and a real bus daemon. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { program as programOf } from '../support/build.js';

const program = programOf('systemd');
const directory = mkdtempSync(join(tmpdir(), 'tare-test-dbus-'));
t.teardown(() => rmSync(directory, { recursive: true }));

function say(...args: string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  t.equal(stderr, '', args.join(' '));
  return stdout.replace(/\n$/, '');
}

/** Calls the program without blocking this process, which is its peer. */
async function sayTo(...args: string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(child, 'close');
  return text.trimEnd();
}

const hex = (text: string) => Buffer.from(text).toString('hex');

t.test('values in text, and their bytes', (t) => {
  for (const [text, answer] of [
    ["'abc'", `s 'abc' 03000000${hex('abc\0')}`],
    ['"a\\"b\\u00e4"', `s 'a"bä' 05000000${hex('a"bä\0')}`],
    ['uint64 18446744073709551615', 't 18446744073709551615 ffffffffffffffff'],
    ['int64 -9223372036854775808', 'x -9223372036854775808 0000000000000080'],
    ['-5', 'i -5 fbffffff'],
    ['0x10', 'i 16 10000000'],
    ['byte 255', 'y 255 ff'],
    ['int16 -1', 'n -1 ffff'],
    ['true', 'b true 01000000'],
    [' boolean false ', 'b false 00000000'],
    ['1.5', 'd 1.5 000000000000f83f'],
    ['-2.5e-1', 'd -0.25 000000000000d0bf'],
    ["objectpath '/a'", `o '/a' 02000000${hex('/a\0')}`],
    ["signature 'as'", `g 'as' 02${hex('as\0')}`],
    ["b'xy'", 'ay [120, 121, 0] 03000000787900'],
    // A string is aligned to 4 bytes, and the array's length excludes the padding at its end.
    ["['a', 'b']", `as ['a', 'b'] 0e00000001000000${hex('a\0')}000001000000${hex('b\0')}`],
    ['@as []', 'as [] 00000000'],
    // The first element of an array of structs is aligned to 8 bytes, even if there is none.
    ['@a(ss) []', 'a(ss) [] 0000000000000000'],
    [
      "[('/x', 'rw')]",
      `a(ss) [('/x', 'rw')] 0f0000000000000002000000${hex('/x\0')}0002000000${hex('rw\0')}`,
    ],
    ['(byte 1, uint64 2)', '(yt) (1, 2) 01000000000000000200000000000000'],
    [
      "{'a': <1>}",
      `a{sv} ['a': <i 1>] 100000000000000001000000${hex('a\0')}01${hex('i\0')}00000001000000`,
    ],
    ['@a{sv} {}', 'a{sv} [] 0000000000000000'],
    ['<@ai [1]>', 'v <ai [1]> 02616900' + '0400000001000000'],
  ] as const) {
    t.equal(say('text', text), answer, text);
  }
  t.end();
});

t.test('texts that are no values', (t) => {
  for (const [text, message] of [
    ['', 'a value is missing, at character 1 of '],
    ['abc', '"abc" is no value; a text stands in quotation marks, at character 1 of abc'],
    ["'abc", "the closing quotation mark is missing, at character 5 of 'abc"],
    ['1 2', 'nothing may follow the value, at character 3 of 1 2'],
    ['byte 256', '256 is no value of the type y, at character 6 of byte 256'],
    ['uint32 -1', '-1 is no value of the type u, at character 8 of uint32 -1'],
    ['4294967296', '4294967296 is no value of the type i, at character 1 of 4294967296'],
    [
      "uint32 'x'",
      "a value of the type s is where one of u should be, at character 11 of uint32 'x'",
    ],
    ["[1, 'a']", "a value of the type s is where one of i should be, at character 8 of [1, 'a']"],
    ['[]', 'an empty array needs its type, such as @as [], at character 3 of []'],
    ['()', 'D-Bus has no empty tuple, at character 3 of ()'],
    ['[1', '"," is missing, at character 3 of [1'],
    ['@z 1', '"@" must be followed by a type, at character 2 of @z 1'],
    ["'\\ud800'", "no character has this number, at character 4 of '\\ud800'"],
    ["'a\\u0000'", "a text may not hold a NUL, at character 10 of 'a\\u0000'"],
    ['['.repeat(40), `nested too deep, at character 34 of ${'['.repeat(40)}`],
  ] as const) {
    t.equal(say('text', text), `ERR_TARE_INVALID_ARGUMENT ${message}`, text);
  }
  t.end();
});

t.test('bytes that are no values', (t) => {
  for (const [signature, bytes, message] of [
    ['s', '05000000616263', 'a message is too short for what it should hold'],
    ['as', 'ffffff00', 'a message ends within an array'],
    ['au', '05000000' + '0100000002', 'a message is too short for what it should hold'],
    ['a(u', '00000000', 'a message has the type a(u'],
    ['v', '0000', 'a variant has the type '],
    ['v', '0275750001000000', 'a variant has the type uu'],
    ['a'.repeat(80) + 'u', '00000000', `a message has the type ${'a'.repeat(80)}u`],
    ['v', '017600'.repeat(70), 'a message is nested too deep'],
  ] as const) {
    t.equal(
      say('read', signature, bytes),
      `ERR_TARE_SYSTEM D-Bus: ${message}`,
      `${signature} ${bytes.slice(0, 20)}`,
    );
  }
  t.equal(say('read', 'nqib', 'feffffff' + 'feffffff' + '01000000'), '-2 65535 -2 true');
  t.end();
});

t.test('addresses', (t) => {
  const lines = (list: string) => say('addresses', list).split('\n');
  t.strictSame(lines('unix:path=/run/user/1000/bus'), ['/run/user/1000/bus']);
  t.strictSame(lines('unix:abstract=/tmp/x,guid=12'), ['@/tmp/x']);
  t.strictSame(lines('tcp:host=localhost;unix:path=/a%20b%3b,guid=1;unix:path=/c'), [
    '/a b;',
    '/c',
  ]);
  t.strictSame(lines('nonsense'), ['']);
  t.end();
});

/** Returns options that skip a test if a program is not installed. */
function needs(name: string): { skip?: string } {
  const there = spawnSync(name, ['--version']).error === undefined;
  return there ? {} : { skip: `${name} is not installed` };
}

t.test('a bus daemon', needs('dbus-daemon'), async (t) => {
  const socket = join(directory, 'bus');
  const config = join(directory, 'bus.conf');
  writeFileSync(
    config,
    `<busconfig><type>session</type><listen>unix:path=${socket}</listen><auth>EXTERNAL</auth>
<limit name="max_incoming_bytes">1000000</limit>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>`,
  );
  const daemon = spawn('dbus-daemon', [`--config-file=${config}`, '--nofork', '--print-address'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(daemon.stdout, 'data');
  const answer = await sayTo('call', `unix:path=${socket}`, '5000', '3');
  const [name, ...rest] = answer.split('\n');
  t.match(name, /^':1\.\d+'$/, 'the name that the bus gives');
  t.strictSame(
    rest,
    ['', '', 'signal NameAcquired'],
    'replies, and a signal that came before them',
  );
  daemon.kill();
  await once(daemon, 'close');
});

t.test('a peer that never answers, refuses, talks nonsense, or goes', async (t) => {
  const address = (name: string) => `unix:path=${join(directory, name)}`;
  const peers: [string, (data: string) => string | null, RegExp][] = [
    ['silent', () => '', /^no answer$/],
    ['stalls', () => 'DATA\r\nOK 1234\r\n', /^no answer\nno signal$/],
    ['refuses', () => 'REJECTED EXTERNAL\r\n', /the peer refuses this user: REJECTED EXTERNAL$/],
    [
      'nonsense',
      () => 'DATA\r\nOK 1234\r\nHTTP/1.1 400 Bad Request\r\n\r\n',
      /no message of this protocol$/,
    ],
    ['babbles', () => 'x'.repeat(20_000), /does not speak D-Bus$/],
    ['goes', () => null, /the peer closed the connection$/],
  ];
  for (const [name, answer, expected] of peers) {
    const server = createServer((connection) => {
      connection.on('error', () => {});
      connection.once('data', (data) => {
        const text = answer(data.toString());
        if (text === null) connection.end();
        else connection.write(text);
      });
    });
    server.listen(join(directory, name));
    await once(server, 'listening');
    const began = performance.now();
    t.match(await sayTo('call', address(name), '300', '1'), expected, name);
    t.ok(performance.now() - began < 5000, `${name}: within its time`);
    server.close();
  }
  t.match(say('call', address('absent'), '300', '1'), /connect: ENOENT/);
});

t.test('a peer that accepts nobody', needs('python3'), (t) => {
  // Its backlog is full at once: a blocking connect(2) would wait forever.
  const script = `
import socket, subprocess, sys
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen(0)
held = []
for _ in range(4):
    client = socket.socket(socket.AF_UNIX); client.setblocking(False)
    try: client.connect(sys.argv[1])
    except BlockingIOError: break
    held.append(client)
print(subprocess.run(sys.argv[2:], capture_output=True, text=True, timeout=20).stdout.strip())
`;
  const path = join(directory, 'full');
  const { stdout } = spawnSync(
    'python3',
    ['-c', script, path, program, 'call', `unix:path=${path}`, '300', '1'],
    { encoding: 'utf8' },
  );
  t.equal(stdout.trim(), 'no answer');
  t.end();
});

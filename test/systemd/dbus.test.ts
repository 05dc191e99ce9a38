/** D-Bus connections: a real bus daemon, and peers that fail. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { program as programOf } from '../support/build.js';
import { temporaryDirectory } from '../support/directory.js';

const program = programOf('systemd');
const directory = temporaryDirectory(t, 'dbus');

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
      /unexpected message header$/,
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

t.test('a peer that accepts no connection', needs('python3'), (t) => {
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

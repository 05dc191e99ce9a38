/**
 * The sockets that run() allows. The kernel code of other families and protocols is little tested.
 */
import { staticProgram, Sandbox } from '../support/tare.js';
import { skipReason } from '../support/containers.js';
import t from 'tap';
import { run } from '../../lib/index.js';

const skip = { skip: skipReason ?? false };
const stream = 1;
const dgram = 2;
const raw = 3;
const seqpacket = 5;
const flags = 0o2004000;

/** Family, type, protocol, and the expected result; EPERM comes from the filter. */
const rows: [number, number, number, string][] = [
  [1, stream, 0, 'ok'],
  [1, seqpacket | flags, 0, 'ok'],
  ...[2, 10].flatMap((family): [number, number, number, string][] => [
    [family, stream, 0, 'ok'],
    [family, stream | flags, 6, 'ok'],
    [family, dgram | flags, 0, 'ok'],
    [family, dgram, 17, 'ok'],
    // ICMP, UDPLITE, SCTP, MPTCP, DCCP, SMC, L2TP.
    [family, dgram, 1, 'EPERM'],
    [family, dgram, 58, 'EPERM'],
    [family, dgram, 136, 'EPERM'],
    [family, stream, 132, 'EPERM'],
    [family, seqpacket, 132, 'EPERM'],
    [family, stream, 262, 'EPERM'],
    [family, 6, 33, 'EPERM'],
    [family, stream, 256, 'EPERM'],
    [family, dgram, 115, 'EPERM'],
    [family, raw, 255, 'EPERM'],
    [family, stream, 17, 'EPERM'],
    [family, 0, 0, 'EPERM'],
  ]),
  // rtnetlink is allowed; sock_diag, audit, netfilter, uevents and generic netlink are not.
  [16, raw, 0, 'ok'],
  [16, dgram | flags, 0, 'ok'],
  ...[4, 9, 12, 15, 16].map((protocol): [number, number, number, string] => [
    16,
    raw,
    protocol,
    'EPERM',
  ]),
  // AX.25, key management, packet, TIPC, Bluetooth, ALG, vsock, XDP.
  ...[3, 15, 17, 30, 31, 38, 40, 44].map((family): [number, number, number, string] => [
    family,
    stream,
    0,
    'EPERM',
  ]),
];

t.test('socket and socketpair', skip, async (t) => {
  const sandbox = new Sandbox(t);
  const mounts = [{ source: staticProgram('calls'), destination: '/calls' }];
  const pairs: [number, string][] = [
    [1, 'ok'],
    [2, 'EPERM'],
    [16, 'EPERM'],
    [30, 'EPERM'],
  ];
  const script = [
    ...rows.map((row) => `/calls socket ${row.slice(0, 3).join(' ')}`),
    ...pairs.map(([family]) => `/calls socketpair ${family} ${stream} 0 zeros`),
  ];
  const { stdout } = await run(['sh', '-c', script.join('\n')], { root: sandbox.root, mounts });
  const expected = [...rows.map(([, , , answer]) => answer), ...pairs.map(([, answer]) => answer)];
  const told = stdout.trim().split('\n');
  t.strictSame(
    told.map((answer, index) => `${script[index]} ${answer}`),
    expected.map((answer, index) => `${script[index]} ${answer}`),
  );
});

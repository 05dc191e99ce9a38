/** The eBPF device filter on the real kernel: the access that a process has to each device. */
import { execFileSync, spawnSync } from 'node:child_process';
import t from 'tap';
import { program as programOf } from '../support/build.js';

const program = programOf('device-filter');
const asRoot = process.getuid?.() === 0 ? {} : { skip: 'device filters need root' };

type Rule = { allow: boolean; type?: string; major?: number; minor?: number; access?: string };

/** Returns the access that each node allows: "c:1:3" → "rwm rw". */
function tryNodes(devices: Rule[], ...nodes: string[]): Record<string, string> {
  const output = execFileSync(program, ['try', JSON.stringify({ devices }), ...nodes], {
    encoding: 'utf8',
  });
  return Object.fromEntries(
    output
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  );
}

const denyAll: Rule = { allow: false, access: 'rwm' };
const all = 'rwm rw';
const mknodOnly = '--m';

t.test('what every container gets', asRoot, async (t) => {
  const demanded = ['c:1:3', 'c:1:5', 'c:1:7', 'c:1:8', 'c:1:9', 'c:5:0', 'c:5:2', 'c:10:200'];
  const pseudoterminals = ['c:136:0', 'c:136:1048575'];
  const others = ['c:1:1', 'c:1:4', 'c:1:11', 'c:5:1', 'c:10:201', 'c:137:0', 'b:1:3', 'b:8:0'];
  const expected = {
    ...Object.fromEntries([...demanded, ...pseudoterminals].map((node) => [node, all])),
    ...Object.fromEntries(others.map((node) => [node, mknodOnly])),
  };
  const nodes = Object.keys(expected);
  t.strictSame(tryNodes([], ...nodes), expected, 'without rules');
  t.strictSame(tryNodes([denyAll], ...nodes), expected, 'with the rule that engines begin with');
});

t.test('rules', asRoot, async (t) => {
  const c = (major?: number, minor?: number) => ({ type: 'c', major, minor });
  const cases: [string, Rule[], Record<string, string>][] = [
    [
      "the spec's example",
      [
        denyAll,
        { allow: true, ...c(10, 229), access: 'rw' },
        { allow: true, type: 'b', major: 8, minor: 0, access: 'r' },
      ],
      { 'c:10:229': all, 'b:8:0': 'r-m', 'b:8:1': mknodOnly, 'c:8:0': mknodOnly },
    ],
    [
      'privileged: everything',
      [{ allow: true, access: 'rwm' }],
      { 'c:1:1': all, 'b:8:0': all, 'c:4095:1048575': all },
    ],
    [
      'a hole in a wildcard',
      [
        { allow: true, ...c(240), access: 'rwm' },
        { allow: false, ...c(240, 7), access: 'w' },
      ],
      { 'c:240:6': all, 'c:240:7': 'r-m', 'c:240:8': all, 'b:240:6': mknodOnly },
    ],
    [
      'the later rule decides, a wildcard as well as a number',
      [
        { allow: true, ...c(240, 7), access: 'rw' },
        { allow: false, ...c(240), access: 'rw' },
        { allow: true, ...c(241), access: 'rw' },
        { allow: false, ...c(), access: 'w' },
        { allow: true, ...c(242, 1), access: 'w' },
      ],
      { 'c:240:7': mknodOnly, 'c:241:1': 'r-m', 'c:242:1': '-wm', 'c:242:2': mknodOnly },
    ],
    [
      'any major with one minor',
      [
        { allow: true, ...c(undefined, 9), access: 'r' },
        { allow: false, ...c(240, 9), access: 'r' },
      ],
      { 'c:239:9': 'r-m', 'c:240:9': mknodOnly, 'c:241:9': 'r-m', 'c:241:8': mknodOnly },
    ],
    [
      'r by one rule and w by another are rw',
      [
        { allow: true, ...c(240), access: 'r' },
        { allow: true, ...c(240, 1), access: 'w' },
      ],
      { 'c:240:0': 'r-m', 'c:240:1': all },
    ],
    [
      'type a with numbers',
      [{ allow: true, type: 'a', major: 240, minor: 1, access: 'r' }],
      { 'c:240:1': 'r-m', 'b:240:1': 'r-m', 'c:240:2': mknodOnly },
    ],
    ['no access means all three', [{ allow: true, ...c(240, 1) }], { 'c:240:1': all }],
    [
      'a further "a" takes away, and gives nothing',
      [
        { allow: true, ...c(240), access: 'rw' },
        { allow: false, ...c(240, 1), access: 'ra' },
        { allow: true, ...c(241, 1), access: 'ra' },
      ],
      { 'c:240:0': all, 'c:240:1': mknodOnly, 'c:241:1': 'r-m' },
    ],
    ['-1 means any', [{ allow: true, ...c(240, -1), access: 'rw' }], { 'c:240:5': all }],
    [
      'numbers that no device has',
      [{ allow: true, ...c(4096, 1), access: 'rw' }],
      { 'c:0:1': mknodOnly, 'c:1:1': mknodOnly },
    ],
    [
      'neighbours, and gaps between them',
      [0, 1, 2, 3, 10, 12, 14, 31, 32, 63].map((minor) => ({
        allow: true,
        ...c(195, minor),
        access: 'rw',
      })),
      Object.fromEntries(
        Array.from({ length: 70 }, (_, minor) => [
          `c:195:${minor}`,
          [0, 1, 2, 3, 10, 12, 14, 31, 32, 63].includes(minor) ? all : mknodOnly,
        ]),
      ),
    ],
    [
      'the demanded devices cannot be denied',
      [{ allow: false, ...c(1, 3), access: 'rwm' }],
      { 'c:1:3': all },
    ],
  ];
  for (const [name, rules, expected] of cases) {
    t.strictSame(tryNodes(rules, ...Object.keys(expected)), expected, name);
  }
});

t.test('random rules mean what the last that matches says', asRoot, async (t) => {
  const seed = String(Math.floor(Math.random() * 2 ** 31));
  const output = execFileSync(program, ['compare', seed, '300'], { encoding: 'utf8' });
  t.equal(output, 'compared 300 lists, 224 devices\n', `seed ${seed}`);
});

t.test('a new filter takes the place of the old', asRoot, async (t) => {
  const read = JSON.stringify({
    devices: [{ allow: true, type: 'c', major: 1, minor: 1, access: 'r' }],
  });
  const output = execFileSync(program, ['replace', '{}', read], { encoding: 'utf8' });
  t.equal(output, 'attached 1\nc:1:1 --m\nattached 1\nattached 1\nc:1:1 r-m\nattached 1\n');
});

t.test('the program stays short', async (t) => {
  const size = (devices: Rule[]) =>
    execFileSync(program, ['size', JSON.stringify({ devices })], { encoding: 'utf8' }).trim();
  // Each conditional jump adds 2 to 3 µs to each start of a container.
  t.equal(size([denyAll]), '24 instructions, 7 jumps');
  t.equal(size([{ allow: true, access: 'rwm' }]), '2 instructions, 0 jumps');
});

t.test('refusals', async (t) => {
  const refuse = (devices: unknown[]) => {
    const { status, stdout } = spawnSync(program, ['size', JSON.stringify({ devices })], {
      encoding: 'utf8',
    });
    return [status, stdout.trim()];
  };
  t.strictSame(refuse([denyAll, { allow: true, major: -2 }]), [
    1,
    'config.json: linux.resources.devices[1].major: -2 is negative; leave it out to match any',
  ]);
});

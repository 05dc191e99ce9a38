/** Privileges: the five capability sets, no_new_privs and seccomp. */
import { skipReason, type Config } from '../support/tare.js';
import { Inside, field, type Edit } from '../support/inside.js';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const names = { chown: 0n, kill: 5n, setgid: 6n, setuid: 7n, net_raw: 13n } as const;
  type Name = keyof typeof names;
  const list = (wanted: Name[]): string[] => wanted.map((name) => `CAP_${name.toUpperCase()}`);
  const mask = (wanted: Name[]): string =>
    wanted
      .reduce((bits, name) => bits | (1n << names[name]), 0n)
      .toString(16)
      .padStart(16, '0');

  const sets =
    (wanted: Record<string, Name[]>, uid = 0): Edit =>
    (config) => {
      config.process.capabilities = Object.fromEntries(
        Object.entries(wanted).map(([set, caps]) => [set, list(caps)]),
      );
      config.process.user['uid'] = uid;
    };
  const status = 'cat /proc/self/status';
  const capabilities = (text: string): Record<string, string> =>
    Object.fromEntries(
      ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'].map((set) => [set, field(text, `Cap${set}`)]),
    );

  inside.test('the sets of root are what is within bounds', async (t) => {
    const wanted: Record<string, Name[]> = {
      bounding: ['chown', 'kill', 'setuid'],
      effective: ['chown', 'kill'],
      permitted: ['chown', 'kill'],
    };
    const bounds = mask(['chown', 'kill', 'setuid']);
    for (const nnp of [false, true]) {
      const seen = inside.stdoutOf(status, (config, rootfs) => {
        sets(wanted)(config, rootfs);
        config.process['noNewPrivileges'] = nnp;
      });
      // execve(2) by root: permitted and effective become the bounding set; see capabilities(7).
      const after = nnp ? mask(['chown', 'kill']) : bounds;
      const [Inh, Amb] = [mask([]), mask([])];
      t.strictSame(capabilities(seen), { Inh, Prm: after, Eff: after, Bnd: bounds, Amb });
    }
  });

  inside.test('what cannot be ambient is left out with a warning', async (t) => {
    const wanted: Record<string, Name[]> = {
      bounding: ['chown', 'kill', 'net_raw'],
      permitted: ['chown', 'kill'],
      inheritable: ['kill', 'net_raw'],
      ambient: ['chown', 'kill', 'net_raw'],
    };
    const { status: code, stdout, stderr } = inside.run(status, sets(wanted, 1000));
    t.equal(code, 0);
    t.equal(capabilities(stdout)['Amb'], mask(['kill']));
    for (const [name, set] of [
      ['CHOWN', 'inheritable'],
      ['NET_RAW', 'permitted'],
    ]) {
      t.match(
        stderr,
        `process.capabilities.ambient: can't raise ambient capability CAP_${name}: the ${set} set lacks it`,
      );
    }
  });

  inside.test('a user keeps what is ambient, and nothing else', async (t) => {
    const all: Name[] = ['chown', 'kill', 'net_raw'];
    const wanted: Record<string, Name[]> = {
      bounding: all,
      effective: all,
      permitted: all,
      inheritable: ['net_raw', 'kill'],
      ambient: ['net_raw'],
    };
    t.strictSame(capabilities(inside.stdoutOf(status, sets(wanted, 1000))), {
      Inh: mask(['net_raw', 'kill']),
      Prm: mask(['net_raw']),
      Eff: mask(['net_raw']),
      Bnd: mask(all),
      Amb: mask(['net_raw']),
    });
    const none = capabilities(
      inside.stdoutOf(status, sets({ bounding: all, permitted: all, effective: all }, 1000)),
    );
    t.match(none, { Prm: mask([]), Eff: mask([]), Amb: mask([]) });
  });

  inside.test('no capabilities object: none at all', async (t) => {
    const seen = capabilities(
      inside.stdoutOf(status, (config) => {
        delete config.process.capabilities;
      }),
    );
    t.strictSame(
      Object.values(seen),
      Array.from({ length: 5 }, () => mask([])),
    );
  });

  inside.test('no_new_privs', async (t) => {
    const nnp =
      (value: boolean): Edit =>
      (config) => {
        config.process['noNewPrivileges'] = value;
      };
    t.equal(field(inside.stdoutOf(status, nnp(true)), 'NoNewPrivs'), '1');
    t.equal(field(inside.stdoutOf(status, nnp(false)), 'NoNewPrivs'), '0');
  });

  inside.test(
    'a seccomp filter, with and without no_new_privs, in run, start and exec',
    async (t) => {
      const filter = (config: Config): void => {
        config.linux['seccomp'] = {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
        };
      };
      for (const nnp of [true, false]) {
        const edit: Edit = (config) => {
          filter(config);
          config.process['noNewPrivileges'] = nnp;
        };
        const refused = /mkdir: can't create directory '\/x': Operation not supported/;
        t.match(inside.run('mkdir /x', edit).stderr, refused);
        t.equal(field(inside.stdoutOf(status, edit), 'Seccomp'), '2');
        await inside.created(inside.script('sleep 1000', edit), (id) => {
          inside.must(['start', id]);
          t.match(inside.tare(['exec', id, 'mkdir', '/x']).stderr, refused);
          t.equal(
            field(inside.must(['exec', id, 'cat', '/proc/self/status']).stdout, 'Seccomp'),
            '2',
          );
        });
      }
      t.equal(field(inside.stdoutOf(status), 'Seccomp'), '0', 'none asked for');
    },
  );
}

/** The identity of the process: a misread value never makes it another user. */
import { OrdinaryUser } from '../support/ordinary-user.js';
import { skipReason } from '../support/tare.js';
import { Inside } from '../support/inside.js';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const user = new OrdinaryUser(inside);

  // Weakened: set_user (cli/parse/process.cc) uses strtoul(3) without checks. The process is root for
  // "", ":1", "abc", "root" and "4294967296", and some other user for most other texts.
  inside.test('CVE-2026-30892: exec --user', async (t) => {
    const own = (config: { process: { user: Record<string, unknown> } }): void => {
      config.process.user = { uid: 5, gid: 6 };
    };
    await inside.created(inside.script('sleep 1000', own), (id) => {
      inside.must(['start', id]);
      const idsOf = (value: string) =>
        inside.tare(['exec', `--user=${value}`, id, 'sh', '-c', 'id -u; id -g']);
      const good = { '1': '1\n6\n', '1:2': '1\n2\n', '0': '0\n6\n', '007': '7\n6\n' };
      for (const [value, ids] of Object.entries(good)) t.equal(idsOf(value).stdout, ids, value);
      const bad =
        ', 1:, :1, :, abc, 4294967296, 4294967295, 1:4294967295, 4294967297:1, -1, 1:-1, 0x1, 1:2:3, ' +
        '1 , +1, 1e3, 1.0, root, root:root, 1;2, 18446744073709551617, ١';
      for (const value of bad.split(', ')) {
        const result = idsOf(value);
        t.match(result, { status: 255, stdout: '' }, JSON.stringify(value));
        t.match(result.error, `--user "${value}": `);
      }
      const file = join(inside.directory, 'process.json');
      for (const uid of ['"1"', '-1', '4294967296', '1.5', '1e3', 'true']) {
        writeFileSync(file, `{"args": ["id"], "cwd": "/", "user": {"uid": ${uid}, "gid": 0}}`);
        const result = inside.tare(['exec', '--process', file, id]);
        t.match(result, { status: 255, stdout: '', error: /user\.uid/ }, uid);
      }
    });
  });

  // Weakened: write_id_maps (id_maps.cc) does not write to setgroups. Since the fix for this CVE
  // the kernel refuses the map, and nothing starts.
  inside.test('CVE-2014-8989: an ordinary user cannot drop groups', async (t) => {
    const script = 'cat /proc/self/setgroups; id -G; cat /proc/self/uid_map';
    const bundle = user.bundle(['sh', '-c', script]);
    const { status, stdout, stderr } = user.tare('run', '-b', bundle, inside.id('groups'));
    t.match({ status, stderr }, { status: 0, stderr: '' });
    t.match(stdout, /^deny\n0\n/);
    const more = user.bundle(['id', '-G'], (config) => {
      config.process.user['additionalGids'] = [5];
    });
    t.match(user.tare('run', '-b', more, inside.id('more')), {
      status: 1,
      stdout: '',
      error: /process\.user\.additionalGids/,
    });
  });
}

/**
 * A capability is inheritable only if the config asks for it: a file's inheritable set would give
 * it to a process that is not root.
 */
import { skipReason } from '../support/tare.js';
import { Inside, field, inNewUserNamespace, mapped, type Edit } from '../support/inside.js';
import { chownSync, closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Container } from '../../lib/index.js';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);

  const none = '0'.repeat(16);
  const netRaw = 1n << 13n;
  const show = ['/bin/cat', '/proc/self/status'];
  const sets = (status: string) => ({
    inheritable: field(status, 'CapInh'),
    ambient: field(status, 'CapAmb'),
    effective: field(status, 'CapEff'),
  });
  const nothing = { inheritable: none, ambient: none };
  const edits: Record<string, Edit> = {
    default: () => undefined,
    'a user namespace': (config, rootfs) => {
      inNewUserNamespace(config);
      chownSync(rootfs, mapped.first, mapped.first);
    },
  };

  // Weakened: write_process (spec/default.cc) writes an inheritable set, too. This also fails the
  // other tests of this file.
  inside.test('CVE-2022-24769: the default config', async (t) => {
    for (const [name, edit] of Object.entries(edits)) {
      t.match(sets(inside.stdoutOf(show.join(' '), edit)), nothing, `run, ${name}`);
      const user: Edit = (config, rootfs) => {
        edit(config, rootfs);
        config.process.user['uid'] = 1000;
      };
      const seen = sets(inside.stdoutOf(show.join(' '), user));
      t.match(seen, { ...nothing, effective: none }, `a user, ${name}`);
    }
  });

  // Weakened: op.c = capabilities.permitted in add_credentials (plan/process.cc).
  inside.test('CVE-2022-27650: exec', async (t) => {
    for (const [name, edit] of Object.entries(edits)) {
      await inside.created(inside.script('sleep 1000', edit), (id) => {
        inside.must(['start', id]);
        t.match(sets(inside.must(['exec', id, ...show]).stdout), nothing, name);
        const user = inside.must(['exec', '--user', '1000', id, ...show]).stdout;
        t.match(sets(user), { ...nothing, effective: none }, `a user, ${name}`);
        const file = join(inside.directory, 'process.json');
        const capabilities = { bounding: ['CAP_NET_RAW'], permitted: ['CAP_NET_RAW'] };
        writeFileSync(file, JSON.stringify({ args: show, cwd: '/', capabilities }));
        t.match(sets(inside.must(['exec', '--process', file, id]).stdout), nothing, '--process');
      });
    }
  });

  // Weakened: add_capability (cli/parse/process.cc) adds it to the inheritable set, too.
  inside.test('CVE-2022-29162: exec --cap', async (t) => {
    for (const [name, edit] of Object.entries(edits)) {
      await inside.created(inside.script('sleep 1000', edit), (id) => {
        inside.must(['start', id]);
        const more = sets(inside.must(['exec', '--cap', 'CAP_NET_RAW', id, ...show]).stdout);
        t.match(more, nothing, name);
        t.ok(BigInt(`0x${more.effective}`) & netRaw, 'it is added');
        const args = ['exec', '--cap', 'CAP_NET_RAW', '--user', '1000', id, ...show];
        t.match(sets(inside.must(args).stdout), { ...nothing, effective: none }, `a user, ${name}`);
      });
    }
  });

  // Weakened: op.c = capabilities.permitted in add_credentials (plan/process.cc).
  inside.test('CVE-2025-27612: exec by the library', async (t) => {
    const out = join(inside.directory, 'status');
    const added = ['CAP_NET_RAW'];
    const given = { capabilities: { bounding: added, effective: added, permitted: added } };
    for (const [name, edit] of Object.entries(edits)) {
      const options = { bundle: inside.script('sleep 1000', edit), root: inside.root };
      const container = await Container.create(inside.fresh(), options);
      await container.start();
      for (const more of [{}, given]) {
        const fd = openSync(out, 'w');
        const exec = await container.exec({ args: show, ...more }, { stdio: ['ignore', fd, fd] });
        await exec.wait();
        closeSync(fd);
        t.match(sets(readFileSync(out, 'utf8')), nothing, name);
      }
      await container.delete({ force: true });
    }
  });
}

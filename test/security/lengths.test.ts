/** Lengths beyond 16 bits: no value is cut off or wraps between config.json and the process. */
import { skipReason } from '../support/tare.js';
import { Inside } from '../support/inside.js';
import { chownSync } from 'node:fs';
import t from 'tap';

if (skipReason !== undefined) {
  t.plan(0, skipReason);
} else {
  const inside = new Inside(t);
  const border = 65_536;

  // Weakened: PlanBuilder::list (plan.cc) cuts strings to their length modulo 65536; then, add_exec
  // (plan/program.cc) counts arguments in 16 bits. Arguments and variables are cut off or missing.
  inside.test('CVE-2021-43784: long values and many', async (t) => {
    for (const size of [border - 1, border, border + 1, 130_000]) {
      const seen = inside.stdoutOf(
        'echo ${#1} ${#LONG} $AFTER; echo "$1" | tail -c 2',
        (config) => {
          config.process.args.push('sh', `${'a'.repeat(size - 1)}z`);
          config.process.env.push(`LONG=${'e'.repeat(size)}`, 'AFTER=after');
        },
      );
      t.equal(seen, `${size} ${size} after\nz`, `${size}`);
    }
    for (const count of [border - 1, border, border + 1]) {
      const seen = inside.stdoutOf('echo $# ${100}; for last; do :; done; echo $last', (config) => {
        config.process.args.push('sh', ...Array.from({ length: count }, (_, i) => String(i)));
      });
      t.equal(seen, `${count} 99\n${count - 1}`, `${count} arguments`);
    }
    const seen = inside.stdoutOf('', (config) => {
      config.process.args = ['env'];
      config.process.env.push(...Array.from({ length: 70_001 }, (_, i) => `V${i}=${i}`));
    });
    const wanted = Array.from({ length: 70_001 }, (_, i) => `V${i}=${i}`).join('\n');
    t.ok(seen.includes(`\n${wanted}`), 'variables');
  });

  // Weakened: id_map_text (spec/linux.cc) cuts its text to 2048 bytes. The kernel refuses half a
  // line.
  inside.test('CVE-2021-43784: as many mappings as the kernel takes', async (t) => {
    interface Mapping {
      containerID: number;
      hostID: number;
      size: number;
    }
    const seen = (mappings: Mapping[]): string =>
      inside
        .stdoutOf('wc -l </proc/self/uid_map; tail -n 1 /proc/self/gid_map', (config, rootfs) => {
          const [{ hostID: root } = { hostID: 0 }] = mappings;
          config.linux.namespaces.push({ type: 'user' });
          config.linux['uidMappings'] = config.linux['gidMappings'] = mappings;
          chownSync(rootfs, root, root);
        })
        .replace(/ +/g, ' ');
    const first = 2000;
    const short = Array.from({ length: 340 }, (_, i) => ({
      containerID: i,
      hostID: first + 2 * i,
      size: 1,
    }));
    t.equal(seen(short), `340\n 339 ${first + 678} 1`);
    // One write(2) carries all mappings and must be shorter than a page.
    const long = Array.from({ length: 255 }, (_, i) => ({
      containerID: 100 * (i + 100),
      hostID: 100000 + 100 * i,
      size: 10,
    }));
    const page = [{ containerID: 0, hostID: 90000000, size: 100 }, ...long];
    t.equal(
      page.map((one) => Object.values(one).join(' ').length + 1).reduce((a, b) => a + b),
      4095,
    );
    t.equal(seen(page), '256\n 35400 125400 10');
  });
}

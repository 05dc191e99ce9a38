/**
 * A field of linux.resources that the parser reads is also recorded, updated, and set or ignored.
 * Forgetting one of these loses the limit without an error.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const parser = read('addon/core/spec/resources.cc');
const record = read('addon/core/spec/resources_json.cc');
const update = read('addon/core/spec/resources_update.cc');
const [settings = '', ignored = ''] = read('addon/core/cgroup/settings.cc').split(
  'std::vector<std::string> ignored_resources(',
);
const change = read('addon/core/cgroup/change.cc');

/** Fields that need no setting in cgroup v2, with the reason. */
const withoutSetting: Record<string, string> = {
  devices: 'the device filter implements it',
  'memory.useHierarchy': 'cgroup v2 always counts descendants',
  'memory.checkBeforeUpdate': 'update compares the limit with the usage',
};
/** Keys that a change sets without naming them: they are copied file by file. */
const always = ['unified'];

const parts = {
  memory: 'memory',
  cpu: 'cpu',
  block_io: 'blockIO',
  pids: 'pids',
  network: 'network',
};
const fields: { path: string; name: string; member: string }[] = [];
for (const [, table = '', body = ''] of parser.matchAll(/(\w+)_fields\[\] = \{([\s\S]*?)\n\};/g)) {
  if (table !== 'resources' && !(table in parts)) continue;
  for (const [, name = '', reader = ''] of body.matchAll(/\{"(\w+)", ([^}]+)\}/g)) {
    if (table === 'resources' && Object.values(parts).includes(name)) continue;
    const prefix = table === 'resources' ? '' : `${parts[table as keyof typeof parts]}.`;
    fields.push({ path: prefix + name, name, member: /::(\w+)>/.exec(reader)?.[1] ?? name });
  }
}
t.ok(fields.length > 25, `${fields.length} fields`);

for (const { path, name, member } of fields) {
  t.test(path, (t) => {
    const isNamed = (text: string): boolean =>
      text.includes(`"${path}"`) || text.includes(`"${path}[`);
    t.match(record, new RegExp(`"${name}"`), 'resources_json.cc writes it for state.json');
    t.match(
      update,
      new RegExp(`\\b(?:into|after)\\.${member}\\b`),
      'updated_resources() takes it from an update',
    );
    if (path in withoutSetting) {
      t.end();
      return;
    }
    const isIgnored = ignored.includes(`{"${path}", `);
    const isSet = new RegExp(`"${path}"|indexed\\("${path}"|"${name}\\[`).test(settings);
    t.ok(isIgnored || isSet, 'settings.cc sets it, or warns that it is ignored');
    if (!isIgnored && !always.includes(path)) {
      t.ok(isNamed(change), 'mentions() in change.cc has it, so that an update writes it');
    }
    t.end();
  });
}

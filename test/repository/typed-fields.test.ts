/**
 * The library's types and pages have what the core and the options have: a type for each field of
 * the configuration, a row of docs/library.md for each option of run().
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));
const files = ['lib/spec/spec.ts', 'lib/run/options.ts'].map((name) => join(root, name));
const program = ts.createProgram(files, {
  ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, strict: true },
  types: ['node'],
});
const checker = program.getTypeChecker();

/** Returns the type that the file declares by this name. */
function declared(file: string, name: string): ts.Type {
  const source = program.getSourceFile(join(root, file));
  const found = source?.statements.find(
    (each): each is ts.InterfaceDeclaration =>
      ts.isInterfaceDeclaration(each) && each.name.text === name,
  );
  if (found === undefined) throw new Error(`${file}: no interface ${name}`);
  return checker.getTypeAtLocation(found);
}

/**
 * Returns the type of a property; of an array it is that of its items, of an object with other keys
 * that of its values.
 */
function member(type: ts.Type, name: string): ts.Type | undefined {
  const whole = checker.getNonNullableType(type);
  const item = whole.getNumberIndexType();
  if (item !== undefined) return member(item, name);
  const property = whole.getProperty(name);
  if (property !== undefined) return checker.getTypeOfSymbol(property);
  const values = whole.getStringIndexType();
  if (values !== undefined) return name === '*' ? values : member(values, name);
  const [first] = whole.getProperties();
  if (first === undefined) return undefined;
  const value = checker.getNonNullableType(checker.getTypeOfSymbol(first));
  return name === '*' ? value : value.getProperty(name) && member(value, name);
}

t.test('every field of docs/fields.md has a type', (t) => {
  const page = readFileSync(join(root, 'docs/fields.md'), 'utf8');
  const fields = [...page.matchAll(/^\| `(?!run\.oci\.)([\w.*]+)` \|/gm)].map(
    ([, path = '']) => path,
  );
  t.ok(fields.length > 100, `${fields.length} fields`);
  for (const path of fields) {
    const names = path.replace(/\.\*$/, '').split('.');
    let type: ts.Type | undefined = declared('lib/spec/spec.ts', 'Spec');
    for (const name of names) type &&= member(type, name);
    t.ok(type, `lib/spec/spec.ts: ${path}`);
  }
  t.end();
});

t.test('every option of run() has a row in docs/library.md, and each row is of an option', (t) => {
  const page = readFileSync(join(root, 'docs/library.md'), 'utf8');
  const table = /^### Options$[^]*?^\|---\|---\|\n([^]*?)\n\n/m.exec(page)?.[1] ?? '';
  const cells = table.split('\n').map((row) => row.split('|')[1] ?? '');
  const documented = cells.flatMap((cell) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
  );
  const options = declared('lib/run/options.ts', 'RunOptions')
    .getProperties()
    .map(({ name }) => name);
  t.ok(options.length > 30, `${options.length} options`);
  t.strictSame(documented.sort(), options.sort());
  t.end();
});

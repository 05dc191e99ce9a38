/**
 * Every refused config.json: the change to the default config (`tare spec`), the exact message, and
 * the code that users of the library see.
 */
import { linux } from './linux.js';
import { mounts } from './mounts.js';
import { namespaces } from './namespaces.js';
import { process } from './process.js';
import { resources } from './resources.js';
import { seccomp } from './seccomp.js';
import type { Change } from './row.js';
import { text } from './text.js';

export interface ConfigRefusal {
  readonly name: string;
  /** Makes the refused config.json from the text of the default one. */
  readonly spoil: (config: string) => string | Uint8Array;
  readonly message: string;
  readonly code: 'ERR_TARE_INVALID_CONFIG' | 'ERR_TARE_UNSUPPORTED';
}

function setAt(root: Record<string, unknown>, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let object = root;
  for (const key of keys) object = object[key] as Record<string, unknown>;
  object[last] = value;
}

/** Returns the config with the change applied. */
export function spoiled(config: string, change: Change): string | Uint8Array {
  if (typeof change === 'string' || change instanceof Uint8Array) return change;
  const root = JSON.parse(config) as Record<string, unknown>;
  for (const [path, value] of Object.entries(change)) setAt(root, path, value);
  // Numbers that exceed JavaScript's precision are given as bigint.
  return JSON.stringify(root, (_, value: unknown) =>
    typeof value === 'bigint' ? `bigint ${value}` : value,
  ).replace(/"bigint (\d+)"/g, '$1');
}

export const configRefusals: readonly ConfigRefusal[] = [
  ...text,
  ...process,
  ...mounts,
  ...namespaces,
  ...linux,
  ...resources,
  ...seccomp,
].map(([name, change, message, code]) => ({
  name,
  spoil: (config) => spoiled(config, change),
  message: `config.json: ${message}`,
  code: code ?? 'ERR_TARE_INVALID_CONFIG',
}));

/** A row of the tables of refusals, and what many rows change. */

/**
 * What is changed: the whole text of the file, or values by their path in it ("mounts.7.type"), where
 * undefined removes a member.
 */
export type Change = string | Uint8Array | Readonly<Record<string, unknown>>;

/** Name, change, the message without "config.json: ", and the code where it is not the usual one. */
export type Row = readonly [
  name: string,
  change: Change,
  message: string,
  code?: 'ERR_TARE_UNSUPPORTED',
];

export const unsupported = 'ERR_TARE_UNSUPPORTED';

/** The default namespaces but one. */
export const without = (type: string): { type: string }[] =>
  ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup']
    .filter((other) => other !== type)
    .map((other) => ({ type: other }));

/** A user namespace with a thousand ids. */
export const mappedUser = {
  'linux.namespaces.6': { type: 'user' },
  'linux.uidMappings': [{ containerID: 0, hostID: 100000, size: 1000 }],
  'linux.gidMappings': [{ containerID: 0, hostID: 100000, size: 1000 }],
};

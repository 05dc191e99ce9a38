/** The row type of the tables of refusals, and changes that many rows share. */

/**
 * The change to the config: the whole text of the file, or values by their path in it
 * ("mounts.7.type"). undefined removes a member.
 */
export type Change = string | Uint8Array | Readonly<Record<string, unknown>>;

/**
 * The test's name, the change, the message without "config.json: ", and the code unless it is
 * ERR_TARE_INVALID_CONFIG.
 */
export type Row = readonly [
  name: string,
  change: Change,
  message: string,
  code?: 'ERR_TARE_UNSUPPORTED',
];

export const unsupported = 'ERR_TARE_UNSUPPORTED';

/** Returns the default namespaces without the one of `type`. */
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

import { stat } from 'node:fs/promises';
import { geteuid } from 'node:process';
import { TareError } from './errors.js';

const eacces = -13;
const enter = 0o001;

/**
 * What a failure to start in `rootfs` means, where it is that the container's users may not enter it:
 * those of root's containers are nobody of the host, so that what root alone may read they may not.
 */
export async function explained(failure: unknown, rootfs: string): Promise<unknown> {
  if (!(failure instanceof TareError) || failure.errno !== eacces || geteuid!() !== 0) {
    return failure;
  }
  const status = await stat(rootfs).catch(() => undefined);
  if (!status || (status.mode & enter) !== 0) return failure;
  const mode = (status.mode & 0o7777).toString(8);
  return new TareError(
    `rootfs: ${rootfs} has mode ${mode}, and the container's users are nobody of the host, so that they may ` +
      `not enter it; let others enter and read it (chmod -R o+rX ${rootfs})`,
    { code: 'ERR_TARE_INVALID_ARGUMENT', path: rootfs, errno: eacces, cause: failure },
  );
}

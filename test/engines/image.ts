/**
 * Makes an OCI image of busybox: an image layout in one tar file that is a docker archive as well.
 */
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

export const imageName = 'tare.test/busybox:latest';

interface Entry {
  name: string;
  type: 'file' | 'directory' | 'symlink';
  mode: number;
  data?: Buffer;
  target?: string;
}

const typeFlags = { file: '0', symlink: '2', directory: '5' };

/** Makes a POSIX.1-1988 ustar archive. */
function tar(entries: Entry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const { name, type, mode, data = Buffer.alloc(0), target = '' } of entries) {
    const header = Buffer.alloc(512);
    const octal = (value: number, offset: number, width: number) =>
      header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
    header.write(name, 0, 100, 'latin1');
    octal(mode, 100, 8);
    octal(0, 108, 8); // uid
    octal(0, 116, 8); // gid
    octal(data.length, 124, 12);
    octal(0, 136, 12); // mtime
    header.write(typeFlags[type], 156, 'latin1');
    header.write(target, 157, 100, 'latin1');
    header.write('ustar\x0000', 257, 'latin1');
    // The checksum is computed with spaces in the checksum field.
    header.fill(' ', 148, 156);
    octal(
      header.reduce((sum, byte) => sum + byte),
      148,
      7,
    );
    blocks.push(header, data, Buffer.alloc((512 - (data.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function layer(busybox: string): Buffer {
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  const directories = ['bin/', 'dev/', 'etc/', 'proc/', 'root/', 'run/', 'sys/', 'var/'];
  return tar([
    ...directories.map((name): Entry => ({ name, type: 'directory', mode: 0o755 })),
    { name: 'tmp/', type: 'directory', mode: 0o1777 },
    { name: 'bin/busybox', type: 'file', mode: 0o755, data: readFileSync(busybox) },
    ...applets
      .filter((applet) => applet !== 'busybox')
      .map((applet): Entry => ({
        name: `bin/${applet}`,
        type: 'symlink',
        mode: 0o777,
        target: 'busybox',
      })),
    {
      name: 'etc/passwd',
      type: 'file',
      mode: 0o644,
      data: Buffer.from('root:x:0:0::/root:/bin/sh\n'),
    },
    { name: 'etc/group', type: 'file', mode: 0o644, data: Buffer.from('root:x:0:\n') },
  ]);
}

/** Writes the image's archive to `file`. */
export async function writeImage(file: string, busybox = '/bin/busybox'): Promise<void> {
  const blobs: Entry[] = [];
  const addBlob = (data: Buffer, mediaType: string) => {
    const hex = createHash('sha256').update(data).digest('hex');
    blobs.push({ name: `blobs/sha256/${hex}`, type: 'file', mode: 0o644, data });
    return { mediaType, digest: `sha256:${hex}`, size: data.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const rootfs = addBlob(layer(busybox), 'application/vnd.oci.image.layer.v1.tar');
  const config = addBlob(
    json({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Env: ['PATH=/bin'], Cmd: ['sh'], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: [rootfs.digest] },
    }),
    'application/vnd.oci.image.config.v1+json',
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = addBlob(
    json({ schemaVersion: 2, mediaType, config, layers: [rootfs] }),
    mediaType,
  );
  const annotations = { 'io.containerd.image.name': imageName };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  const layout = { imageLayoutVersion: '1.0.0' };
  const path = ({ digest }: { digest: string }) => `blobs/${digest.replace(':', '/')}`;
  const archive = [{ Config: path(config), RepoTags: [imageName], Layers: [path(rootfs)] }];
  await writeFile(
    file,
    tar([
      { name: 'oci-layout', type: 'file', mode: 0o644, data: json(layout) },
      { name: 'index.json', type: 'file', mode: 0o644, data: json(index) },
      { name: 'manifest.json', type: 'file', mode: 0o644, data: json(archive) },
      ...blobs,
    ]),
  );
}

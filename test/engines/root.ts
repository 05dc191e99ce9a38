/**
 * A Debian with the engines, as the guest's root file system. It is one fixed stable release,
 * whatever the machine runs: new enough to be in common use, and it does not change. Its packages
 * are unpacked, not installed, so `setUp` does in the guest what their scripts would do, as far as
 * the engines need it.
 */
import { unpackRoot } from '../../scripts/debian.js';

export const defaultRelease = 'trixie';

const system =
  'base-files base-passwd bash bsdutils busybox-static ca-certificates coreutils dash dbus findutils grep gzip hostname iproute2 ' +
  'kmod libc-bin liblzma5 mount procps sed systemd tar util-linux';
const engines =
  'containerd runc crun criu libcriu2 podman conmon golang-github-containers-common netavark aardvark-dns passt slirp4netns ' +
  'fuse-overlayfs catatonit uidmap docker.io docker-cli iptables nftables';

export function unpackEngines(release: string): Promise<string> {
  return unpackRoot([...system.split(' '), ...engines.split(' ')], { release });
}

/** The ordinary user's home directory. The user's files cover it, so no checkout may lie there. */
export const home = '/home/tare-guest';

/** Makes what the packages' scripts would make, and the directory of the kernel's modules. */
export const setUp = `
set -e
cp /usr/share/base-passwd/passwd.master /etc/passwd
cp /usr/share/base-passwd/group.master /etc/group
echo 'messagebus:x:100:' >>/etc/group
echo 'messagebus:x:100:100::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
echo 'docker:x:101:' >>/etc/group
echo 'user:x:1000:' >>/etc/group
echo 'user:x:1000:1000::${home}:/bin/bash' >>/etc/passwd
echo 'user:100000:65536' >/etc/subuid
echo 'user:100000:65536' >/etc/subgid
mkdir ${home}
echo guest >/etc/hostname
printf '127.0.0.1 localhost\\n127.0.1.1 guest\\n' >/etc/hosts
: >/etc/resolv.conf
cp /usr/share/libc-bin/nsswitch.conf /etc/nsswitch.conf
systemd-machine-id-setup >/dev/null 2>&1
for name in iptables ip6tables; do
  for verb in '' -save -restore; do ln -sf xtables-nft-multi /usr/sbin/$name$verb; done
done
release=$(uname -r)
mkdir -p /lib/modules
ln -s "$TARE_GUEST_MODULES/lib/modules/$release" "/lib/modules/$release.packaged"
cp -rs "/lib/modules/$release.packaged/" "/lib/modules/$release"
depmod "$release"
# The guest's root is an overlay, on which no other can be laid.
for directory in containerd containers docker; do
  mkdir -p /var/lib/$directory
  mount -t tmpfs -o mode=711 $directory /var/lib/$directory
done
mount -t tmpfs -o mode=700,uid=1000,gid=1000 home ${home}
mount --make-rshared /
`;

#!/bin/busybox sh
# The guest's init. The kernel starts it on this machine's own root file system, which it has
# mounted read-only over virtiofs:  busybox sh guest-init.sh MODULES
# It lays a tmpfs over that root, mounts what a Linux system has, and then runs commands that come
# in on a virtio port, one line each: a marker and a script in base64. Standard output and error
# have a port each; the marker and, on the first, the exit status follow the command's last byte.
# With SYSTEMD in its environment it becomes systemd instead, which does that as a service.
#
# All programs are applets of the one static busybox: under emulation a dynamic one takes three
# times as long to start.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
modules=$1
# For suites that load further ones.
export TARE_GUEST_MODULES="$modules"

applet() {
  /bin/busybox "$@"
}

pseudo_file_systems() {
  applet mount -t devtmpfs -o mode=755,nosuid dev "$1/dev"
  applet mkdir -p "$1/dev/pts" "$1/dev/shm" "$1/dev/mqueue"
  applet mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts "$1/dev/pts"
  applet mount -t tmpfs -o mode=1777,nosuid,nodev shm "$1/dev/shm"
  applet mount -t mqueue mqueue "$1/dev/mqueue"
  applet mount -t proc proc "$1/proc"
  applet mount -t sysfs sys "$1/sys"
  applet mount -t securityfs security "$1/sys/kernel/security"
  applet mount -t bpf bpf "$1/sys/fs/bpf"
  applet mount -t cgroup2 -o nsdelegate cgroup "$1/sys/fs/cgroup"
  applet mount -t tmpfs -o mode=755,nosuid,nodev run "$1/run"
  applet mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$1/tmp"
  applet ln -s /proc/self/fd "$1/dev/fd"
  applet ln -s fd/0 "$1/dev/stdin"
  applet ln -s fd/1 "$1/dev/stdout"
  applet ln -s fd/2 "$1/dev/stderr"
}

serve() {
  # The ports' names carry the number of their virtio device.
  ports=$(echo /dev/vport*p1)
  ports=${ports%1}
  [ -c "${ports}4" ]
  exec 3<>"${ports}1" 4>"${ports}2" 5>"${ports}3"
  # Tells a hanging guest from a slow command.
  (while read -r word <&6; do echo "$word" >&6; done) 6<>"${ports}4" 3>&- 4>&- 5>&- &
  echo ready >&3
  while read -r marker script <&3; do
    status=0
    script=$(echo "$script" | applet base64 -d; echo .)
    /bin/busybox setsid /bin/sh -c "${script%.}" </dev/null >&4 2>&5 3>&- 4>&- 5>&- || status=$?
    echo "$marker $status" >&4
    echo "$marker" >&5
  done
}

# What systemd starts when it is the guest's init: the loop above, as a service, and a message bus.
# Nothing else of this machine's set-up is to run.
prepare_systemd() {
  for unit in /lib/systemd/system/sysinit.target.wants/* /etc/systemd/system/sysinit.target.wants/*; do
    [ ! -L "$unit" ] || applet ln -sf /dev/null "/etc/systemd/system/${unit##*/}"
  done
  applet ln -s /dev/null /etc/systemd/system/systemd-remount-fs.service
  : >/etc/fstab
  applet cat >/etc/systemd/system/guest.service <<UNIT
[Unit]
DefaultDependencies=no
Wants=dbus.service
After=dbus.service
[Service]
ExecStart=/bin/busybox sh "$1" "$2"
Environment=TARE_GUEST=service
Delegate=yes
StandardOutput=tty
StandardError=tty
UNIT
  applet cat >/etc/systemd/system/guest.target <<UNIT
[Unit]
Wants=guest.service
UNIT
}

if [ "${TARE_GUEST:-}" = service ]; then
  unset TARE_GUEST
  export HOME=/root
  serve
  exit
fi

if [ "${TARE_GUEST:-}" != overlaid ]; then
  applet mount -t tmpfs -o mode=755 guest /mnt
  applet mkdir /mnt/upper /mnt/work /mnt/root
  applet insmod "$modules/overlay.ko"
  applet mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work guest /mnt/root
  pseudo_file_systems /mnt/root
  # What lies below a directory that is a fresh tmpfs now, and is to be seen as this machine does.
  # Their names are separated by colons, which no overlay's layer can have in its name.
  number=0
  IFS=:
  for path in ${SHARED:-}; do
    number=$((number + 1))
    applet mkdir -p "/mnt/root$path" "/mnt/upper$number" "/mnt/work$number"
    applet mount -t overlay guest "/mnt/root$path" \
      -o "lowerdir=$path,upperdir=/mnt/upper$number,workdir=/mnt/work$number"
  done
  unset IFS
  cd /mnt/root
  export TARE_GUEST=overlaid
  applet pivot_root . mnt
  # shellcheck disable=SC2093
  exec /bin/busybox chroot . /bin/busybox sh "$0" "$@" </dev/console >/dev/console 2>&1
fi

applet umount -l /mnt
applet mkdir -p /run/lock
applet hostname guest
applet ip link set lo up
if [ -n "${SYSTEMD:-}" ]; then
  prepare_systemd "$0" "$modules"
  unset TARE_GUEST SHARED SYSTEMD
  exec /lib/systemd/systemd --unit=guest.target --log-target=console --log-level=warning \
    --show-status=no
fi
unset TARE_GUEST SHARED
export HOME=/root
# A process cannot stay in a cgroup whose controllers are to be enabled for its children.
applet mkdir /sys/fs/cgroup/guest
echo 0 >/sys/fs/cgroup/guest/cgroup.procs
read -r controllers </sys/fs/cgroup/cgroup.controllers
for controller in $controllers; do
  echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
serve

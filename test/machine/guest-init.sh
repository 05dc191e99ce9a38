#!/bin/busybox sh
# The guest's init. The kernel starts it on this machine's own root file system, which it has
# mounted read-only over virtiofs:  busybox sh guest-init.sh MODULES
# It lays a tmpfs over that root, mounts the usual file systems of Linux, and then runs the commands
# that arrive on a virtio port, one line each: a marker and a script in base64. Standard output and
# error have a port each; the marker and, on the first, the exit status follow the command's last
# byte. With SYSTEMD in its environment it executes systemd instead, which runs this loop as a
# service.
#
# All programs are applets of one static busybox: under emulation a dynamic program takes three
# times as long to start.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
modules=$1
# For suites that load further modules.
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
  # The names of the ports contain the number of their virtio device.
  ports=$(echo /dev/vport*p1)
  ports=${ports%1}
  [ -c "${ports}4" ]
  exec 3<>"${ports}1" 4>"${ports}2" 5>"${ports}3"
  # Echoes lines, to tell a hanging guest from a slow command.
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

# Prepares systemd as the guest's init: it starts the loop above as a service, and a message bus.
# Nothing else of this machine's configuration may run.
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
  # Directories below one that is a new tmpfs now; the guest has to see them as this machine does.
  # Colons separate their names, because the name of an overlay's layer cannot contain one.
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
# The kernel enables controllers for a cgroup's children only if the cgroup has no processes itself.
applet mkdir /sys/fs/cgroup/guest
echo 0 >/sys/fs/cgroup/guest/cgroup.procs
read -r controllers </sys/fs/cgroup/cgroup.controllers
for controller in $controllers; do
  echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
serve

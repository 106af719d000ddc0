#!/bin/sh
# Starts a systemd as process 1 of namespaces of its own, for the tests: its arguments are a cgroup (a new directory in a cgroup2
# file system) and a directory that it is to see as /run/site, which holds the units in units/ and what it is to see in /usr/sbin and /etc.
#   setsid sh systemd-in-namespaces.sh CGROUP DIRECTORY &
# The child of this process is the systemd: nsenter -t PID -m -p -C -u -i gets in, and killing it ends all that runs in it.
set -eu

case ${3-} in
'')
	mkdir -p "$1"
	echo $$ >"$1/cgroup.procs"
	exec unshare --fork --kill-child --pid --mount --mount-proc --cgroup --uts --ipc sh "$0" "$1" "$2" inside
	;;
esac

# Nothing of this may reach the machine: systemd-tmpfiles, for one, empties the /tmp that it sees.
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/site /run/systemd/system /run/systemd/journald.conf.d /run/lock
mount --bind "$2" /run/site
for d in /tmp /var/tmp /var/log /var/lib /var/cache; do
	mount -t tmpfs tmpfs $d
done
chmod 1777 /tmp /var/tmp
[ -z "$(ls -A /tmp)" ]
# Also where cgroup2 is mounted elsewhere: systemd takes over what it finds at /sys/fs/cgroup.
mount -t cgroup2 none /sys/fs/cgroup
cp -r /run/site/units/. /run/systemd/system/
mount -t overlay -o lowerdir=/run/site/sbin:/usr/sbin none /usr/sbin
mount -t overlay -o lowerdir=/run/site/etc:/etc none /etc
# A service waits for sysinit.target, which would set the machine's sysctls, load modules and mount what is in fstab.
for d in /lib/systemd/system-generators /lib/systemd/system/*.wants /etc/systemd/system/*.wants; do
	[ ! -d "$d" ] || mount -t tmpfs tmpfs "$d"
done
printf '[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nForwardToWall=no\n' >/run/systemd/journald.conf.d/test.conf
cat >/run/systemd/system/test.target <<'UNIT'
[Unit]
DefaultDependencies=no
Wants=systemd-journald.service
UNIT
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=docker /lib/systemd/systemd \
	--unit=test.target --log-target=journal --log-level=info --show-status=no

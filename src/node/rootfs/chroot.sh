#!/bin/sh
# chroot.sh ROOT HOST PATHS COMMAND [ARGUMENT...]
# Runs COMMAND inside the tree ROOT. To be started in mount and pid namespaces of its own: the mounts end with them, and
# nothing of them is ever seen in, or written to, the tree. HOST (a directory) appears as /tmp/host; PATHS (a file with
# one absolute path per line) names files of this machine that appear below /tmp/host/paths.
set -eu
root=$1 host=$2 paths=$3
shift 3
umask 022

mount -t proc proc "$root/proc"

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom; do
	: >"$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"

mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/tmp/host"
mount --bind "$host" "$root/tmp/host"
while IFS= read -r path; do
	target="$root/tmp/host/paths$path"
	if [ -d "$path" ]; then
		mkdir -p "$target"
	else
		mkdir -p "${target%/*}"
		: >"$target"
	fi
	mount --bind "$path" "$target"
done <"$paths"

mount --bind "$host/resolv.conf" "$root/etc/resolv.conf"
mount --bind "$host/hosts" "$root/etc/hosts"

exec chroot "$root" "$@"

#!/bin/sh
# The first process of a simulated host, in namespaces of its own: sh host.sh FOLDER NAME SHARED [TREE]
# Gives the host its name, its network and its own /dev, /run, /var and /etc/libvirt, all in FOLDER;
# SHARED stays visible. With a TREE the host lives in there, and the machine's own files are not to be
# seen. Prints its process id, as the outside sees it, when all is in place, then reaps what the host
# leaves behind, until it is killed and takes everything in the host with it.
set -eu
folder=$1 name=$2 shared=$3 tree=${4:-}

read -r pid _ </proc/self/stat
mount -t proc proc /proc
if [ -n "$tree" ]; then
    mount --rbind /proc "$tree/proc"
    mount --rbind /sys "$tree/sys"
    mount -t tmpfs tmpfs "$tree/tmp"
fi
hostname "$name"

# A bridge for the guests, with an address: SPICE takes no host that has none but the loopback's.
ip link set lo up
ip link add br-int type bridge
ip address add 192.0.2.1/24 dev br-int
ip link set br-int up

# /dev has no kvm: where root can open it and QEMU's user cannot, libvirt throws its knowledge of
# QEMU away at every look-up.
mount -t tmpfs tmpfs "$folder/dev"
mkdir "$folder/dev/net" "$folder/dev/pts" "$folder/dev/shm"
for device in null zero full random urandom tty net/tun; do
    [ -e "/dev/$device" ] || continue
    touch "$folder/dev/$device"
    mount --bind "/dev/$device" "$folder/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$folder/dev/pts"
ln -s pts/ptmx "$folder/dev/ptmx"
ln -s /proc/self/fd "$folder/dev/fd"

# Debian's libvirtd does not start without these accounts, and only its service package makes them.
for file in passwd group; do
    cp "/etc/$file" "$folder/etc/$file"
done
echo "libvirt-qemu:x:0:0::/:/bin/false" >>"$folder/etc/passwd"
printf '%s:x:0:\n' libvirt-qemu kvm >>"$folder/etc/group"

case $tree$shared in
    /var/* | /run/*)
        mkdir -p "$folder$shared"
        mount --rbind "$shared" "$folder$shared"
        ;;
esac
for place in etc/passwd etc/group etc/libvirt dev run var; do
    mount --rbind "$folder/$place" "$tree/$place"
done

reap='echo "$0"; sleep infinity & wait'
[ -z "$tree" ] || exec chroot "$tree" /bin/sh -c "$reap" "$pid"
exec sh -c "$reap" "$pid"

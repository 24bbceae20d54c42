#!/bin/busybox sh
# The first process of the micro guest. "agent=real" on the kernel's command line runs Debian's
# guest agent; "agent=relay" gives the agent's port to whoever is at the host's end of another.
/bin/busybox --install -s /bin
mkdir -p /proc /sys /run /tmp /var
ln -s /run /var/run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "$module" || echo "init: no $module"
done </modules.list

ln -s /bin/udevadm /bin/systemd-udevd
systemd-udevd --daemon
# Of the hundreds of devices only those that need a name: the others take most of the time of a boot.
udevadm trigger --action=add --subsystem-match=block --subsystem-match=net \
    --subsystem-match=virtio-ports
udevadm settle

# The power button, and what the agent runs when it is told to shut down.
mkdir -p /etc/acpi/PWRF /sbin
printf '#!/bin/sh\npoweroff -f\n' | tee /etc/acpi/PWRF/00000080 >/sbin/shutdown
chmod +x /etc/acpi/PWRF/00000080 /sbin/shutdown
acpid -l /run/acpid.log -p /run/acpid.pid

agent=/dev/virtio-ports/org.qemu.guest_agent.0
case $(cat /proc/cmdline) in
    *agent=relay*)
        # Who comes to the other port says so with a line; when he goes, the agent is gone too.
        # A port whose other end nobody holds yet reads as ended.
        exec 4<>/dev/virtio-ports/novadev.relay
        while :; do
            until read -r hello <&4; do sleep 0.05; done
            exec 3<>$agent
            touch /tmp/here
            while [ -e /tmp/here ]; do cat <&3 >&4; sleep 0.05; done &
            cat <&4 >&3
            rm /tmp/here
            while kill -0 $!; do killall cat; sleep 0.05; done
            exec 3>&-
        done 2>/dev/null &
        ;;
    *)
        qemu-ga --method=virtio-serial --path=$agent --statedir=/run --daemonize
        ;;
esac
echo "init: ready"
while :; do sleep 3600; done

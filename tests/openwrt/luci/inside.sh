#!/bin/sh
# Runs as PID 1 of namespaces of its own (mounts, network, processes, host name, IPC), and makes a router of them that has
# LuCI. It says READY when that answers, and lives until its standard input is closed. luci_lab.py starts it, with:
#   LUCI_ROOT  the folder that is laid over /        STATE  the folder shared with the test: config/, log/, extra.json
#   HERE       the folder of stubs.uc, stubs.json    APPS   trees of applications (htdocs/, root/), one a line
#   SERVICES   init scripts to enable and start      BINDS  folders that are seen as they are, one a line
set -e

W=$STATE/ns
mkdir -p "$W" "$STATE/config" "$STATE/log"
mount -t tmpfs -o mode=755,size=256m luci "$W"
R=$W/root
U=$W/up
mkdir "$R" "$U" "$W/work"
mount -t tmpfs -o mode=755,size=256m luci-root "$R"

# /usr, /etc and /var: overlays with the machine's below. LUCI_ROOT's are copied into the upper layer, as a lower layer must
# not lie inside another. One overlay for all of / is not allowed in a user namespace, because of the mounts below it.
for d in usr etc var; do
	mkdir "$U/$d" "$W/work/$d" "$R/$d"
	[ ! -d "$LUCI_ROOT/$d" ] || cp -dR --preserve=mode,timestamps "$LUCI_ROOT/$d/." "$U/$d/"
done
mkdir -p "$U/usr/libexec/luci-lab"
cp "$HERE/stubs.uc" "$HERE/stubs.json" "$U/usr/libexec/luci-lab/"
for d in usr etc var; do
	mount -t overlay overlay -o "lowerdir=/$d,upperdir=$U/$d,workdir=$W/work/$d" "$R/$d"
done
cp -dR --preserve=mode,timestamps "$LUCI_ROOT/www" "$R/www"

# The rest of /: own proc, sys, dev, run and tmp; the other folders are the machine's, and cannot be written.
for d in /*; do
	n=${d#/}
	if [ -L "$d" ]; then
		cp -d "$d" "$R/$n"
		continue
	fi
	case $n in
	usr | etc | var | www | lost+found) ;;
	proc | sys | dev | run | tmp) mkdir "$R/$n" ;;
	*)
		if [ -d "$d" ]; then
			mkdir "$R/$n"
			mount --rbind "$d" "$R/$n"
			mount -o remount,bind,ro "$R/$n" 2>/dev/null || :
		fi
		;;
	esac
done
cd "$R"
mkdir .old

# The machine's init scripts are not the router's.
mkdir -p etc/init.d etc/rc.d
for d in etc/init.d etc/rc.d; do mount -t tmpfs -o mode=755 init "$d"; done
printf '%s\n' "$APPS" | while read -r a; do
	[ -n "$a" ] || continue
	[ ! -d "$a/htdocs" ] || cp -dR --preserve=mode,timestamps "$a/htdocs/." www/
	[ ! -d "$a/root" ] || tar -C "$a/root" -c . | tar -x --no-same-owner --keep-directory-symlink -C "$R"
done

# /etc/config is a folder that the test reads and writes; what it has put there comes before what the trees bring.
mkdir -p etc/config
for f in etc/config/*; do
	[ -e "$STATE/config/${f##*/}" ] || cp -dR --preserve=mode,timestamps "$f" "$STATE/config/"
done

pivot_root . .old
cd /
mount -t proc proc /proc 2>/dev/null || mount --rbind /.old/proc /proc
mount -t sysfs -o ro sysfs /sys 2>/dev/null || mount --rbind /.old/sys /sys
mount -t tmpfs -o mode=755 dev /dev
for d in null zero full random urandom tty; do
	: >/dev/$d
	mount --bind /.old/dev/$d /dev/$d
done
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mkdir /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
if mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /dev/pts 2>/dev/null; then ln -s pts/ptmx /dev/ptmx; fi
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mkdir -p /run/lock /run/ubus /var/run/rpcd /tmp/sysinfo /var/lock /tmp/run /tmp/state
echo "Test Router" >/tmp/sysinfo/model
echo "test,router" >/tmp/sysinfo/board_name
printf '%s\n' "$STATE" "$BINDS" | while read -r b; do
	[ -n "$b" ] || continue
	mkdir -p "$b"
	mount --rbind "/.old$b" "$b"
done
mount --bind "$STATE/config" /etc/config
umount -l /.old
rmdir /.old 2>/dev/null || :
ip link set lo up
hostname OpenWrt 2>/dev/null || :

# wait_for COMMAND...: until it succeeds, twenty seconds at the most
wait_for() {
	for _ in $(seq 1000); do
		"$@" && return
		sleep 0.02
	done
}

has_web_server() {
	grep -q ":0050 .* 0A " /proc/net/tcp
}

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
unset LD_LIBRARY_PATH PYTHONPATH
LOG=$STATE/log
ubus_answers() {
	ubus list >/dev/null 2>&1
}
ubusd >"$LOG/ubusd" 2>&1 &
wait_for ubus_answers # its socket is there before it listens
procd -S >"$LOG/procd" 2>&1 & # the real one, though not PID 1: only its objects `service` and `system`
logd -S 128 >"$LOG/logd" 2>&1 &
ubus -t 20 wait_for system service log
ucode /usr/libexec/luci-lab/stubs.uc "$LOG/events" /usr/libexec/luci-lab/stubs.json "$STATE/extra.json" >"$LOG/stubs" 2>&1 &
rpcd >"$LOG/rpcd" 2>&1 &
ubus -t 20 wait_for session uci file luci luci-rpc network.interface
for s in $SERVICES; do
	"/etc/init.d/$s" enable
	"/etc/init.d/$s" start >"$LOG/service-$s" 2>&1 || :
done
uhttpd -f -h /www -r OpenWrt -x /cgi-bin -o /cgi-bin/luci -O /usr/share/ucode/luci/uhttpd.uc -u /ubus -t 60 -T 30 -k 20 -A 1 \
	-n 3 -N 100 -R -p 127.0.0.1:80 >"$LOG/uhttpd" 2>&1 &
wait_for has_web_server
echo READY
cat >/dev/null # until the test closes our input, or ends; the end of PID 1 ends everything in here

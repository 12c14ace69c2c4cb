#!/bin/sh
# try.sh: the package of dist/ on a Debian 12 that has nothing else: installed, its unit's command line run,
# removed without a trace. Run as root; needs debootstrap.
set -eu
cd "$(dirname "$0")/.."
deb=$(ls -t dist/starttls_*.deb | head -n 1)
root=$(mktemp -d)
chmod 755 "$root"
pid=
finish() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  umount "$root/proc" 2>/dev/null || true
  rm -rf "$root"
}
trap finish EXIT
say() { echo "try: $*"; }
in_root() { chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }

# The mirror that this machine has bookworm from.
mirror=$(apt-cache policy | sed -n 's,.* \(https\?://[^ ]*\) bookworm/main .*,\1,p' | head -n 1)
say "a clean root"
debootstrap --variant=minbase --include=adduser,man-db bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"
mount -t proc none "$root/proc"
# Without what changes by itself, and the backups and the lock of adduser.
files() { (cd "$root" && find . -xdev -path ./proc -prune -o -path ./var/log -prune -o -path ./var/cache -prune -o -path ./var/lib/dpkg -prune -o -path ./var/backups -prune -o -path './etc/*-' -prune -o -path ./run/adduser -prune -o -print | sort); }
files >"$root/../before.$$"

say "install"
cp "$deb" "$root/package.deb"
in_root dpkg -i /package.deb
rm "$root/package.deb"
in_root starttls version
in_root man -w starttls-gateway >/dev/null
in_root bash -n /usr/share/bash-completion/completions/starttls
cp packaging/starttls.toml "$root/etc/starttls/starttls.toml"

if command -v systemd-analyze >/dev/null; then
  say "what the units leave open"
  for unit in gateway:16 policy:11; do # as docs/operations.md has it, in tenths
    systemd-analyze security --offline=true --threshold="${unit#*:}" "$root/usr/lib/systemd/system/starttls-${unit%:*}.service" >"$root/../out.$$" ||
      { cat "$root/../out.$$" >&2; exit 1; }
  done
fi

say "the unit's command line, as its user"
line=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/starttls-gateway.service")
check=$(sed -n 's/^ExecStartPre=//p' "$root/usr/lib/systemd/system/starttls-gateway.service")
mkdir -p "$root/var/lib/starttls"
in_root chown starttls: /var/lib/starttls
# shellcheck disable=SC2086 # command lines, meant to be split
in_root setpriv --reuid=starttls --regid=starttls --clear-groups env STATE_DIRECTORY=/var/lib/starttls $check
# shellcheck disable=SC2086
chroot "$root" setpriv --reuid=starttls --regid=starttls --clear-groups env STATE_DIRECTORY=/var/lib/starttls $line >"$root/../out.$$" 2>&1 &
pid=$!
for _ in $(seq 100); do
  grep -q '^status ' "$root/../out.$$" && break
  kill -0 "$pid" || { cat "$root/../out.$$" >&2; exit 1; }
  sleep 0.1
done
grep '^listening' "$root/../out.$$"
kill "$pid"
wait "$pid"
pid=

say "purge"
in_root dpkg -P starttls
files >"$root/../after.$$"
diff "$root/../before.$$" "$root/../after.$$" || { say "something is left" >&2; exit 1; }
rm -f "$root/../before.$$" "$root/../after.$$" "$root/../out.$$"
say "nothing is left"

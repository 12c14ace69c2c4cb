#!/bin/sh
# build.sh: the Debian package, from the tree as it is, into dist/. The same tree makes the same bytes: the
# times in it are that of the last commit, and the program is built without paths.
#
#   VERSION   of the package (default: from git, or 0 and the time of the commit)
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
VERSION=${VERSION:-0.$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d.%H%M%S)}
ARCH=$($GO env GOARCH)
export SOURCE_DATE_EPOCH CGO_ENABLED=0 LC_ALL=C

out=dist
root=$out/root
rm -rf "$root"
umask 022
mkdir -p "$root/usr/bin" "$root/usr/share/man/man1" "$root/usr/share/doc/starttls/examples" "$root/usr/lib/systemd/system" \
  "$root/usr/lib/sysusers.d" "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
  "$root/usr/share/fish/vendor_completions.d" "$root/etc/starttls" "$root/DEBIAN"

$GO build -trimpath -buildvcs=false -ldflags "-s -w -X starttls/internal/cli.Version=$VERSION" -o "$root/usr/bin/starttls" ./cmd/starttls
$GO run ./packaging/man "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
"$root/usr/bin/starttls" completion bash >"$root/usr/share/bash-completion/completions/starttls"
"$root/usr/bin/starttls" completion zsh >"$root/usr/share/zsh/vendor-completions/_starttls"
"$root/usr/bin/starttls" completion fish >"$root/usr/share/fish/vendor_completions.d/starttls.fish"
cp packaging/systemd/* "$root/usr/lib/systemd/system/"
cp packaging/starttls.toml "$root/usr/share/doc/starttls/examples/"
cp README.md "$root/usr/share/doc/starttls/"
cp -r docs "$root/usr/share/doc/starttls/" # as in the tree, so that the links lead somewhere
cp packaging/copyright "$root/usr/share/doc/starttls/copyright"
echo 'u starttls - "starttls" /var/lib/starttls' >"$root/usr/lib/sysusers.d/starttls.conf"
for script in postinst prerm postrm; do
  cp "packaging/debian/$script" "$root/DEBIAN/$script"
  chmod 755 "$root/DEBIAN/$script"
done
cat >"$root/DEBIAN/control" <<CONTROL
Package: starttls
Version: $VERSION
Architecture: $ARCH
Maintainer: starttls <root@localhost>
Section: mail
Priority: optional
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: adduser
Recommends: ca-certificates
Description: TLS on protocols that were born without it
 STARTTLS in front of servers that cannot do TLS and behind clients that
 cannot, for SMTP, IMAP, POP3, LDAP, FTP, XMPP, PostgreSQL, MySQL and more
 than a dozen other protocols; DANE and MTA-STS for Postfix and for its own
 gateway; a checker that says what holds.
CONTROL
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/starttls_${VERSION}_$ARCH.deb"

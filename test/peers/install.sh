#!/bin/sh
# install.sh: put the real servers and clients that the tests talk to on this
# machine. Made for Debian 12, run as root. It starts no daemon (those that
# Debian enables would start at the next boot), and adds only what is missing,
# so it can run again at any time. Where it cannot install (not root, no apt) it
# says what is missing and exits 0: the tests then skip, visibly.
#
#   STARTTLS_PEERS   cache folder (default /var/tmp/starttls-peers)
#
# To add a peer: a line in PACKAGES; if its package conflicts with one of them,
# a line in UNPACK instead.
set -eu

# Installed by apt. The perl modules are what swaks loads for TLS, AUTH and MX,
# python3 has the client for news.
PACKAGES='
  postfix
  dovecot-imapd dovecot-pop3d dovecot-lmtpd dovecot-managesieved
  slapd ldap-utils
  postgresql
  mariadb-server mariadb-client
  stunnel4
  nginx libnginx-mod-mail
  swaks libnet-ssleay-perl libauthen-sasl-perl libnet-dns-perl
  gnutls-bin curl openssl
  msmtp s-nail isync fetchmail sieve-connect
  proftpd-core proftpd-mod-crypto lftp
  prosody ejabberd go-sendxmpp sendxmpp
  inspircd irssi
  nut-server nut-client libnss3-tools
  nats-server
  nbdkit libnbd-bin qemu-utils
  cups-daemon cups-client
  tigervnc-standalone-server tigervnc-viewer
  xrdp rdesktop
  freetds-bin
  nsd unbound ldnsutils bind9-dnsutils
  knot
  postfix-mta-sts-resolver
  m4
  testssl.sh nmap chromium
  python3
'

# Unpacked below the cache folder, because the package conflicts with one above,
# or (inn2) cannot be set up on a machine without a domain. One line each:  NAME  PACKAGE[,PACKAGE]  PROGRAM-IN-IT  [ACCOUNT-IT-RUNS-AS]
UNPACK='
  exim4   exim4-daemon-heavy  usr/sbin/exim4  Debian-exim
  sendmail  sendmail-bin,sendmail-base,sendmail-cf  usr/libexec/sendmail/sendmail  smmsp
  vsftpd  vsftpd              usr/sbin/vsftpd
  inn2    inn2,inn2-inews     usr/lib/news/bin/nnrpd
  opensmtpd  opensmtpd,libevent-2.1-7  usr/sbin/smtpd
  cyrus   cyrus-imapd,cyrus-pop3d,cyrus-nntpd,cyrus-common,sasl2-bin  usr/lib/cyrus/bin/master  cyrus
  rabbitmq  rabbitmq-server,erlang-eldap,erlang-parsetools  usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server
'

# What the tests run: told to those whose machine has no dpkg.
PROGRAMS='postfix dovecot slapd ldapsearch postgres mariadbd mariadb stunnel4
  nginx swaks gnutls-cli curl openssl msmtp s-nail mbsync fetchmail
  sieve-connect proftpd lftp prosody erl go-sendxmpp sendxmpp inspircd irssi upsc
  certutil nats-server nbdkit nbdinfo qemu-nbd cupsd lpstat Xtigervnc
  xtigervncviewer xrdp rdesktop tsql knotd mta-sts-daemon testssl nmap chromium python3'

# Answers that keep a package from asking, or from setting up an instance.
PRESEED='
  postfix postfix/main_mailer_type select No configuration
  slapd slapd/no_configuration boolean true
'

CACHE=${STARTTLS_PEERS:-/var/tmp/starttls-peers}
LOG=$CACHE/install.log
refreshed=
POLICY=/usr/sbin/policy-rc.d
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH DEBIAN_FRONTEND=noninteractive LC_ALL=C

say() { echo "peers: $*"; }

# The end of the log is worth more than its name, but both are told.
fail() {
  say "$*; the end of $LOG:" >&2
  tail -n 20 "$LOG" >&2
  exit 1
}

# missing: which of PACKAGES are not installed, on one line.
missing() {
  # shellcheck disable=SC2086 # a list, meant to be split
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' $PACKAGES 2>/dev/null |
    awk -v want="$(echo $PACKAGES)" '
      $1 == "installed" { have[$2] = 1 }
      END { n = split(want, w, " "); for (i = 1; i <= n; i++) if (!(w[i] in have)) printf "%s ", w[i] }'
}

# own_libraries ROOT: the folders with libraries that an unpacked program brings.
own_libraries() { find "$1/usr/lib" -name '*.so.*' -printf '%h:' 2>/dev/null; }

# missing_unpacked: which of UNPACK are not usable: no program, or one that
# lacks a library, or whose account is not there.
missing_unpacked() {
  echo "$UNPACK" | while read -r name _ program account; do
    [ -n "$name" ] || continue
    root=$CACHE/roots/$name
    [ -x "$root/$program" ] && ! LD_LIBRARY_PATH=$(own_libraries "$root") ldd "$root/$program" 2>&1 | grep -q 'not found' &&
      { [ -z "$account" ] || getent passwd "$account" >/dev/null; } || printf '%s ' "$name"
  done
}

missing_programs() {
  for p in $PROGRAMS; do
    command -v "$p" >/dev/null 2>&1 || printf '%s ' "$p"
  done
}

# apt_install PACKAGE...: install without recommends, without starting anything, and
# without ever removing or upgrading what is on the machine.
apt_install() {
  apt-get install -y -q --no-install-recommends --no-remove --no-upgrade \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@" >>"$LOG" 2>&1
}

# refresh: once is enough; false the next time.
refresh() {
  [ -z "$refreshed" ] || return
  refreshed=yes
  say "reading the package lists"
  apt-get update -q -o DPkg::Lock::Timeout=300 >>"$LOG" 2>&1 || fail "apt-get update failed"
}

# known PACKAGE...: have the lists name them; on a new machine there are none.
known() {
  apt-cache show --no-all-versions "$@" >/dev/null 2>&1 || refresh || true
}

# install PACKAGE...: lists that are out of date get a refresh too.
install() {
  known "$@"
  apt_install "$@" || { refresh && apt_install "$@"; } || fail "apt-get install failed"
}

# hold_daemons: refuse service starts while packages are set up. A policy that
# is there already is the machine's own and stays.
hold_daemons() {
  [ -e "$POLICY" ] && return
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
  trap 'rm -f "$POLICY"' EXIT
  trap 'exit 1' HUP INT TERM
}

# libraries DEB...: the shared libraries these packages depend on (the perl
# modules are for programs that no test runs).
libraries() {
  for deb; do dpkg-deb -f "$deb" Depends; done |
    tr ',' '\n' | sed 's/[|(].*//; s/ //g' | grep '^lib' | grep -v -e '-perl$' | sort -u
}

# unpack NAME PACKAGES PROGRAM ACCOUNT: make roots/NAME in one step (the folder
# appears when it is whole), then its libraries and its account.
unpack() {
  new=$CACHE/roots/.$1.$$
  rm -rf "$new" && mkdir -p "$new/debs"
  packages=$(echo "$2" | tr ',' ' ')
  # shellcheck disable=SC2086
  known $packages
  # shellcheck disable=SC2086
  (cd "$new/debs" && chmod 777 . && apt-get download -q $packages >>"$LOG" 2>&1) ||
    fail "cannot download $packages"
  for deb in "$new"/debs/*.deb; do dpkg -x "$deb" "$new"; done
  # shellcheck disable=SC2046
  install $(libraries "$new"/debs/*.deb)
  [ -z "$4" ] || getent passwd "$4" >/dev/null ||
    useradd --system --user-group --home-dir "$CACHE" --no-create-home --shell /usr/sbin/nologin "$4"
  # Nothing setuid: the copy serves the tests alone, which start it as root.
  find "$new" -type f -perm /6000 -exec chmod ug-s {} +
  rm -rf "$new/debs" "${CACHE:?}/roots/$1"
  chmod 755 "$new" && mv "$new" "$CACHE/roots/$1"
}

# --- what is there, and may we change it? ---

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  lack=$(missing_programs)
  say "no apt on this machine; not found: ${lack:-nothing}"
  exit 0
fi

lack=$(missing)
lack_unpacked=$(missing_unpacked)
if [ -z "$lack$lack_unpacked" ]; then
  say "all there"
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  say "missing: $lack$lack_unpacked(run this script as root to install)"
  exit 0
fi

# Root is going to run programs from here, so nobody else may own the folder.
umask 022
mkdir -p "$CACHE/roots"
[ -z "$(find "$CACHE" -maxdepth 1 ! -user root)" ] || { say "$CACHE is not all root's" >&2; exit 1; }
: >"$LOG"
hold_daemons

if [ -n "$lack" ]; then
  say "installing $lack"
  echo "$PRESEED" | sed '/^ *$/d; s/^ *//' | debconf-set-selections >>"$LOG" 2>&1 || say "no debconf-set-selections"
  # shellcheck disable=SC2086
  install $lack
fi
for name in $lack_unpacked; do
  say "unpacking $name"
  # shellcheck disable=SC2046
  set -- $(echo "$UNPACK" | grep "^ *$name ")
  unpack "$1" "$2" "$3" "${4:-}"
done

left=$(missing)$(missing_unpacked)
[ -z "$left" ] || fail "still missing: $left"
say "done, log in $LOG"

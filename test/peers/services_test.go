package peers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"starttls/test/peers/peer"
)

// A service is one protocol of a running server, and the clear client that goes there through a
// gateway.
type service struct {
	name   string // of the server and the protocol, for subtests
	url    string
	log    string                       // the server's log
	client func(listen *gateway) client // real work, with the password where there is one
	done   string                       // what the client prints when that went well
	away   string                       // what it prints when the server cannot be reached
	lacks  string                       // how the log says that the server has no TLS
	seen   string                       // what the server logs when that work reaches it
}

func (s service) scheme() string { return s.url[:strings.Index(s.url, ":")] }

// option returns the URL with options, "tls=secure".
func (s service) option(options string) string { return s.url + "?" + options }

// reached reports whether work has reached the server.
func (s service) reached(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), s.seen)
}

const (
	smtpAway   = "421 4.3.2 Service not available"
	notOffered = "TLS is not offered"
)

// postfix is a Postfix that offers STARTTLS, or that has no TLS.
func postfix(t *testing.T, mode peer.Mode, cert peer.Pair) []service {
	p := peer.StartPostfix(t, peer.PostfixOptions{Cert: cert})
	s := service{
		name: "postfix", url: "smtp://" + p.StartTLS, log: p.Log, seen: "qmgr",
		client: func(g *gateway) client { return swaks(g.Addr, "through the gateway") },
		done:   "250 2.0.0 Ok: queued", away: smtpAway, lacks: notOffered,
	}
	if mode == peer.ModePlain {
		s.url = "smtp://" + p.Plain
	}
	return []service{s}
}

func exim(t *testing.T, cert peer.Pair) []service {
	e := peer.StartExim(t, peer.EximOptions{Cert: cert})
	return []service{{
		name: "exim", url: "smtp://" + e.StartTLS, log: e.Log, seen: "A=plain:joe",
		client: func(g *gateway) client {
			return swaks(g.Addr, "through the gateway", "--auth", "PLAIN", "--auth-user", peer.User, "--auth-password", peer.Password)
		},
		done: "235 Authentication succeeded", away: smtpAway, lacks: notOffered,
	}}
}

// dovecot has mail for joe from the start.
func dovecot(t *testing.T, pki *peer.PKI, mode peer.Mode, cert peer.Pair) []service {
	d := peer.StartDovecot(t, peer.DovecotOptions{Mode: mode, Cert: cert})
	swaks(d.LMTP, "stored", "--protocol", "LMTP").works(t, "Saved")
	arrived(t, d.Mail("joe"), "stored")
	return []service{{
		name: "imap", url: "imap://" + d.IMAP, log: d.Log, seen: "imap-login: Login: user=",
		client: func(g *gateway) client { return curl(pki, "imap://"+g.Host+"/INBOX/;MAILINDEX=1") },
		done:   "Subject: stored", away: "* BYE [UNAVAILABLE] Service not available", lacks: notOffered,
	}, {
		name: "pop3", url: "pop3://" + d.POP3, log: d.Log, seen: "pop3-login: Login: user=",
		client: func(g *gateway) client { return curl(pki, "pop3://"+g.Host+"/1") },
		done:   "Subject: stored", away: "-ERR [SYS/TEMP] Service not available", lacks: notOffered,
	}, {
		name: "lmtp", url: "lmtp://" + d.LMTP, log: d.Log, seen: "through the gateway",
		client: func(g *gateway) client { return swaks(g.Addr, "through the gateway", "--protocol", "LMTP") },
		done:   "Saved", away: smtpAway, lacks: notOffered,
	}}
}

func slapd(t *testing.T, pki *peer.PKI, mode peer.Mode, cert peer.Pair) []service {
	s := peer.StartSlapd(t, peer.SlapdOptions{Mode: mode, Cert: cert})
	return []service{{
		name: "slapd", url: "ldap://" + s.LDAP, log: s.Log, seen: " BIND ",
		client: func(g *gateway) client { return whoami(pki, "ldap://"+g.Addr) },
		done:   iAm, away: "Server is unavailable (52)", lacks: "refused",
	}}
}

func postgres(t *testing.T, pki *peer.PKI, mode peer.Mode, cert peer.Pair) []service {
	var all []service
	for _, auth := range []string{"scram-sha-256", "password"} {
		p := peer.StartPostgres(t, peer.PostgresOptions{Mode: mode, Cert: cert, Auth: auth})
		all = append(all, service{
			name: "postgres " + auth, url: "postgres://" + p.Addr, log: p.Log, seen: "connection authorized",
			client: func(g *gateway) client { return psql(pki, g.Addr, "sslmode=disable") },
			done:   "42", away: "FATAL:  the server cannot be reached", lacks: "refused",
		})
	}
	return all
}

func mysql(t *testing.T, pki *peer.PKI, mode peer.Mode, cert peer.Pair) []service {
	log := filepath.Join(pki.Dir, "queries")
	err := os.WriteFile(log, nil, 0o666)
	if err == nil {
		err = os.Chmod(log, 0o666) // the server is another user
	}
	if err != nil {
		t.Fatal(err)
	}
	m := peer.StartMariaDB(t, peer.MariaDBOptions{Mode: mode, Cert: cert,
		Settings: []string{"general-log=1", "general-log-file=" + log, "log-output=FILE"}})
	return []service{{
		name: "mariadb", url: "mysql://" + m.Addr, log: log, seen: "six by seven",
		client: func(g *gateway) client { return mariadb(pki, g.Addr, "--skip-ssl") },
		done:   "six by seven is 42", away: "ERROR 1053", lacks: notOffered,
	}}
}

// everything starts every server, with one certificate.
func everything(t *testing.T, pki *peer.PKI, mode peer.Mode, cert peer.Pair) []service {
	all := slices.Concat(postfix(t, mode, cert), dovecot(t, pki, mode, cert), slapd(t, pki, mode, cert),
		postgres(t, pki, mode, cert), mysql(t, pki, mode, cert))
	if mode == peer.ModeTLS {
		all = append(all, exim(t, cert)...)
	}
	return all
}

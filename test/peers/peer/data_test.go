package peer_test

import (
	"testing"

	"starttls/test/peers/peer"
)

func TestSlapd(t *testing.T) {
	search := func(url string, more ...string) []string {
		return append([]string{"-x", "-LLL", "-H", url, "-D", peer.LDAPUser, "-w", peer.Password,
			"-b", peer.LDAPBase, "uid=" + peer.User, "sn"}, more...)
	}
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			pki := peer.NewPKI(t)
			env := []string{"LDAPTLS_CACERT=" + pki.CAFile}
			s := peer.StartSlapd(t, peer.SlapdOptions{Mode: mode})
			addrs := []string{s.LDAP}
			if mode == peer.ModePlain {
				refused(t, env, "ldapsearch", append(search("ldap://"+s.LDAP), "-ZZ")...)
			} else {
				client(t, "sn: Doe", env, "ldapsearch", search("ldap://"+s.LDAP, "-ZZ")...)
				client(t, "sn: Doe", env, "ldapsearch", search("ldaps://"+s.LDAPS)...)
				upgrade(t, pki, s.LDAP, "ldap")
				addrs = append(addrs, s.LDAPS)
			}
			if mode == peer.ModeRequired {
				refused(t, env, "ldapsearch", search("ldap://"+s.LDAP)...)
			} else {
				client(t, "sn: Doe", env, "ldapsearch", search("ldap://"+s.LDAP)...)
			}
			return s.Log, addrs
		})
	}
}

// psql asks one question with the sslmode.
func psql(pki *peer.PKI, addr, sslmode string) (env, args []string) {
	env = []string{"PGPASSWORD=" + peer.Password, "PGSSLROOTCERT=" + pki.CAFile}
	return env, []string{"-Atc", "select 6*7", "host=127.0.0.1 port=" + portOf(addr) +
		" user=" + peer.User + " dbname=postgres sslmode=" + sslmode}
}

func TestPostgres(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			pki := peer.NewPKI(t)
			p := peer.StartPostgres(t, peer.PostgresOptions{Mode: mode})
			env, clear := psql(pki, p.Addr, "disable")
			_, upgraded := psql(pki, p.Addr, "verify-full")
			if mode == peer.ModePlain {
				refused(t, env, "psql", upgraded...)
			} else {
				client(t, "42", env, "psql", upgraded...)
				upgrade(t, pki, p.Addr, "postgres")
			}
			if mode == peer.ModeRequired {
				refused(t, env, "psql", clear...)
			} else {
				client(t, "42", env, "psql", clear...)
			}
			return p.Log, []string{p.Addr}
		})
	}
}

func TestMariaDB(t *testing.T) {
	for _, mode := range []peer.Mode{peer.ModeTLS, peer.ModePlain, peer.ModeRequired} {
		serve(t, mode.String(), func(t *testing.T) (string, []string) {
			pki := peer.NewPKI(t)
			m := peer.StartMariaDB(t, peer.MariaDBOptions{Mode: mode})
			ask := []string{"--no-defaults", "-h127.0.0.1", "-P" + portOf(m.Addr), "-u" + peer.User, "-p" + peer.Password, "-Nse", "select 6*7"}
			clear := append(ask, "--skip-ssl") // or Debian's client takes TLS where it is offered
			// Without the check of the name this client goes on in the clear
			// when the server knows no TLS, and says nothing.
			upgraded := append(ask, "--ssl", "--ssl-ca="+pki.CAFile, "--ssl-verify-server-cert")
			if mode == peer.ModePlain {
				refused(t, nil, "mariadb", upgraded...)
			} else {
				client(t, "42", nil, "mariadb", upgraded...)
				upgrade(t, pki, m.Addr, "mysql")
			}
			if mode == peer.ModeRequired {
				refused(t, nil, "mariadb", clear...)
			} else {
				client(t, "42", nil, "mariadb", clear...)
			}
			return m.Log, []string{m.Addr}
		})
	}
}

// stunnel in its two roles, back to back: clear psql, stunnel client, stunnel
// server, clear PostgreSQL.
func TestStunnel(t *testing.T) {
	pki := peer.NewPKI(t)
	db := peer.StartPostgres(t, peer.PostgresOptions{Mode: peer.ModePlain})
	serve(t, "both roles", func(t *testing.T) (string, []string) {
		front := peer.StartStunnel(t, peer.StunnelOptions{Protocol: "pgsql", Backend: db.Addr})
		upgrade(t, pki, front.Addr, "postgres")
		back := peer.StartStunnel(t, peer.StunnelOptions{Protocol: "pgsql", Backend: front.Addr,
			Client: true, CAFile: pki.CAFile, CheckHost: "localhost"})
		env, clear := psql(pki, back.Addr, "disable")
		client(t, "42", env, "psql", clear...)
		env, upgraded := psql(pki, front.Addr, "verify-full")
		client(t, "42", env, "psql", upgraded...)
		return front.Log, []string{front.Addr, back.Addr}
	})
	serve(t, "wrong name", func(t *testing.T) (string, []string) {
		front := peer.StartStunnel(t, peer.StunnelOptions{Protocol: "pgsql", Backend: db.Addr, Cert: pki.Other})
		back := peer.StartStunnel(t, peer.StunnelOptions{Protocol: "pgsql", Backend: front.Addr,
			Client: true, CAFile: pki.CAFile, CheckHost: "localhost"})
		env, clear := psql(pki, back.Addr, "disable")
		refused(t, env, "psql", clear...)
		return back.Log, []string{front.Addr, back.Addr}
	})
}

package peers

import (
	"testing"

	"starttls/test/peers/peer"
)

// TLS in front of servers that have none: directories and databases.

func TestSlapdGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	s := peer.StartSlapd(t, peer.SlapdOptions{Mode: peer.ModePlain})
	search := func(g *gateway, more ...string) client {
		c := cmd("ldapsearch", "-x", "-LLL", "-H", "ldap://"+g.Addr, "-D", peer.LDAPUser, "-w", peer.Password,
			"-b", peer.LDAPBase, "uid="+peer.User, "sn").with(more...)
		c.env = []string{"LDAPTLS_CACERT=" + pki.CAFile}
		return c
	}
	t.Run("offered", func(t *testing.T) {
		g := begin(t, pki, "ldap://127.0.0.1:0", "ldap://"+s.LDAP)
		upgrades(t, pki, g, "ldap", "ldap")
		search(g, "-ZZ").works(t, "sn: Doe")
		whoami(pki, "ldap://"+g.Addr, "-ZZ").works(t, iAm)
		search(g).works(t, "sn: Doe")
		cmd("ldapsearch", "-x", "-LLL", "-H", "ldap://"+g.Addr, "-b", "", "-s", "base", "supportedExtension").
			works(t, "1.3.6.1.4.1.1466.20037")
		g.logged("outcome=tls", "dialect=ldap")
		g.logged("outcome=clear", "dialect=ldap")
		g.quiet()
	})
	t.Run("demanded", func(t *testing.T) {
		g := begin(t, pki, "ldap://127.0.0.1:0?tls=encrypt", "ldap://"+s.LDAP)
		search(g, "-ZZ").works(t, "sn: Doe")
		search(g).fails(t, "ldap_bind: Confidentiality required (13)", "StartTLS first")
		g.logged("outcome=refused")
	})
	t.Run("from the first byte, on the same port", func(t *testing.T) {
		g := begin(t, pki, "ldap://127.0.0.1:0?tls=encrypt", "ldap://"+s.LDAP)
		openssl(pki, g.Addr, "").works(t, "Verification: OK")
		whoami(pki, "ldaps://"+g.Addr).works(t, iAm)
		g.quiet()
	})
}

func TestPostgresGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	p := peer.StartPostgres(t, peer.PostgresOptions{Mode: peer.ModePlain})
	t.Run("offered", func(t *testing.T) {
		g := begin(t, pki, "postgres://127.0.0.1:0", "postgres://"+p.Addr)
		upgrades(t, pki, g, "postgres", "postgres")
		for _, mode := range []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"} {
			psql(pki, g.Host, "sslmode="+mode).works(t, "42")
		}
		psql(pki, g.Host, "sslmode=prefer").with("-c", `\conninfo`).works(t, "SSL connection (protocol: TLSv1.3")
		psql(pki, g.Host, "sslmode=require channel_binding=require").fails(t, "channel binding")
		g.logged("outcome=clear", "dialect=postgres")
		g.quiet()
	})
	t.Run("demanded", func(t *testing.T) {
		g := begin(t, pki, "postgres://127.0.0.1:0?tls=encrypt", "postgres://"+p.Addr)
		psql(pki, g.Host, "sslmode=prefer").works(t, "42")
		psql(pki, g.Host, "sslmode=allow").works(t, "42")
		psql(pki, g.Host, "sslmode=verify-full").works(t, "42")
		psql(pki, g.Host, "sslmode=disable").fails(t, "FATAL:  TLS is required")
		g.logged("outcome=refused")
	})
	t.Run("from the first byte", func(t *testing.T) {
		g := begin(t, pki, "postgres://127.0.0.1:0?tls=encrypt", "postgres://"+p.Addr)
		openssl(pki, g.Addr, "").with("-alpn", "postgresql").works(t, "ALPN protocol: postgresql")
		out := openssl(pki, g.Addr, "").works(t, "Verification: OK")
		contains(t, out, "No ALPN negotiated")
		g.logged("without ALPN") // which is not served
	})
}

func TestMariaDBGetsTLSInFront(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	m := peer.StartMariaDB(t, peer.MariaDBOptions{Mode: peer.ModePlain})
	const inTLS, inClear = "Cipher in use is TLS_", "SSL:\t\t\tNot in use"
	t.Run("offered", func(t *testing.T) {
		g := begin(t, pki, "mysql://127.0.0.1:0", "mysql://"+m.Addr)
		upgrades(t, pki, g, "mysql", "")
		contains(t, mariadb(pki, g.Host, "--ssl").works(t, "six by seven is 42"), inTLS)
		contains(t, mariadb(pki, g.Host, "--ssl-verify-server-cert").works(t, "six by seven is 42"), inTLS)
		contains(t, mariadb(pki, g.Host, "--skip-ssl").works(t, "six by seven is 42"), inClear)
		mariadb(pki, g.Host, "--ssl", "-pwrong").fails(t, "ERROR 1045 (28000)", "Access denied for user 'joe'")
		g.logged("outcome=tls", "dialect=mysql")
		g.logged("outcome=clear", "dialect=mysql")
		g.quiet()
	})
	t.Run("demanded", func(t *testing.T) {
		g := begin(t, pki, "mysql://127.0.0.1:0?tls=encrypt", "mysql://"+m.Addr)
		mariadb(pki, g.Host, "--ssl-verify-server-cert").works(t, inTLS)
		mariadb(pki, g.Host, "--skip-ssl").fails(t, "ERROR 3159", "insecure transport are prohibited")
		g.logged("outcome=refused")
	})
}

// A password that MariaDB's client says inside TLS is sealed for a server in the clear that wants MySQL's
// full authentication, and said as it is for one inside TLS.
func TestMySQLFullAuthentication(t *testing.T) {
	t.Parallel()
	pki := peer.NewPKI(t)
	for _, tls := range []string{"none", "encrypt"} {
		t.Run(tls, func(t *testing.T) {
			g := begin(t, pki, "mysql://127.0.0.1:0", "mysql://"+peer.StartMySQL(t)+"?tls="+tls)
			for range 2 { // the second time the server knows the hash
				mariadbAsks(pki, g.Host, "select 42", "--ssl-verify-server-cert").works(t, "six by seven is 42")
			}
			mariadbAsks(pki, g.Host, "select 42", "--ssl", "-pwrong").fails(t, "Access denied")
			lacks(t, g.log.String(), peer.Password)
		})
	}
}

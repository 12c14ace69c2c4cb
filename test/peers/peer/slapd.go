package peer

import (
	"os"
	"strings"
	"syscall"
)

// The directory that StartSlapd serves. All passwords are Password.
const (
	LDAPBase  = "dc=example,dc=test"
	LDAPAdmin = "cn=admin,dc=example,dc=test"
	LDAPUser  = "uid=joe,ou=people,dc=example,dc=test"
)

// SlapdOptions are the choices for StartSlapd; the zero value is fine.
type SlapdOptions struct {
	Mode  Mode     // ModeRequired: operations before StartTLS get confidentialityRequired
	Cert  Pair     // if zero, the PKI's server certificate
	Extra []string // further global lines of slapd.conf
}

// Slapd is a running LDAP server (OpenLDAP).
//
// For its clients: libldap takes the name localhost for the machine's own name
// when it checks a certificate, so say 127.0.0.1.
type Slapd struct {
	LDAP  string
	LDAPS string // "" in ModePlain
	Log   string
}

// StartSlapd starts an LDAP server with one small tree.
func StartSlapd(t T, o SlapdOptions) *Slapd {
	t.Helper()
	in := begin(t, "slapd", "slapd", "slapadd")
	a := in.addrs(2)
	s := &Slapd{LDAP: a[0], LDAPS: a[1], Log: in.log}
	urls := "ldap://" + s.LDAP
	if o.Mode == ModePlain {
		s.LDAPS, a = "", a[:1]
	} else {
		urls += " ldaps://" + s.LDAPS
	}
	in.mkdir("db", 0o700, account{os.Geteuid(), os.Getegid()})
	conf := in.write("slapd.conf", slapdConf(in, o)...)
	ldif := in.write("tree.ldif", slapdTree)
	in.run(in.command("slapadd", "-q", "-f", conf, "-l", ldif))
	// -d keeps it in the foreground, logging to standard error.
	in.start(in.command("slapd", "-f", conf, "-h", urls, "-d", "stats"), syscall.SIGTERM, a...)
	return s
}

func slapdConf(in *instance, o SlapdOptions) []string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	conf := []string{
		"include /etc/ldap/schema/core.schema",
		"include /etc/ldap/schema/cosine.schema",
		"include /etc/ldap/schema/inetorgperson.schema",
		"pidfile " + in.path("pid"),
		"argsfile " + in.path("args"),
		"modulepath /usr/lib/ldap",
		"moduleload back_mdb",
	}
	if o.Mode != ModePlain {
		conf = append(conf,
			"TLSCertificateFile "+cert.CertFile,
			"TLSCertificateKeyFile "+cert.KeyFile,
			"TLSVerifyClient never")
	}
	if o.Mode == ModeRequired {
		conf = append(conf, "security tls=1")
	}
	conf = append(conf, o.Extra...)
	return append(conf,
		"database mdb",
		"suffix "+LDAPBase,
		"rootdn "+LDAPAdmin,
		"rootpw "+Password,
		"directory "+in.path("db"),
		"maxsize 16777216",
		"dbnosync",
	)
}

var slapdTree = strings.Join([]string{
	"dn: " + LDAPBase,
	"objectClass: dcObject",
	"objectClass: organization",
	"o: Example",
	"dc: example",
	"",
	"dn: ou=people," + LDAPBase,
	"objectClass: organizationalUnit",
	"ou: people",
	"",
	"dn: " + LDAPUser,
	"objectClass: inetOrgPerson",
	"uid: " + User,
	"cn: Joe",
	"sn: Doe",
	"userPassword: " + Password,
}, "\n")

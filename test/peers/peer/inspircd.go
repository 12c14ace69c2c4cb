package peer

import (
	"crypto/rand"
	"syscall"
)

// InspIRCdOptions are the choices for StartInspIRCd; the zero value is fine.
type InspIRCdOptions struct {
	Mode  Mode     // ModeRequired lets nobody in who has not asked for TLS
	Cert  Pair     // if zero, the PKI's server certificate
	Extra []string // further lines of the configuration
}

// InspIRCd is a running IRC server. It says nothing before the client does.
type InspIRCd struct {
	Addr string
	Log  string
}

// StartInspIRCd starts an IRC server.
func StartInspIRCd(t T, o InspIRCdOptions) *InspIRCd {
	t.Helper()
	in := begin(t, "inspircd", "inspircd")
	i := &InspIRCd{Addr: in.addrs(1)[0], Log: in.path("ircd.log")}
	in.logs = []string{i.Log}
	conf := in.write("inspircd.conf", inspircdConf(in, i, o)...)
	cmd := in.command("inspircd", "--nofork", "--runasroot", "--config="+conf)
	in.start(cmd, syscall.SIGTERM, i.Addr)
	return i
}

func inspircdConf(in *instance, i *InspIRCd, o InspIRCdOptions) []string {
	in.t.Helper()
	// Without its own name looked up a client is not greeted with a notice, at
	// which s_client gives up.
	const connect = `<connect allow="*" resolvehostnames="no" timeout="20" localmax="1000" globalmax="1000" `
	conf := []string{
		`<server name="irc.example.test" description="peer" network="peer">`,
		`<admin name="a" nick="a" email="a@example.test">`,
		`<bind address="127.0.0.1" port="` + port(i.Addr) + `" type="clients">`,
		`<dns server="127.0.0.1" timeout="1">`,
		`<performance nouserdns="yes">`,
		`<path datadir="` + in.dir + `" logdir="` + in.dir + `" runtimedir="` + in.dir + `">`,
		`<pid file="` + in.path("pid") + `">`,
		`<log method="file" type="*" level="default" target="` + i.Log + `">`,
		`<module name="cap">`,
	}
	if o.Mode != ModePlain {
		cert := o.Cert.or(in.t)
		conf = append(conf,
			`<module name="ssl_gnutls">`,
			`<module name="starttls">`,
			`<sslprofile name="peer" provider="gnutls" certfile="`+cert.CertFile+`" keyfile="`+cert.KeyFile+`" hash="sha256" priority="NORMAL">`,
			`<starttls sslprofile="peer">`)
	}
	if o.Mode == ModeRequired {
		// The class is chosen on arrival and again on registration. The second
		// is for the time between: nobody knows its password.
		conf = append(conf,
			`<module name="sslinfo">`,
			connect+`name="upgraded" requiressl="yes">`,
			connect+`name="waiting" password="`+rand.Text()+`">`)
	} else {
		conf = append(conf, connect+`name="all">`)
	}
	return append(conf, o.Extra...)
}

package peer

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// EjabberdOptions are the choices for StartEjabberd; the zero value is fine.
type EjabberdOptions struct {
	Mode   Mode
	Cert   Pair              // if zero, the PKI's server certificate
	Domain string            // if empty, XMPPDomain
	CAFile string            // whom ejabberd trusts about other servers; if empty, the test authority
	Routes map[string]string // where the servers of other domains are; there is no DNS in it
	Extra  []string          // further lines of ejabberd.yml
}

// Ejabberd is a running XMPP server with the account User of its domain. It
// sends a stream's header and its features in two segments.
type Ejabberd struct {
	Client string // for clients
	Server string // for servers
	Domain string
	Log    string
}

// StartEjabberd starts an XMPP server: a bare Erlang machine, with no name for
// others (so no epmd).
func StartEjabberd(t T, o EjabberdOptions) *Ejabberd {
	t.Helper()
	in := begin(t, "ejabberd", "erl")
	code, _ := filepath.Glob("/usr/lib/*/ejabberd-*/ebin")
	if len(code) == 0 {
		missing(t, "ejabberd")
	}
	if o.Domain == "" {
		o.Domain = XMPPDomain
	}
	if o.CAFile == "" {
		o.CAFile = NewPKI(t).CAFile
	}
	a := in.addrs(2)
	e := &Ejabberd{Client: a[0], Server: a[1], Domain: o.Domain, Log: in.path("ejabberd.log")}
	in.logs = []string{e.Log}
	conf := in.write("ejabberd.yml", ejabberdConf(in, e, o)...)
	cmd := in.command("erl", "-noinput", "+sbwt", "none", "+S", "1", "-pa", code[0],
		"-mnesia", "dir", `"`+in.path("mnesia")+`"`, "-eval", ejabberdStart(o))
	cmd.Env = environ("HOME="+in.dir, "EJABBERD_CONFIG_PATH="+conf, "EJABBERD_LOG_PATH="+e.Log,
		"ERL_LIBS="+filepath.Dir(filepath.Dir(code[0])),
		"ERL_INETRC="+in.write("inetrc", `{resolv_conf, ""}.`))
	in.start(cmd, syscall.SIGTERM, a...)
	in.awaitLog("peer: ready")
	return e
}

// ejabberdStart is the Erlang that puts the routes into the cache of the
// resolver (for a year), starts the server, and makes the account.
func ejabberdStart(o EjabberdOptions) string {
	var b strings.Builder
	for domain, addr := range o.Routes {
		fmt.Fprintf(&b, "inet_db:add_rr(\"_xmpp-server._tcp.%s\", in, srv, 31536000, {0, 0, %s, \"127.0.0.1\"}),\n", domain, port(addr))
	}
	fmt.Fprintf(&b, "{ok, _} = application:ensure_all_started(ejabberd),\n")
	fmt.Fprintf(&b, "ok = ejabberd_auth:try_register(<<%q>>, <<%q>>, <<%q>>),\n", User, o.Domain, Password)
	fmt.Fprintf(&b, "io:format(\"peer: ready~n\").")
	return b.String()
}

func ejabberdConf(in *instance, e *Ejabberd, o EjabberdOptions) []string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	conf := []string{
		`hosts: [ "` + o.Domain + `" ]`,
		"loglevel: info",
		`ca_file: "` + o.CAFile + `"`,
		"auth_method: internal",
		"disable_sasl_mechanisms: [ \"DIGEST-MD5\" ]", // Net::XMPP gets it wrong
		"s2s_use_starttls: " + [...]string{ModeTLS: "optional", ModePlain: "false", ModeRequired: "required"}[o.Mode],
		"acl: { local: { user_regexp: \"\" } }",
		"access_rules: { local: { allow: local }, c2s: { allow: all } }",
		"modules: { mod_roster: {}, mod_disco: {}, mod_ping: {}, mod_offline: {}, mod_s2s_dialback: {} }",
		"listen:",
		"  - port: " + port(e.Client),
		`    ip: "127.0.0.1"`,
		"    module: ejabberd_c2s",
		"    access: c2s",
		"    starttls: " + trueFalse(o.Mode != ModePlain),
		"    starttls_required: " + trueFalse(o.Mode == ModeRequired),
		"  - port: " + port(e.Server),
		`    ip: "127.0.0.1"`,
		"    module: ejabberd_s2s_in",
	}
	if o.Mode != ModePlain {
		conf = append(conf, `certfiles: [ "`+cert.CertFile+`", "`+cert.KeyFile+`" ]`)
	}
	return append(conf, o.Extra...)
}

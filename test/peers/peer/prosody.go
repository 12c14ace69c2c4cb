package peer

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// XMPPDomain is the domain of XMPP servers that are told no other; the test
// certificates are good for it.
const XMPPDomain = "xmpp.test"

// ProsodyOptions are the choices for StartProsody; the zero value is fine.
type ProsodyOptions struct {
	Mode   Mode
	Cert   Pair     // if zero, the PKI's server certificate
	Domain string   // if empty, XMPPDomain
	CAFile string   // whom Prosody trusts about other servers; if empty, the test authority
	Verify bool     // other servers must have a certificate that CAFile confirms; if not, dialback will do
	Extra  []string // further lines of the configuration
}

// Prosody is a running XMPP server with the account User of its domain.
type Prosody struct {
	Client string // for clients
	Server string // for servers
	Domain string
	Log    string
	in     *instance
}

// StartProsody starts an XMPP server. It finds the servers of other domains by
// Route alone.
func StartProsody(t T, o ProsodyOptions) *Prosody {
	t.Helper()
	in := begin(t, "prosody", "prosody")
	if o.Domain == "" {
		o.Domain = XMPPDomain
	}
	if o.CAFile == "" {
		o.CAFile = NewPKI(t).CAFile
	}
	a := in.addrs(2)
	p := &Prosody{Client: a[0], Server: a[1], Domain: o.Domain, Log: in.path("prosody.log"), in: in}
	in.logs = []string{p.Log}
	in.mkdir("routes", 0o755, account{os.Geteuid(), os.Getegid()})
	in.write("mod_static_routes.lua", prosodyRoutes)
	in.fatal(os.MkdirAll(p.data("accounts"), 0o755))
	in.fatal(os.WriteFile(p.data("accounts", User+".dat"), []byte(`return { ["password"] = "`+Password+`" };`), 0o644))
	conf := in.write("prosody.cfg.lua", prosodyConf(in, p, o)...)
	in.start(in.command("prosody", "--config", conf, "-F"), syscall.SIGTERM, a...)
	return p
}

// data is the path of a file that Prosody keeps for its domain.
func (p *Prosody) data(elem ...string) string {
	dir := strings.NewReplacer(".", "%2e", "-", "%2d").Replace(p.Domain)
	return p.in.path(append([]string{"data", dir}, elem...)...)
}

// Route says where the server of another domain is. There is no DNS in it.
func (p *Prosody) Route(t T, domain, addr string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		err = os.WriteFile(filepath.Join(p.in.path("routes"), domain), []byte(host+"\n"+port+"\n"), 0o644)
	}
	if err != nil {
		t.Fatalf("prosody: route to %s: %v", domain, err)
	}
}

// Messages returns, in Prosody's notation, what came for User while nobody was
// logged in. It is "" if nothing did.
func (p *Prosody) Messages() string {
	text, _ := os.ReadFile(p.data("offline", User+".list"))
	return string(text)
}

func prosodyConf(in *instance, p *Prosody, o ProsodyOptions) []string {
	in.t.Helper()
	cert := o.Cert.or(in.t)
	tls := map[Mode]string{ModeTLS: `"tls";`, ModeRequired: `"tls";`}[o.Mode]
	conf := []string{
		"run_as_root = true",
		`pidfile = "` + in.path("pid") + `"`,
		`data_path = "` + in.path("data") + `"`,
		`certificates = "` + in.dir + `"`, // the system's are not for us to read
		`plugin_paths = { "` + in.dir + `" }`,
		`static_routes = "` + in.path("routes") + `"`,
		`interfaces = { "127.0.0.1" }`,
		"c2s_ports = { " + port(p.Client) + " }",
		"s2s_ports = { " + port(p.Server) + " }",
		"c2s_direct_tls_ports = {}",
		"s2s_direct_tls_ports = {}",
		`modules_enabled = { "posix"; "roster"; "saslauth"; ` + tls + ` "dialback"; "disco"; "ping"; "offline"; "static_routes" }`,
		`modules_disabled = { "http" }`,
		`authentication = "internal_plain"`,
		"allow_unencrypted_plain_auth = true",
		"c2s_require_encryption = " + trueFalse(o.Mode == ModeRequired),
		"s2s_require_encryption = " + trueFalse(o.Mode == ModeRequired),
		"s2s_secure_auth = " + trueFalse(o.Verify),
		`log = { debug = "` + p.Log + `" }`,
	}
	if o.Mode != ModePlain {
		conf = append(conf, `ssl = { certificate = "`+cert.CertFile+`"; key = "`+cert.KeyFile+`"; cafile = "`+o.CAFile+`" }`)
	}
	conf = append(conf, o.Extra...)
	return append(conf, `VirtualHost "`+o.Domain+`"`)
}

// prosodyRoutes is a module of Prosody that looks servers up in a folder, a
// file for each domain, instead of in the DNS. It is read for each connection.
const prosodyRoutes = `
module:set_global();
local service = require "net.resolvers.service";
local manual = require "net.resolvers.manual";
local dir = module:get_option_string("static_routes");

function service.new(domain, name, conn_type, extra)
	local targets = {};
	local file = name == "xmpp-server" and io.open(dir .. "/" .. domain);
	if file then
		targets[1] = { "tcp4", file:read(), tonumber(file:read()), extra };
		file:close();
	end
	return manual.new(targets, conn_type, extra);
end
`

func trueFalse(yes bool) string {
	if yes {
		return "true"
	}
	return "false"
}

package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"starttls"
	"starttls/internal/config"
)

// samples are the files that the manual and the package give to copy.
var samples = []string{"../../docs/samples/*.toml", "../../packaging/starttls.toml"}

// readSamples reads them, by path.
func readSamples(t *testing.T) map[string]*config.File {
	t.Helper()
	all := make(map[string]*config.File)
	for _, pattern := range samples {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if all[path], err = config.Read(path, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(all) < 2 {
		t.Fatal("no samples")
	}
	return all
}

// commandLine is one of the gateway in a text that is indented.
var commandLine = regexp.MustCompile(`(?m)^(?:# )? {4}starttls gateway ('?[a-z-]+:.*)$`)

// TestSamplesSayWhatTheirLinesSay: the n-th command line in a sample is its n-th route, and each line of the
// README is in a sample.
func TestSamplesSayWhatTheirLinesSay(t *testing.T) {
	said := make(map[string]bool)
	for path, file := range readSamples(t) {
		text, _ := os.ReadFile(path)
		for i, line := range commandLine.FindAllSubmatch(text, -1) {
			said[string(line[1])] = true
			var f gatewayFlags
			fs := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
			f.add(fs)
			if err := fs.Parse(words(string(line[1]))); err != nil {
				t.Fatal(err)
			}
			meant, err := f.file(fs.Args())
			if err != nil {
				t.Fatal(err)
			}
			if got, want := gist(t, file, i), gist(t, meant, 0); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: its route says %+v, its line %+v", path, got, want)
			}
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := commandLine.FindAllSubmatch(readme, -1)
	if len(lines) == 0 {
		t.Fatal("no recipes")
	}
	for _, line := range lines {
		if !said[string(line[1])] {
			t.Errorf("no sample says %s", line[1])
		}
	}
}

// words are those of a command line without anything but single quotes.
func words(line string) (all []string) {
	for _, word := range regexp.MustCompile(`(?:'[^']*'|[^\s'])+`).FindAllString(line, -1) {
		all = append(all, strings.ReplaceAll(word, "'", ""))
	}
	return all
}

// A routeGist is what a command line and a file must both say of a route.
type routeGist struct {
	Listen, Balance, MinVersion string
	Servers, Certs, Allow       []string
	Backends                    map[string]string
}

func gist(t *testing.T, file *config.File, i int) routeGist {
	r := file.Routes[i]
	servers, err := r.Servers()
	if err != nil {
		t.Fatal(err)
	}
	g := routeGist{
		Listen: r.Listen, Balance: r.Balance, MinVersion: cmp.Or(r.MinVersion, file.TLS.MinVersion, "1.2"), Servers: servers,
		Allow: r.Allow, Backends: make(map[string]string),
	}
	for name, url := range r.Backends {
		g.Backends[name] = url
	}
	certs := r.Certificates
	if len(certs) == 0 {
		certs = file.TLS.Certificates
	}
	for _, c := range certs {
		g.Certs = append(g.Certs, filepath.Base(c.Cert), filepath.Base(cmp.Or(c.Key, c.Cert)))
	}
	return g
}

// TestSamplesServe: each sample starts, with addresses and files of this machine in place of those in it, and a
// client of each route gets through to the server behind: by the upgrade, where there is one.
func TestSamplesServe(t *testing.T) {
	for path, file := range readSamples(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			w := &sampleWorld{T: t, dir: t.TempDir()}
			outbound := w.move(file)
			s := w.service(file)
			if outbound {
				l, err := startLab()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				s.lab = l
			}
			if err := s.check(); err != nil {
				t.Fatal(err)
			}
			startService(t, s)
			for _, r := range inOrder(s.routes) {
				t.Run(r.Name, func(t *testing.T) { w.visit(t, r) })
			}
		})
	}
}

// A sampleWorld is what a sample takes for granted: its certificates and the servers behind.
type sampleWorld struct {
	*testing.T
	dir string
}

func (w *sampleWorld) service(file *config.File) *service {
	return &service{std: streams{nil, io.Discard, io.Discard}, read: func() (*config.File, error) { return file, nil }}
}

// move puts addresses and files of the test in place of those in a sample. It reports whether mail goes out.
func (w *sampleWorld) move(file *config.File) (outbound bool) {
	file.State = w.dir
	if file.Metrics.Listen != "" {
		file.Metrics.Listen = "127.0.0.1:0"
	}
	w.certificates(file.TLS.Certificates)
	for i := range file.Routes {
		r := &file.Routes[i]
		w.certificates(r.Certificates)
		scheme, rest, _ := strings.Cut(r.Listen, "://")
		_, options, _ := strings.Cut(rest, "?")
		r.Listen = scheme + "://127.0.0.1:0?" + options
		servers, err := r.Servers()
		if err != nil || len(servers) == 0 {
			w.Fatal(servers, err)
		}
		if strings.HasPrefix(servers[0], backendMX) {
			outbound = true
			continue
		}
		for i, url := range servers {
			servers[i] = w.behind(url)
		}
		r.Backend, r.CA = servers, filepath.Join(w.dir, "behind.pem")
		for name, url := range r.Backends {
			r.Backends[name] = w.behind(url)
		}
	}
	return outbound
}

// certificates makes those that are named: that of b.pem is for a host of its own.
func (w *sampleWorld) certificates(certs []config.Certificate) {
	for i := range certs {
		c := &certs[i]
		base := strings.TrimSuffix(filepath.Base(c.Cert), ".pem")
		name, host := filepath.Join(w.dir, base), "mail.example.org"
		if base == "b" {
			host = "mail.b.example"
		}
		if err := writeCertificate(name, host); err != nil {
			w.Fatal(err)
		}
		c.Cert = name + ".pem"
		if c.Key != "" {
			c.Key = name + ".key"
			continue
		}
		chain, err := os.ReadFile(c.Cert)
		key, kerr := os.ReadFile(name + ".key")
		if err := errors.Join(err, kerr, os.WriteFile(c.Cert, append(chain, key...), 0o600)); err != nil {
			w.Fatal(err)
		}
	}
}

// behind starts the server of a backend's URL, and returns the URL with its address. One on another host has
// TLS, and a certificate for that host.
func (w *sampleWorld) behind(url string) string {
	e, err := starttls.ParseEndpoint(url, "auth", "secret")
	if err != nil {
		w.Fatal(err)
	}
	route := config.Route{Name: "behind", Listen: e.Scheme + "://127.0.0.1:0?tls=none"}
	options := "?tls=none"
	if e.Network == "unix" {
		route.Listen = e.Scheme + "+unix:" + filepath.Join(w.dir, filepath.Base(e.Address)) + "?tls=none"
	}
	if !e.Local() {
		route.Listen, options = e.Scheme+"://127.0.0.1:0?tls=encrypt", "?tls=secure&match="+e.Host
		name := filepath.Join(w.dir, "behind")
		if _, err := os.Stat(name + ".pem"); err != nil {
			err = writeCertificate(name, "mail.example.org", "10.0.0.1", "10.0.0.2")
			if err != nil {
				w.Fatal(err)
			}
		}
		route.Certificates = []config.Certificate{{Cert: name + ".pem", Key: name + ".key"}}
	}
	if user := e.Options.Get("auth"); user != "" {
		secret := filepath.Join(w.dir, "secret")
		if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
			w.Fatal(err)
		}
		options += "&auth=" + user + "&secret=file:" + secret
	}
	s := w.service(&config.File{State: w.dir, Routes: []config.Route{route}})
	startService(w.T, s)
	at := inOrder(s.routes)[0].ln.Addr()
	if e.Network == "unix" {
		return e.Scheme + "+unix:" + at.String() + options
	}
	return e.Scheme + "://" + at.String() + options
}

// talks are what clients say to get an answer of the server behind, once they are through, and how that goes.
var talks = map[string][]struct{ say, hear string }{
	"imap":     {{"a NOOP\r\n", "a OK"}},
	"smtp":     {{"EHLO client.test\r\n", "250 "}, {"MAIL FROM:<a@client.test>\r\n", "250 "}, {"RCPT TO:<b@dane-ee.test>\r\n", "250 "}},
	"ftp":      {{"USER joe\r\n", "331 "}},
	"xmpp":     {{"<stream:stream to='mail.example.org' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>", "<stream:features"}},
	"ldap":     {{"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", "\x02\x01\x01\x61"}}, // a bind, and the answer to it
	"postgres": {{"\x00\x00\x00\x12\x00\x03\x00\x00user\x00joe\x00\x00", "R\x00\x00\x00"}},
	// The first packet after the upgrade is number 2: protocol 4.1, native passwords, "joe", no password.
	"mysql": {{"\x25\x00\x00\x02\x00\x8a\x00\x00\x00\x00\x00\x01\x21" + strings.Repeat("\x00", 23) + "joe\x00\x00", "\x00\x00\x03"}},
}

// visit is a client for each certificate of a route, or one without TLS where there is none.
func (w *sampleWorld) visit(t *testing.T, r *served) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if r.certs == nil {
		conn, err := net.Dial("tcp", r.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		hear(t, conn, "220 ")
		talkWith(t, conn, r.Dialect.Name)
		return
	}
	for _, leaf := range r.certs.Leaves() {
		roots := x509.NewCertPool()
		roots.AddCert(leaf)
		client := &tls.Config{RootCAs: roots, ServerName: leaf.DNSNames[0]}
		if least := r.Front.TLS.MinVersion; least < tls.VersionTLS12 {
			client.MinVersion, client.MaxVersion = least, least
		}
		url := r.listen.Scheme + "://" + r.ln.Addr().String()
		conn, err := starttls.Dial(ctx, url, &starttls.Config{TLS: client})
		if err != nil {
			t.Fatalf("%s as %s: %v", url, client.ServerName, err)
		}
		talkWith(t, conn, r.Dialect.Name)
	}
}

func talkWith(t *testing.T, conn net.Conn, dialect string) {
	t.Helper()
	defer conn.Close()
	for _, line := range talks[dialect] {
		if _, err := conn.Write([]byte(line.say)); err != nil {
			t.Fatal(err)
		}
		hear(t, conn, line.hear)
	}
	if talks[dialect] == nil {
		t.Errorf("nothing to say in %s", dialect)
	}
}

// hear reads until the text has come.
func hear(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	var heard []byte
	for buf := make([]byte, 4096); !bytes.Contains(heard, []byte(text)); {
		n, err := conn.Read(buf)
		if heard = append(heard, buf[:n]...); err != nil {
			t.Fatalf("heard %q, %v; want %q", heard, err, text)
		}
	}
}

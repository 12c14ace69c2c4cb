package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"starttls/internal/lab"
	"starttls/internal/policy"
	"starttls/mtasts"
	"starttls/resolver"
)

// startLab starts a lab for a command with --lab. Hosts are reached by its Dial, its Roots are to be
// trusted, and labNames resolves by it. Close ends it.
func startLab() (*lab.Lab, error) {
	l, err := lab.Start(lab.Config{})
	return l, failed(err)
}

// inLab returns an error if a lab has no such domain, nor one above it: a name that is mistyped.
func inLab(d policy.Destination) error {
	if d.Domain == "" || slices.ContainsFunc(lab.List(), func(of lab.Domain) bool {
		return d.Domain == of.Name || strings.HasSuffix(d.Domain, "."+of.Name)
	}) {
		return nil
	}
	return fmt.Errorf("the lab has no domain %q; \"starttls lab --list\" tells which it has", d.Domain)
}

// labNames returns a resolver that validates by a lab's anchor.
func labNames(l *lab.Lab) *resolver.Validator {
	return &resolver.Validator{Servers: []string{l.Resolver().String()}, Anchors: l.Anchor(), Probe: "test"}
}

// labPolicies has a client of MTA-STS find the policy hosts of a lab.
func labPolicies(c *mtasts.Client, l *lab.Lab) {
	c.Roots, c.Dial, c.Allow = l.Roots(), l.Dial, anyAddress
}

type labFlags struct {
	list        bool
	format, dir string
	net, ports  string
	crowd       string
}

func newLab(std streams) *cobra.Command {
	var f labFlags
	cmd := &cobra.Command{
		Use:   "lab [DOMAIN...]",
		Short: "a small Internet on loopback, to try senders of mail on",
		Long: `Serve a small Internet on loopback until stopped: a signed root and zones, HTTPS hosts
with MTA-STS policies, and mail servers of every kind, good and bad, with somebody on the
path to some. Say of each domain what it is and what a delivery to it must end in, for a
sender that does DANE, else MTA-STS, else TLS where it is offered. Then print a line for
each message that arrives. With DOMAINs, serve those only.

Each host has an address of its own. With --ports real they listen at 53, 25 and 443, and
any program can use them: --dir writes what it needs, for Unbound and Postfix ready to
use. With --ports free all listen at other ports, the same for all hosts.

Exit status: 0 stopped; 2 could not be started; 64 wrong usage.`,
		Example: `  starttls lab --list
  starttls lab --ports real --dir /tmp/lab
  starttls lab dane-ee.test dane-rolled.test
  starttls lab --list --format json | jq '.domains[] | select(.outcome.delivered | not) | .name'`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), std, args) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&f.list, "list", false, "tell what there is, and serve nothing")
	fs.StringVar(&f.ports, "ports", "free", "free, real, or DNS,SMTP,HTTPS")
	fs.StringVar(&f.net, "net", "127.25.0.0/16", "where the hosts are, a /16 within 127.0.0.0/8")
	fs.StringVar(&f.crowd, "crowd", "", "have every address of `NETWORK` answer, each like one of the mail servers: 127.64.0.0/10")
	fs.StringVar(&f.dir, "dir", "", "write authorities, trust anchor and configuration into `FOLDER`")
	fs.StringVar(&f.format, "format", "text", "text, json")
	return cmd
}

func (f *labFlags) run(ctx context.Context, std streams, only []string) error {
	if f.format != "text" && f.format != "json" {
		return fmt.Errorf("unknown --format %q; the formats are text, json", f.format)
	}
	c, err := f.config(only)
	if err != nil {
		return err
	}
	if f.list {
		return failed(f.show(std.out, labAbout{Domains: chosen(only)}))
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	news := &labNews{w: std.out, json: f.format == "json", held: make(chan struct{})}
	c.Delivered = news.delivered
	l, err := lab.Start(c)
	if err != nil {
		return failed(err)
	}
	defer l.Close()
	if err := f.write(l); err != nil {
		return failed(err)
	}
	about := labAbout{Resolver: l.Resolver().String(), Root: l.Root().String(), Ports: new(l.Ports()), Anchor: l.Anchor(),
		CA: string(l.RootsPEM()), Dir: f.dir, Domains: l.Domains()}
	if err := f.show(std.out, about); err != nil {
		return failed(err)
	}
	close(news.held)
	<-ctx.Done()
	return nil
}

// chosen returns the domains of these names, or all.
func chosen(only []string) []lab.Domain {
	return slices.DeleteFunc(lab.List(), func(d lab.Domain) bool { return len(only) > 0 && !slices.Contains(only, d.Name) })
}

// config reads the flags.
func (f *labFlags) config(only []string) (c lab.Config, err error) {
	for _, name := range only {
		if !slices.ContainsFunc(lab.List(), func(d lab.Domain) bool { return d.Name == name }) {
			return c, fmt.Errorf("the lab has no domain %q; --list tells which it has", name)
		}
	}
	c.Only = only
	if c.Net, err = netip.ParsePrefix(f.net); err != nil || c.Net.Bits() != 16 || !c.Net.Addr().IsLoopback() {
		return c, fmt.Errorf("--net %s: meant is a /16 within 127.0.0.0/8, such as 127.25.0.0/16", f.net)
	}
	if f.crowd != "" {
		if c.Crowd, err = netip.ParsePrefix(f.crowd); err != nil {
			return c, fmt.Errorf("--crowd %s: meant is a network within 127.0.0.0/8, such as 127.64.0.0/10", f.crowd)
		}
	}
	switch f.ports {
	case "free":
	case "real":
		c.Ports = lab.RealPorts
	default:
		var n []uint16
		for word := range strings.SplitSeq(f.ports, ",") {
			port, err := strconv.ParseUint(word, 10, 16)
			if err != nil {
				break
			}
			n = append(n, uint16(port))
		}
		if len(n) != 3 || strings.Count(f.ports, ",") != 2 {
			return c, fmt.Errorf("--ports %s: meant is free, real, or three ports as in 5353,2525,4443", f.ports)
		}
		c.Ports = lab.Ports{DNS: n[0], Mail: n[1], Web: n[2]}
	}
	return c, nil
}

// write writes the files for other programs.
func (f *labFlags) write(l *lab.Lab) error {
	if f.dir == "" {
		return nil
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := l.Files(dir)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// labAbout is what is told of a lab.
type labAbout struct {
	Resolver string       `json:"resolver,omitempty"` // passes DO and CD, validates nothing
	Root     string       `json:"root,omitempty"`     // name server of the root
	Ports    *lab.Ports   `json:"ports,omitempty"`
	Anchor   string       `json:"anchor,omitempty"` // DS records of the root
	CA       string       `json:"ca,omitempty"`     // PEM
	Dir      string       `json:"-"`
	Domains  []lab.Domain `json:"domains"`
}

func (f *labFlags) show(w io.Writer, about labAbout) error {
	if f.format == "json" {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(about)
	}
	for _, d := range about.Domains {
		slow := ""
		if d.Slow {
			slow = "  (takes its time)"
		}
		fmt.Fprintf(w, "%s%s\n  is    %s\n  must  %s\n  why   %s\n", d.Name, slow, d.About, d.Outcome, d.Outcome.Why)
		if d.DANEOnly != d.Outcome {
			fmt.Fprintf(w, "  with DANE alone: %s\n", d.DANEOnly)
		}
	}
	if about.Ports == nil {
		return nil
	}
	fmt.Fprintf(w, "\n%d domains; ports: DNS %d, SMTP %d, HTTPS %d\n", len(about.Domains), about.Ports.DNS, about.Ports.Mail, about.Ports.Web)
	fmt.Fprintf(w, "root at %s; a resolver that validates nothing at %s\n", about.Root, about.Resolver)
	if about.Ports.Crowd != 0 {
		fmt.Fprintf(w, "every address of %s answers at port %d\n", f.crowd, about.Ports.Crowd)
	}
	if about.Dir != "" {
		fmt.Fprintf(w, "authority, trust anchor, and configuration for Unbound and Postfix are in %s\n", about.Dir)
	}
	_, err := fmt.Fprintln(w, "serving; every message that arrives is a line")
	return err
}

// labNews tells of messages, after the lab itself was told.
type labNews struct {
	w    io.Writer
	json bool
	held chan struct{}
	mu   sync.Mutex
}

func (n *labNews) delivered(m lab.Message) {
	<-n.held
	version := "in the clear"
	if m.TLS != 0 {
		version = tls.VersionName(m.TLS)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.json {
		json.NewEncoder(n.w).Encode(map[string]any{"domain": m.Domain, "host": m.Host, "helo": m.Helo, "from": m.From, "to": m.To,
			"tls": version, "sni": m.SNI, "requiretls": m.RequireTLS, "size": m.Size})
		return
	}
	fmt.Fprintf(n.w, "%s took %d bytes from %q for %q, %s\n", m.Host, m.Size, m.From, m.To, version)
}

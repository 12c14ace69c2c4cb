package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starttls/mtasts"
	"starttls/resolver"
	"starttls/tlsrpt"
)

type publishFlags struct {
	mx, certs, next, rua []string
	mode, format         string
	maxAge               string
	port                 uint16
	dns                  dnsFlags
	lab                  bool
}

// The formats of "publish".
const (
	asZone   = "zone"
	asPolicy = "policy"
	asJSON   = "json"
)

func newPublish(std streams) *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "publish DOMAIN",
		Short: "the DNS records and the policy file that a domain needs",
		Long: `Print what senders must find so that nobody on the path can strip TLS from mail to
DOMAIN: TLSA records for its hosts (DANE, RFC 7672), the record and the policy of MTA-STS
(RFC 8461), and the record that asks for reports (RFC 8460). Nothing is published.

Hosts are those of --mx; without it they are looked up. For each --cert there are TLSA
records "3 1 1" for the hosts that it names; --next adds the key that will come after, and
must be there two TTLs before that key is used.

Output
  zone      lines of a zone file, and the policy as comments (default)
  policy    the policy file alone, as it must be served
  json      all of it

Order: first the policy file, at https://mta-sts.DOMAIN/.well-known/mta-sts.txt, then its
record, whose id follows from the file. Begin with --mode testing and --rua; enforce when
the reports are good. To withdraw, publish --mode none, and take nothing away until the
longest max_age ever served has passed.

Exit status: 0 printed; 2 could not be looked up, or a file not read; 64 wrong usage.`,
		Example: `  starttls publish example.org --rua mailto:tls-reports@example.org
  starttls publish example.org --mx mx.example.org --cert /etc/ssl/mx.pem --mode enforce
  starttls publish example.org --mx mx.example.org --format policy >mta-sts.txt
  starttls publish --lab dane-ee.test --mode enforce`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("publish takes one domain; got %q", args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), std, args[0]) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringArrayVar(&f.mx, "mx", nil, "a `HOST` that takes the domain's mail, or *.HOST; may be said again (default: looked up)")
	fs.StringArrayVar(&f.certs, "cert", nil, "certificate of hosts, PEM `FILE`; may be said again")
	fs.StringArrayVar(&f.next, "next", nil, "PEM `FILE` of a certificate or key that will come after, for all hosts; may be said again")
	fs.Uint16Var(&f.port, "port", 25, "port of the TLSA records")
	fs.StringVar(&f.mode, "mode", string(mtasts.Testing), "of MTA-STS: testing, enforce, none")
	fs.StringVar(&f.maxAge, "max-age", "", "life of the policy in `SECONDS` (default: a week in mode enforce, else a day)")
	fs.StringArrayVar(&f.rua, "rua", nil, "send reports to mailto:ADDRESS or https://`URI`; may be said again")
	fs.StringVar(&f.format, "format", asZone, "zone, policy, json")
	f.dns.add(fs)
	fs.BoolVar(&f.lab, "lab", false, "look hosts up in the built-in lab and not in the Internet, see \"starttls lab --list\"")
	return cmd
}

// A publication is what a domain needs.
type publication struct {
	Domain  string      `json:"domain"`
	Records []published `json:"records"`
	Policy  struct {
		URL  string `json:"url"`
		Text string `json:"text"`
	} `json:"policy"`
	Notes []string `json:"notes"`
}

type published struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data string `json:"data"` // as in a zone file
}

func (f *publishFlags) run(ctx context.Context, std streams, arg string) error {
	if !slices.Contains([]string{asZone, asPolicy, asJSON}, f.format) {
		return fmt.Errorf("unknown --format %q; the formats are %s, %s, %s", f.format, asZone, asPolicy, asJSON)
	}
	domain, err := resolver.Name(arg)
	if err != nil {
		return err
	}
	p := &publication{Domain: domain, Records: []published{}, Notes: []string{}}
	hosts, err := f.hosts(ctx, p)
	if err != nil {
		return err
	}
	for _, add := range []func(*publication, []string) error{f.addTLSA, f.addPolicy, f.addReports} {
		if err := add(p, hosts); err != nil {
			return err
		}
	}
	switch f.format {
	case asPolicy:
		_, err = io.WriteString(std.out, p.Policy.Text)
	case asJSON:
		e := json.NewEncoder(std.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(p)
	default:
		err = p.writeZone(std.out)
	}
	return failed(err)
}

// hosts returns the patterns of the domain's hosts, as given or as looked up.
func (f *publishFlags) hosts(ctx context.Context, p *publication) (hosts []string, err error) {
	for _, host := range f.mx {
		name, err := resolver.Name(strings.TrimPrefix(host, "*."))
		if err != nil {
			return nil, fmt.Errorf("--mx: %w", err)
		}
		if strings.HasPrefix(host, "*.") {
			name = "*." + name
		}
		hosts = append(hosts, name)
	}
	if len(hosts) > 0 {
		return hosts, nil
	}
	names, err := f.dns.resolver()
	if err != nil {
		return nil, err
	}
	if f.lab {
		l, err := startLab()
		if err != nil {
			return nil, err
		}
		defer l.Close()
		names = labNames(l)
	}
	answer, err := names.Lookup(ctx, p.Domain, resolver.MX)
	switch {
	case err != nil:
		return nil, failed(fmt.Errorf("the hosts of %s could not be looked up, and no --mx says them: %w", p.Domain, err))
	case answer.NoName:
		return nil, failed(fmt.Errorf("%s does not exist in the DNS; say its hosts with --mx", p.Domain))
	case answer.Empty(): // RFC 5321 §5.1
		return []string{p.Domain}, nil
	}
	if answer.Status != resolver.Secure {
		p.note("the hosts were looked up without DNSSEC: see that they are yours")
	}
	for _, mx := range answer.MX {
		if mx.Host == "" {
			return nil, failed(fmt.Errorf("%s takes no mail (null MX, RFC 7505)", p.Domain))
		}
		hosts = append(hosts, mx.Host)
	}
	return hosts, nil
}

// addPolicy adds MTA-STS.
func (f *publishFlags) addPolicy(p *publication, hosts []string) error {
	mode, age, err := f.life()
	if err != nil {
		return err
	}
	if mode == mtasts.None {
		hosts = nil
		p.note("until the longest max_age ever served has passed, file and record must stay (RFC 8461 §8.3)")
	}
	policy, err := mtasts.NewPolicy(mode, age, hosts...)
	if err != nil {
		return fmt.Errorf("no policy that senders would take: %w", err)
	}
	p.Policy.URL, p.Policy.Text = "https://mta-sts."+p.Domain+"/.well-known/mta-sts.txt", policy.Text
	p.Records = append(p.Records, published{"_mta-sts." + p.Domain, "TXT", `"` + policy.Record() + `"`})
	return nil
}

// life returns the mode of MTA-STS and how long its policy is in force, as the flags say it.
func (f *publishFlags) life() (mode mtasts.Mode, age time.Duration, err error) {
	mode = mtasts.Mode(f.mode)
	if !slices.Contains([]mtasts.Mode{mtasts.Testing, mtasts.Enforce, mtasts.None}, mode) {
		return mode, 0, fmt.Errorf("--mode %s: meant is testing, enforce or none", f.mode)
	}
	if f.maxAge == "" {
		age = 24 * time.Hour
		if mode == mtasts.Enforce {
			age *= 7
		}
		return mode, age, nil
	}
	seconds, err := strconv.ParseUint(f.maxAge, 10, 32)
	if err != nil {
		return mode, 0, fmt.Errorf("--max-age %s: meant is a number of seconds, such as 86400 for a day", f.maxAge)
	}
	return mode, time.Duration(seconds) * time.Second, nil
}

// addReports adds the request for reports.
func (f *publishFlags) addReports(p *publication, _ []string) error {
	if len(f.rua) == 0 {
		p.note("without --rua nobody tells you what fails")
		return nil
	}
	record, err := tlsrpt.NewRecord(f.rua...)
	if err != nil {
		return fmt.Errorf("--rua: %w", err)
	}
	if len(record) > 255 {
		return errors.New("--rua: too much for one string of a TXT record")
	}
	p.Records = append(p.Records, published{"_smtp._tls." + p.Domain, "TXT", `"` + record + `"`})
	return nil
}

func (p *publication) note(text string) { p.Notes = append(p.Notes, text) }

// writeZone writes lines of a zone file.
func (p *publication) writeZone(w io.Writer) error {
	var b strings.Builder
	width := 0
	for _, r := range p.Records {
		width = max(width, len(r.Name)+1)
	}
	for _, r := range p.Records {
		fmt.Fprintf(&b, "%-*s  IN %-4s  %s\n", width, r.Name+".", r.Type, r.Data)
	}
	fmt.Fprintf(&b, ";\n; %s, lines ending in CRLF:\n", p.Policy.URL)
	for line := range strings.SplitSeq(strings.TrimSuffix(p.Policy.Text, "\r\n"), "\r\n") {
		fmt.Fprintf(&b, ";   %s\n", line)
	}
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "; %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

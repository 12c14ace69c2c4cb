package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"starttls/dialect"
)

// A protocolRow is what is shown of one dialect, made from the dialect itself.
type protocolRow struct {
	Name    string   `json:"name"`
	Spec    string   `json:"spec"`
	Schemes []string `json:"schemes"` // with ports
	Offer   string   `json:"offer"`   // as a server says it, quoted; empty if it is never named
	Request string   `json:"request"`
	Ready   string   `json:"ready"`
	Tried   []string `json:"tried"`
}

func newProtocols(std streams) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "protocols",
		Short: "the protocols, their ports, and what the upgrade looks like in each",
		Long: `List the protocols: the schemes of their URLs with the ports, the specification, how a server
offers TLS, how a client asks for it and what the go-ahead is, and the real servers and
clients that each was tried against. All can be used in either direction: in front of a
server without TLS and behind a client without it.`,
		Example: "  starttls protocols\n  starttls protocols --format json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			show, ok := map[string]func(io.Writer, []protocolRow) error{
				"text": protocolsText, "json": protocolsJSON, "markdown": protocolsMarkdown,
			}[format]
			if !ok {
				return fmt.Errorf("unknown --format %q; the formats are text, json, markdown", format)
			}
			return failed(show(std.out, protocolRows()))
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, json, markdown")
	return cmd
}

func protocolRows() []protocolRow {
	var rows []protocolRow
	for _, d := range dialect.All {
		r := protocolRow{Name: d.Name, Spec: d.Spec, Tried: d.Tried}
		for _, s := range d.Schemes {
			r.Schemes = append(r.Schemes, fmt.Sprintf("%s %d", s.Name, s.Port))
		}
		r.Offer, r.Request, r.Ready = exchange(d)
		rows = append(rows, r)
	}
	return rows
}

// exchange walks the script with words of our own on both sides, and returns those that matter.
func exchange(d *dialect.Dialect) (offer, request, ready string) {
	sides := [2]dialect.Speech{d.Speak(dialect.Client, false), d.Speak(dialect.Server, false)}
	var asked dialect.Message
	for _, line := range d.Script.Clear {
		m := dialect.Message{Kind: line.Kind}
		if line.Says == dialect.Server {
			m = asked.Reply(line.Kind, dialect.Unknown)
		}
		m.Name = "example.org"
		plain := d.Speak(dialect.Server, false).Write(nil, m)
		m.Offer = dialect.Offered
		said := sides[line.Says].Write(nil, m)
		for left := said; len(left) > 0; {
			heard, n, err := sides[1-line.Says].Read(left)
			if err != nil || n == 0 {
				break
			}
			if left = left[n:]; line.Says == dialect.Client {
				asked = heard
			}
		}
		switch line.Kind {
		case dialect.Greeting, dialect.Caps:
			if o := difference(said, plain); o != "" {
				offer = o
			}
		case dialect.Upgrade:
			request = quote(said)
		case dialect.Ready:
			ready = quote(said)
		}
	}
	return offer, request, ready
}

// difference returns the line of a list that is there for the offer.
func difference(offered, plain []byte) string {
	if string(offered) == string(plain) {
		return ""
	}
	if !printable(offered) {
		return quote(offered)
	}
	last := string(offered) // the first lines of some lists change as well, when there are more
	for line := range strings.Lines(string(offered)) {
		if !strings.Contains(string(plain), strings.TrimSpace(line)) {
			last = line
		}
	}
	return quote([]byte(last))
}

// quote returns words as text, or as hexadecimal if they are none, cut where they get long.
func quote(said []byte) string {
	const most = 48
	if !printable(said) {
		if len(said) > most/2 {
			return fmt.Sprintf("% x …", said[:most/2])
		}
		return fmt.Sprintf("% x", said)
	}
	text := strings.TrimRight(string(said), "\r\n")
	text = strings.NewReplacer("\r\n", " ⏎ ", "\n", " ⏎ ").Replace(text)
	if len(text) > 2*most {
		text = text[:2*most] + " …"
	}
	return text
}

func printable(said []byte) bool {
	for _, b := range said {
		if b >= 0x7f || b < ' ' && b != '\r' && b != '\n' && b != '\t' {
			return false
		}
	}
	return utf8.Valid(said)
}

func protocolsText(w io.Writer, rows []protocolRow) error {
	for _, r := range rows {
		fmt.Fprintf(w, "%s (%s)\n  schemes  %s\n", r.Name, r.Spec, strings.Join(r.Schemes, ", "))
		for _, words := range [][2]string{{"offer", r.Offer}, {"request", r.Request}, {"ready", r.Ready}} {
			if words[1] == "" {
				words[1] = "(none)"
			}
			fmt.Fprintf(w, "  %-8s %s\n", words[0], words[1])
		}
		fmt.Fprintf(w, "  tried    %s\n", tried(r))
	}
	return nil
}

func tried(r protocolRow) string {
	if len(r.Tried) == 0 {
		return "not tried against a real peer"
	}
	return strings.Join(r.Tried, ", ")
}

func protocolsJSON(w io.Writer, rows []protocolRow) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(rows)
}

func protocolsMarkdown(w io.Writer, rows []protocolRow) error {
	fmt.Fprint(w, "# Protocols\n\nMade by `starttls protocols --format markdown`. Each can be used in both directions.\n\n")
	fmt.Fprint(w, "| protocol | schemes and ports | specification | offer | request | go-ahead | tried against |\n|---|---|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", "\\|", "`", "'")
	code := func(s string) string {
		if s == "" {
			return "none"
		}
		return "`" + cell.Replace(s) + "`"
	}
	for _, r := range rows {
		_, err := fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", r.Name, strings.Join(r.Schemes, ", "),
			cell.Replace(r.Spec), code(r.Offer), code(r.Request), code(r.Ready), cell.Replace(tried(r)))
		if err != nil {
			return err
		}
	}
	return nil
}

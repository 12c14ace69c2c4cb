package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"starttls/internal/check"
	"starttls/internal/finding"
	"starttls/internal/report"
)

type checkFlags struct {
	format, output, name, explain string
	list, vantage, here, account  string
	history                       string
	standards                     []string
	all, quick, resume            bool
	budget, jobs                  int
	gap, timeout, patience        time.Duration
	evidence                      evidenceFlags
	client                        clientFlags
}

func newCheck(std streams) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check TARGET...",
		Short: "audit a mail domain or a service, and say what to mend",
		Long: `Ask each TARGET, and say what was found: is TLS offered, what passes before it, can
somebody on the path put words into it or take it away, what TLS is worth.

TARGET is a mail domain, example.org: its MX hosts at all their addresses, DNSSEC, DANE
and MTA-STS against what the hosts show, TLS-RPT, and what senders would do with a message
now. Or it is the URL of a service, in-band or implicit: smtp://mx.example.org,
imaps://mail.example.org. Add ?match=NAME if the certificate is to be for another name
than the host. More of them come from --targets FILE, one on a line, - for standard input.

To an address there is one connection at a time and at most --connections of them. No
account is needed, no mail is delivered. A server that puts us off (421, a tarpit) is
come back to once, and then reported as not testable, which is not the same as "no TLS".

With --store URL what is found is kept, and the next run says what has changed: TLS that
was offered and is not, another key, another version of TLS, other MX hosts, findings that
have become bad or good.

With --client it is a client that is checked: hostile servers listen at URL and the ports
after it, and it is told what the client gives away to each. TARGETs are then the command
that runs the client, once for each, with {host}, {port}, {addr} and {ca} filled in.
With --client mx: the client is a program that sends mail: domains of the lab are served,
DNS and policies too, and it is told where its messages go that must not. {to}, {domain},
{dns}, {port}, {ca} and {dir} are filled in; mx:?ports=real&dir=DIR serves programs that
know the ports of the world alone, and has files for Unbound and Postfix in DIR.

Formats: text; line, one for each target; json, an array of results unless there is one
target; jsonl, one line for each target; csv; html, a page; sarif, junit and nagios for other programs. With --output FILE and --resume
a run that was stopped, in whatever way, goes on where it was: jsonl alone.

Exit status: 0 nothing is insufficient; 1 something is; 2 a target was not reached, or
could not be tested; 64 wrong usage. With --format nagios those of its plugins: 0 to 3.`,
		Example: `  starttls check example.org
  starttls check imap://mail.example.org
  starttls check --lab dane-ee.test
  starttls check --targets hosts.txt --jobs 50 --quick --format jsonl --output result.jsonl --resume
  starttls check smtp://mx.example.org --vantage elsewhere.jsonl
  starttls check example.org --store sqlite:checks.db
  starttls check --client imap://localhost:1430
  starttls check --client smtp://localhost:0 -- swaks --server {addr} --tls --to joe@example.org
  starttls check --client 'mx:?ports=real&dir=/tmp/lab' -- sendmail {to}
  starttls check --explain clear.command-injection`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && f.list == "" && f.explain == "" && f.client.url == "" {
				return errors.New("check takes TARGETs, such as example.org or imap://mail.example.org")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.explain != "" {
				return explain(std.out, f.explain, f.format)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if f.client.url != "" {
				return f.checkClient(ctx, std, args)
			}
			return f.run(ctx, std, args)
		},
	}
	f.add(cmd)
	return cmd
}

func (f *checkFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.format, "format", "text", strings.Join(checkFormats, ", "))
	fs.StringVar(&f.output, "output", "", "write to `FILE` and not to standard output")
	fs.BoolVar(&f.resume, "resume", false, "go on with --output FILE: targets that are in it are done")
	fs.BoolVar(&f.all, "all", false, "show what is as it should be, too")
	fs.BoolVar(&f.quick, "quick", false, "one connection to each address")
	fs.StringSliceVar(&f.standards, "standard", []string{"rfc9325"}, "judge by these standards (comma or repeat): "+strings.Join(standardIDs(), ", "))
	fs.StringVar(&f.explain, "explain", "", "say what finding `ID` means and how to mend it; all lists them, schema is that of json")
	fs.StringVar(&f.list, "targets", "", "read targets from `FILE`, one on a line")
	fs.IntVar(&f.jobs, "jobs", 8, "check so many targets at the same time")
	fs.StringVar(&f.vantage, "vantage", "", "compare with results from elsewhere, or from before: `FILE` of --format jsonl or json")
	fs.StringVar(&f.here, "here", "", "what this place is called in results, for --vantage elsewhere")
	fs.StringVar(&f.history, "store", "", "keep what is found at `URL`, sqlite:PATH or postgres://USER@HOST/DATABASE, and say what has changed since the runs before")
	fs.StringVar(&f.name, "name", "", "how we call ourselves (default: the host's name)")
	fs.StringVar(&f.account, "account", "", "log in, inside TLS and to servers that are verified, with the user and the password on the first two lines of `FILE`, to see what is offered after a login")
	fs.IntVar(&f.budget, "connections", 20, "at most so many to one address")
	fs.DurationVar(&f.gap, "gap", 0, "at least so long between two of them")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "for each conversation")
	fs.DurationVar(&f.patience, "patience", 5*time.Second, "how long to wait before we come back to a server that puts us off")
	f.client.add(fs)
	f.evidence.add(fs)
	fs.Lookup("ca").Usage = "authorities that clients and senders trust, PEM `FILE` (default: the system's)"
}

func standardIDs() (ids []string) {
	for _, s := range finding.Standards {
		ids = append(ids, s.ID)
	}
	return ids
}

// explain prints what a finding means, or all of them.
func explain(w io.Writer, id, format string) error {
	switch {
	case id == "schema":
		fmt.Fprint(w, report.Schema)
		return nil
	case id == "all" && format == "markdown":
		fmt.Fprint(w, finding.Markdown())
		return nil
	case id == "all":
		for _, e := range finding.Catalogue() {
			fmt.Fprintf(w, "%-30s %s\n", e.ID, e.Title)
		}
		return nil
	}
	e, ok := finding.ByID(id)
	if !ok {
		return fmt.Errorf("unknown finding %q; --explain all lists them", id)
	}
	fmt.Fprint(w, e.Explain())
	return nil
}

// config makes the checker's.
func (f *checkFlags) config() (c check.Config, err error) {
	c = check.Config{Name: f.name, Budget: f.budget, Gap: f.gap, Timeout: f.timeout, Patience: f.patience}
	if c.Name == "" {
		c.Name = hostname()
	}
	if f.quick {
		c.Depth = check.Quick
	}
	for _, id := range f.standards {
		s, err := finding.StandardByID(id)
		if err != nil {
			return c, err
		}
		c.Standards = append(c.Standards, s)
	}
	if f.account != "" {
		if c.Account, err = readAccount(f.account); err != nil {
			return c, err
		}
	}
	if f.evidence.ca != "" {
		c.Roots, err = readRoots("--ca", f.evidence.ca)
	}
	return c, err
}

// readAccount reads the file of --account.
func readAccount(file string) (*check.Account, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, failed(fmt.Errorf("--account: %w", err))
	}
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if len(lines) < 2 || lines[0] == "" || lines[1] == "" {
		return nil, failed(fmt.Errorf("--account %s: meant is a user on the first line and the password on the second", file))
	}
	return &check.Account{User: lines[0], Password: lines[1]}, nil
}

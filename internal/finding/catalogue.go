package finding

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Clause is a place in a standard.
type Clause struct {
	Standard string `json:"standard"` // "RFC 3207"
	Section  string `json:"section,omitempty"`
}

// String returns the clause as it is cited: "RFC 3207 §4.2".
func (c Clause) String() string {
	if c.Section == "" {
		return c.Standard
	}
	return c.Standard + " §" + c.Section
}

// An Entry is what is known of a finding before any target is looked at.
type Entry struct {
	ID       string
	Title    string   // the claim, as it should hold
	Stake    Severity // when it is insufficient
	Means    string   // what it means for mail and its users if it does not hold, in plain words
	Mend     []Mend   // what to change
	Clauses  []Clause
	Evidence Grade // of a signature of stripping: how sure it is when seen once
}

// A Mend is the line to change in one server.
type Mend struct {
	Server string `json:"server"` // "Postfix"
	Line   string `json:"line"`
}

//go:embed speakers.txt
var speakersFile string

// speakers are the dialects of the programs of mends.
var speakers = readSpeakers()

func readSpeakers() map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(speakersFile) {
		if program, dialects, ok := strings.Cut(line, ": "); ok && line[0] != '#' {
			all[program] = strings.Fields(dialects)
		}
	}
	return all
}

// MendsFor returns what to change in programs that speak the dialect, all there is if it is "".
func (e Entry) MendsFor(dialect string) []Mend {
	return slices.DeleteFunc(slices.Clone(e.Mend), func(m Mend) bool {
		spoken, known := speakers[m.Server]
		return dialect != "" && known && !slices.Contains(spoken, dialect)
	})
}

// severity is how grave the finding is at a verdict.
func (e Entry) severity(v Verdict) Severity {
	switch v {
	case Insufficient:
		return e.Stake
	case PhaseOut:
		return min2(e.Stake, Low)
	case Sufficient:
		return min2(e.Stake, Info)
	}
	return None
}

// min2 returns the lesser of two severities.
func min2(a, b Severity) Severity {
	return Severities[min(slices.Index(Severities, a), slices.Index(Severities, b))]
}

// Catalogue returns all entries, in the order in which they are documented.
func Catalogue() []Entry { return catalogue }

var catalogue = slices.Concat(clearEntries, strippingEntries, tlsEntries, certificateEntries, domainEntries, clientEntries, senderEntries)

// ByID finds an entry.
func ByID(id string) (Entry, bool) {
	at := slices.IndexFunc(catalogue, func(e Entry) bool { return e.ID == id })
	if at < 0 {
		return Entry{}, false
	}
	return catalogue[at], true
}

// clauses reads "RFC 3207 §4.2; RFC 8314 §3.3".
func clauses(text string) (all []Clause) {
	for one := range strings.SplitSeq(text, "; ") {
		standard, section, _ := strings.Cut(one, " §")
		all = append(all, Clause{standard, section})
	}
	return all
}

// mend reads a block of lines "Postfix: smtpd_tls_auth_only = yes".
func mend(text string) (all []Mend) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		server, change, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			panic("finding: no server in " + line)
		}
		all = append(all, Mend{server, change})
	}
	return all
}

// Explain returns an entry as text for people, 80 columns wide.
func (e Entry) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n%s\n", e.ID, e.Title, Wrap(e.Means, 78, ""))
	fmt.Fprintf(&b, "\nseverity  %s\n", e.Stake)
	if e.Evidence != "" {
		fmt.Fprintf(&b, "evidence  %s, when seen once\n", e.Evidence)
	}
	for _, c := range e.Clauses {
		fmt.Fprintf(&b, "clause    %s\n", c)
	}
	if len(e.Mend) > 0 {
		b.WriteString("\nTo mend it\n")
	}
	for _, m := range e.Mend {
		fmt.Fprintf(&b, "  %-10s %s\n", m.Server, m.Line)
	}
	return b.String()
}

// Clean makes a stranger's text fit for a terminal: what cannot be printed becomes "?". A terminal takes some of
// it for orders, by which what stands there already is changed.
func Clean(text string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == utf8.RuneError {
			return '?'
		}
		return c
	}, text)
}

// Wrap breaks a text between words into lines of at most width bytes, where that is possible; indent stands
// before each but the first and is not counted. What it returns is clean.
func Wrap(text string, width int, indent string) string {
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(text) {
		word = Clean(word)
		switch {
		case i == 0:
		case at+1+len(word) > width:
			b.WriteString("\n" + indent)
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// Markdown returns the catalogue as a page of documentation.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Findings\n\nMade by `starttls check --explain all --format markdown`. Ids do not change from release to release.\n")
	b.WriteString("\n## Standards\n\nFacts of TLS are judged by those that --standard names; the files are in internal/finding/standards.\n\n| id | standard | edition | source |\n|---|---|---|---|\n")
	for _, s := range Standards {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.ID, s.Name, s.Edition, s.Source)
	}
	family := ""
	for _, e := range catalogue {
		if f, _, _ := strings.Cut(e.ID, "."); f != family {
			family = f
			fmt.Fprintf(&b, "\n## %s\n", families[family])
		}
		fmt.Fprintf(&b, "\n### %s\n\n**%s.** Severity %s", e.ID, e.Title, e.Stake)
		if e.Evidence != "" {
			fmt.Fprintf(&b, ", evidence %s", e.Evidence)
		}
		fmt.Fprintf(&b, ".\n%s\n", e.Means)
		if len(e.Clauses) > 0 {
			fmt.Fprintf(&b, "Clause: %s.\n", list(e.Clauses))
		}
		if len(e.Mend) > 0 {
			b.WriteString("\n| server | line |\n|---|---|\n")
		}
		for _, m := range e.Mend {
			fmt.Fprintf(&b, "| %s | `%s` |\n", m.Server, strings.ReplaceAll(m.Line, "|", "\\|"))
		}
	}
	return b.String()
}

func list(all []Clause) string {
	var words []string
	for _, c := range all {
		words = append(words, c.String())
	}
	return strings.Join(words, ", ")
}

// families are the first words of ids.
var families = map[string]string{
	"clear": "The clear phase", "strip": "Stripping and interception", "tls": "TLS",
	"cert": "Certificates", "mail": "The mail domain", "client": "Clients",
}

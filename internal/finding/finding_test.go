package finding

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestCatalogueIsWhole(t *testing.T) {
	id := regexp.MustCompile(`^(clear|strip|tls|cert|mail|client)\.[a-z0-9-]+$`)
	seen := map[string]bool{}
	for _, e := range Catalogue() {
		switch {
		case !id.MatchString(e.ID):
			t.Errorf("%s is not an id", e.ID)
		case seen[e.ID]:
			t.Errorf("%s is there twice", e.ID)
		case e.Title == "" || e.Means == "" || !slices.Contains(Severities, e.Stake) || len(e.Clauses) == 0:
			t.Errorf("%s lacks something", e.ID)
		case strings.HasPrefix(e.ID, "strip.") != (e.Evidence != ""):
			t.Errorf("%s: a grade is for stripping, and every stripping has one", e.ID)
		}
		seen[e.ID] = true
	}
	for id, kinds := range judgedBy {
		if !seen[id] || len(kinds) == 0 {
			t.Errorf("%s is judged and not in the catalogue", id)
		}
	}
}

// TestDocumentIsTheCatalogue: docs/findings.md is made by
// "starttls check --explain all --format markdown".
func TestDocumentIsTheCatalogue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "findings.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != Markdown() {
		t.Error("docs/findings.md is not what the catalogue says; make it anew")
	}
}

func TestWorstOf(t *testing.T) {
	if got := Worst([]Finding{{Verdict: Good}, {Verdict: PhaseOut}, {Verdict: NotTestable}}); got != PhaseOut {
		t.Error(got)
	}
	if got := Worst(nil); got != NotApplicable {
		t.Error(got)
	}
}

func TestPeersWordsAreQuotedAndCut(t *testing.T) {
	if got := Quote([]byte("\x1b[31m" + strings.Repeat("A", 1000))); strings.Contains(got, "\x1b") || len(got) > 200 {
		t.Error(got)
	}
	if f := New("clear.offer", Good, strings.Repeat("é", 1000)); len(f.Evidence) > longest+10 {
		t.Error(len(f.Evidence))
	}
}

func TestStandardsJudge(t *testing.T) {
	for _, row := range []struct {
		standard string
		fact     Fact
		want     Verdict
	}{
		{"rfc9325", Fact{"version", "TLS 1.0"}, Insufficient},
		{"rfc9325", Fact{"version", "TLS 1.3"}, Good},
		{"rfc9325", Fact{"dh-bits", "1024"}, Insufficient},
		{"rfc9325", Fact{"dh-bits", "2048"}, Good},
		{"ncsc-nl", Fact{"rsa-bits", "2048"}, PhaseOut},
		{"ncsc-nl", Fact{"rsa-bits", "3072"}, Good},
		{"ncsc-nl", Fact{"suite", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"}, PhaseOut},
		{"ncsc-nl", Fact{"suite", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"}, Insufficient},
		{"ncsc-nl", Fact{"suite", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, Sufficient},
		{"ncsc-nl", Fact{"suite", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"}, Insufficient},
		{"mozilla-modern", Fact{"version", "TLS 1.2"}, Insufficient},
		{"mozilla-intermediate", Fact{"certificate-days", "365"}, Sufficient},
		{"mozilla-intermediate", Fact{"certificate-days", "90"}, Good},
		{"mozilla-intermediate", Fact{"suite", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"}, Insufficient},
		{"bsi", Fact{"rsa-bits", "2048"}, Insufficient},
		{"bsi", Fact{"group", "X25519MLKEM768"}, Good},
	} {
		s, err := StandardByID(row.standard)
		if err != nil {
			t.Fatal(err)
		}
		judged := s.Judge([]Fact{row.fact}).Judged
		if len(judged) == 0 || judged[0].Verdict != row.want || judged[0].Clause == "" {
			t.Errorf("%s of %v: %v, want %s", row.standard, row.fact, judged, row.want)
		}
	}
}

// TestAbsenceIsJudgedWhereItWasLookedFor: a standard that wants TLS 1.3 says so only of a service whose
// versions are known.
func TestAbsenceIsJudgedWhereItWasLookedFor(t *testing.T) {
	s, err := StandardByID("rfc9325")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Judge([]Fact{{"version", "TLS 1.2"}}); got.Verdict != Sufficient {
		t.Errorf("TLS 1.2 alone: %+v", got)
	}
	if got := s.Judge(nil); len(got.Judged) != 0 {
		t.Errorf("nothing known: %+v", got)
	}
}

func TestStandardsAreWhole(t *testing.T) {
	for _, s := range Standards {
		if s.Name == "" || s.Edition == "" || s.Source == "" {
			t.Errorf("%s lacks something", s.ID)
		}
		for _, r := range s.Rules {
			if r.Fact == "" || r.Clause == "" || !slices.Contains(Verdicts, r.Verdict) {
				t.Errorf("%s: %+v lacks something", s.ID, r)
			}
		}
	}
}

func TestExplainFitsATerminal(t *testing.T) {
	for _, e := range Catalogue() {
		for line := range strings.Lines(e.Explain()) {
			if len(line) > 140 { // a line to change is not broken
				t.Errorf("%s: %d columns: %s", e.ID, len(line), line)
			}
		}
	}
}

// TestAdviceIsForTheTarget: only what speaks the target's protocol, and what is for all.
func TestAdviceIsForTheTarget(t *testing.T) {
	for _, row := range []struct {
		id, dialect string
		with        []string
		without     []string
	}{
		{"clear.login-before-tls", "irc", []string{"starttls"}, []string{"Postfix", "Exim", "Dovecot", "PostgreSQL"}},
		{"clear.login-before-tls", "imap", []string{"Dovecot", "starttls"}, []string{"Exim", "Prosody"}},
		{"strip.banner-masked", "smtp", []string{"Postfix", "Cisco ASA"}, nil},
		{"tls.suites", "ldap", []string{"OpenLDAP"}, []string{"Postfix"}},
		{"cert.key", "nbd", []string{"all"}, nil},
		{"client.name", "smtp", []string{"msmtp"}, []string{"swaks", "psql"}},
	} {
		e, ok := ByID(row.id)
		if !ok {
			t.Fatal(row.id)
		}
		var servers []string
		for _, m := range e.MendsFor(row.dialect) {
			servers = append(servers, m.Server)
		}
		for _, s := range row.with {
			if !slices.Contains(servers, s) {
				t.Errorf("%s for %s has nothing for %s: %v", row.id, row.dialect, s, servers)
			}
		}
		for _, s := range row.without {
			if slices.Contains(servers, s) {
				t.Errorf("%s for %s has a line for %s", row.id, row.dialect, s)
			}
		}
	}
	for _, e := range Catalogue() {
		for _, m := range e.Mend {
			if speakers[m.Server] == nil && m.Server != "all" && m.Server != "starttls" {
				t.Errorf("%s: nobody knows what %s speaks", e.ID, m.Server)
			}
		}
	}
}

func TestHeadlinesCannotBeMisread(t *testing.T) {
	for verdict, want := range map[Verdict]string{
		Good: "TLS is offered", Sufficient: "good would be: TLS is offered", PhaseOut: "not so: TLS is offered",
		Insufficient: "not so: TLS is offered", NotTestable: "not known: TLS is offered",
	} {
		if got := New("clear.offer", verdict, "").Headline(); got != want {
			t.Errorf("%s: %s", verdict, got)
		}
	}
}

// TestWhatIsBadComesFirst: a list that is cut must not lose it.
func TestWhatIsBadComesFirst(t *testing.T) {
	s, err := StandardByID("rfc9325")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ want, facts string }{
		{"insufficient: TLS 1.0; good: TLS 1.3, TLS 1.2", "TLS 1.3,TLS 1.2,TLS 1.0"},
		{"TLS 1.3, TLS 1.2", "TLS 1.3,TLS 1.2"},
		{"insufficient: TLS 1.1, no TLS 1.2 or TLS 1.3; sufficient: no TLS 1.3", "TLS 1.1"},
		{"sufficient: no TLS 1.3; good: TLS 1.2", "TLS 1.2"},
	} {
		var facts []Fact
		for value := range strings.SplitSeq(row.facts, ",") {
			facts = append(facts, Fact{"version", value})
		}
		found, _ := Judge(facts, []Standard{s})
		if len(found) != 1 || found[0].Evidence != row.want {
			t.Errorf("%s: %+v", row.facts, found)
		}
	}
}

// TestNoStrangerGivesOrdersToATerminal: not by what Clean returns, nor by a text that is wrapped.
func TestNoStrangerGivesOrdersToATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"CN=Ünï, O=a b …":               "CN=Ünï, O=a b …",
		"a\x1b[31mb":                    "a?[31mb",
		"\x1b]0;name\x07\u009b2J\x7f\b": "?]0;name??2J??",
		"\u202efdp.\u2066exe\u200b":     "?fdp.?exe?",
		"x\xffy":                        "x?y",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q is clean as %q, want %q", text, got, want)
		}
		if got := Wrap(text, 80, ""); got != want {
			t.Errorf("%q is wrapped as %q, want %q", text, got, want)
		}
	}
	if got := Clean("a\r\nb"); got != "a??b" {
		t.Errorf("two lines are %q", got)
	}
	if got := Wrap("a\r\nb", 80, ""); got != "a b" {
		t.Errorf("two lines are wrapped as %q", got)
	}
}

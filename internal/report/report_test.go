package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"starttls/internal/finding"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares what was written with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it was:\n%s", file, got)
	}
}

// result is one of everything that a report may have to show.
func result() *finding.Result {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	before := at.AddDate(0, 0, -1)
	certificate := finding.Certificate{
		Subject: "CN=mx.example.org", Issuer: "CN=CA", Names: []string{"mx.example.org"}, NotBefore: at.AddDate(0, -1, 0), NotAfter: at.AddDate(0, 2, 0),
		Key: "P-256", Signature: "ECDSA-SHA256", SHA256: "00", SPKI: "11",
	}
	bad := finding.New("clear.command-injection", finding.Insufficient, `the goodbye inside TLS is answered by "caps", "other" <script>alert(1)</script>`)
	stripped := finding.New("strip.keyword-masked-a", finding.Insufficient, "=250 XXXXXXXA")
	stripped.Grade = finding.Certain
	judged := finding.New("tls.versions", finding.Insufficient, "TLS 1.0, TLS 1.2")
	judged.Judged = []finding.Judgement{
		{Standard: "rfc9325", Fact: finding.Fact{Kind: "version", Value: "TLS 1.0"}, Verdict: finding.Insufficient, Clause: "§3.1.1"},
		{Standard: "rfc9325", Fact: finding.Fact{Kind: "version", Value: "TLS 1.2"}, Verdict: finding.Good, Clause: "§3.1.1"},
	}
	r := &finding.Result{
		Schema: finding.Schema, Target: "example.org", Started: at, Seconds: 1.5, Vantage: "home",
		Domain: &finding.Domain{
			Name: "example.org", Secure: true, STS: "enforce",
			MX: []finding.MX{{Host: "mx.example.org", Pref: 10, Addresses: []string{"192.0.2.1"}, Secure: true, TLSA: []string{"3 1 1 00"}, Level: "dane", Source: "dane", Why: "it has secure TLSA records"}},
			Senders: []finding.Sender{
				{Kind: "opportunistic", Delivers: true, TLS: true, Host: "mx.example.org", Level: "may", Knows: true},
				{Kind: "careful", Reply: "mx.example.org[192.0.2.1]: DANE: no record matches", Knows: true},
			},
		},
		Services: []finding.Service{
			{
				URL: "smtp://mx.example.org:25", Host: "mx.example.org", Address: "192.0.2.1:25", Protocol: "smtp", Outcome: finding.Tested, Connections: 20,
				Times:  finding.Times{Connect: 1, Greeting: 2, Upgrade: 3, Handshake: 4, All: 1400},
				Clear:  &finding.Words{Name: "mx.example.org", Greeting: `"220 mx.example.org ESMTP"`, Offer: "offered", Mechanisms: []string{"PLAIN"}, Capabilities: []string{"SIZE"}},
				Inside: &finding.Words{Offer: "unsaid"},
				TLS:    &finding.TLS{Version: "TLS 1.3", Suite: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768"},
				Chain:  []finding.Certificate{certificate}, Others: []finding.Certificate{certificate},
				Facts:     []finding.Fact{{Kind: "version", Value: "TLS 1.0"}, {Kind: "version", Value: "TLS 1.3"}, {Kind: "suite", Value: "TLS_AES_128_GCM_SHA256"}, {Kind: "group", Value: "X25519"}},
				More:      true,
				Standards: []finding.Standing{{Standard: "rfc9325", Name: "RFC 9325", Edition: "2022-11", Verdict: finding.Insufficient, Judged: judged.Judged}},
				Findings:  []finding.Finding{bad, stripped, judged, finding.New("clear.offer", finding.Good, "it is in the list"), finding.New("clear.state-kept", finding.NotApplicable, "no")},
			},
			{
				URL: "smtp://mx.example.org:25", Host: "mx.example.org", Address: "[2001:db8::1]:25", Protocol: "smtp", Outcome: finding.Busy, Why: `the server puts us off: "421 later"`, Connections: 2,
				Findings: []finding.Finding{finding.New("clear.offer", finding.NotTestable, "421")},
			},
		},
		Findings: []finding.Finding{finding.New("mail.dane", finding.Good, "matches")},
		Before:   &before, Changes: []finding.Change{{What: "mx", Since: before, Was: "10 mx.example.org, 20 b.example.org", Is: "10 mx.example.org"}},
	}
	r.Services[0].Changes = []finding.Change{{What: "versions", Since: before, Was: "TLS 1.3", Is: "TLS 1.0, TLS 1.3"}}
	r.Settle()
	return r
}

// TestWhatIsShortIsToldInMilliseconds: nothing takes 0.0 s.
func TestWhatIsShortIsToldInMilliseconds(t *testing.T) {
	for seconds, want := range map[float64]string{0.037: "37 ms", 0.9994: "999 ms", 1: "1.0 s", 84.31: "84.3 s"} {
		if got := took(&finding.Result{Seconds: seconds}); got != want {
			t.Errorf("%g: %s", seconds, got)
		}
	}
}

func TestJSONIsFrozen(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, result()); err != nil {
		t.Fatal(err)
	}
	golden(t, "result-v1.json", b.Bytes())
	var again finding.Result
	if err := json.Unmarshal(b.Bytes(), &again); err != nil || !reflect.DeepEqual(&again, result()) {
		t.Errorf("it does not read back as it was: %v", err)
	}
}

// TestSchemaIsOfTheTypes: whoever changes a field changes the schema, and must think of its version.
func TestSchemaIsOfTheTypes(t *testing.T) {
	definitions := map[string]any{}
	root := schemaOf(reflect.TypeFor[finding.Result](), definitions)
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": finding.Schema,
		"description": "What \"starttls check --format json\" writes of one target; of several it is an array of them. Fields are never renamed or given another meaning under the same version; new ones may come.",
		"$ref":        root["$ref"], "$defs": definitions,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile("schema.json", text, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != Schema {
		t.Error("schema.json is not that of the types; if no field was renamed or lost, make it anew with -update")
	}
}

// words are the types that are words, with all of them.
var words = map[reflect.Type][]string{
	reflect.TypeFor[finding.Verdict]():  strs(finding.Verdicts),
	reflect.TypeFor[finding.Severity](): strs(finding.Severities),
	reflect.TypeFor[finding.Grade]():    strs([]finding.Grade{finding.Certain, finding.Likely, finding.Possible}),
	reflect.TypeFor[finding.Outcome]():  strs([]finding.Outcome{finding.Tested, finding.NoTLS, finding.Busy, finding.Unreachable}),
}

func strs[T ~string](all []T) (texts []string) {
	for _, s := range all {
		texts = append(texts, string(s))
	}
	return texts
}

func schemaOf(t reflect.Type, definitions map[string]any) map[string]any {
	switch {
	case words[t] != nil:
		return map[string]any{"enum": words[t]}
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), definitions)
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), definitions)}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Uint16:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	}
	if definitions[t.Name()] == nil {
		definitions[t.Name()] = true // it may hold itself
		properties, required := map[string]any{}, []string{}
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			properties[name] = schemaOf(t.Field(i).Type, definitions)
			if options != "omitempty" {
				required = append(required, name)
			}
		}
		definitions[t.Name()] = map[string]any{"type": "object", "properties": properties, "required": required}
	}
	return map[string]any{"$ref": "#/$defs/" + t.Name()}
}

func TestTextFitsATerminal(t *testing.T) {
	for name, text := range map[string]Text{"text.txt": {}, "text-all.txt": {All: true}} {
		var b bytes.Buffer
		text.W = &b
		text.Result(result())
		golden(t, name, b.Bytes())
		for line := range strings.Lines(b.String()) {
			if len(strings.TrimRight(line, "\n")) > 80 && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Error("colours without a terminal")
		}
	}
}

// TestAServerCannotWriteOverAReport: not by the names in its certificate, nor by anything else that is its own.
func TestAServerCannotWriteOverAReport(t *testing.T) {
	const orders = "\x1b[2J\x1b]0;good\x07\u009b"
	r := result()
	s := &r.Services[0]
	s.Why, s.Chain[0].Issuer, s.Chain[0].Subject, s.Findings[0].Evidence = orders, orders, orders, orders
	s.Changes = []finding.Change{{What: "certificate", Was: orders, Is: orders}}
	var b bytes.Buffer
	Text{W: &b, All: true}.Result(r)
	c, err := NewCSV(&b)
	if err == nil {
		err = c.Result(r)
	}
	if err != nil || strings.ContainsAny(b.String(), orders[:1]+"\x07\u009b") || !strings.Contains(b.String(), "?[2J?]0;good??") {
		t.Errorf("%v, %q", err, &b)
	}
}

func TestCSVCannotBeAFormula(t *testing.T) {
	var b bytes.Buffer
	c, err := NewCSV(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Result(result()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 8 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got := rows[3][6]; got != "'=250 XXXXXXXA" {
		t.Errorf("a formula: %s", got)
	}
}

func TestNagios(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	status, err := Nagios(&b, result(), at)
	if err != nil || status != NagiosCritical {
		t.Errorf("%d, %v", status, err)
	}
	const want = "STARTTLS CRITICAL: example.org: clear.command-injection, strip.keyword-masked-a, tls.versions|time=1.500s;;;0 insufficient=3;;1;0 phase_out=0;1;;0 not_testable=1;;;0 connections=22;;;0 certificate_days=61;14:;0: changes=2;;;0\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
	for _, row := range []struct {
		result finding.Result
		want   int
	}{
		{finding.Result{Target: "a|b\nc"}, NagiosUnknown},
		{finding.Result{Reached: true, Verdict: finding.Good}, NagiosOK},
		{finding.Result{Reached: true, Verdict: finding.Sufficient}, NagiosOK},
		{finding.Result{Reached: true, Verdict: finding.PhaseOut}, NagiosWarning},
	} {
		b.Reset()
		if got, err := Nagios(&b, &row.result, at); err != nil || got != row.want || strings.Count(b.String(), "\n") != 1 || strings.Count(b.String(), "|") != 1 {
			t.Errorf("%d, want %d: %q, %v", got, row.want, b.String(), err)
		}
	}
}

func TestJUnitIsXML(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, []*finding.Result{result(), {Target: "nowhere"}}); err != nil {
		t.Fatal(err)
	}
	golden(t, "junit.xml", b.Bytes())
	var read struct {
		Suites []struct {
			Tests    int        `xml:"tests,attr"`
			Failures int        `xml:"failures,attr"`
			Skipped  int        `xml:"skipped,attr"`
			Cases    []struct{} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	failures := 0
	for _, s := range read.Suites {
		failures += s.Failures
		if s.Tests != len(s.Cases) {
			t.Errorf("%d cases, and it says %d", len(s.Cases), s.Tests)
		}
	}
	if len(read.Suites) != 4 || failures != 4 {
		t.Errorf("%d suites, %d failures", len(read.Suites), failures)
	}
}

func TestSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := SARIF(&b, []*finding.Result{result()}); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID      string
				RuleIndex   int
				Kind, Level string
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	run := read.Runs[0]
	if read.Version != "2.1.0" || len(run.Results) != 4 {
		t.Fatalf("%+v", run.Results)
	}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("%+v: the index is of another rule", r)
		}
		if (r.Kind == "open") != (r.Level == "none") {
			t.Errorf("%+v", r)
		}
	}
}

func TestLine(t *testing.T) {
	var b bytes.Buffer
	Line(&b, result())
	Line(&b, &finding.Result{Target: "nowhere"})
	const want = "insufficient example.org (1.5 s): clear.command-injection, strip.keyword-masked-a, tls.versions; changed: mx, versions\nunreached    nowhere (0 ms)\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
}

// TestHTMLNeedsNothing: the page names nothing that would have to be fetched, and a peer's words cannot be
// markup.
func TestHTMLNeedsNothing(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, []*finding.Result{result(), {Target: "nowhere", Services: []finding.Service{}}}); err != nil {
		t.Fatal(err)
	}
	golden(t, "page.html", b.Bytes())
	text := b.String()
	for _, not := range []string{"<script", "src=", "href=", "url(", "@import", "<no value>", "ZgotmplZ"} {
		if strings.Contains(text, not) {
			t.Errorf("there is %q in it", not)
		}
	}
	if !strings.Contains(text, "&lt;script&gt;alert(1)") || strings.Count(text, "<svg") < 4 {
		t.Error("something is missing")
	}
}

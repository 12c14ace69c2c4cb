package check

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"starttls/internal/finding"
	"starttls/internal/report"
)

// compared checks here, as seen in the light of what there shows at the same address.
func compared(t *testing.T, here, there animal, edits ...func(*finding.Result)) map[string]finding.Finding {
	t.Helper()
	quick := func(c *Config) { c.Depth = Quick }
	from := result(t, "smtp://"+served(t, there.serve), quick)
	r := result(t, "smtp://"+served(t, here.serve), quick)
	from.Services[0].Address = r.Services[0].Address
	from.Vantage = "elsewhere"
	for _, edit := range edits {
		edit(from)
	}
	var file bytes.Buffer
	if err := report.JSONLine(&file, from); err != nil {
		t.Fatal(err)
	}
	v, err := ReadVantage(&file)
	if err != nil {
		t.Fatal(err)
	}
	v.Compare(r)
	byID := map[string]finding.Finding{}
	for _, f := range r.All {
		byID[f.ID] = f
	}
	return byID
}

func TestWhatDiffersFromElsewhere(t *testing.T) {
	stripped := animal{ehlo: []string{"mx.example.org"}, answers: map[string]string{"STARTTLS": "502 no"}}
	otherKey := func(r *finding.Result) {
		r.Services[0].Chain[0].SPKI, r.Services[0].Chain[0].Issuer = "00", "CN=Antivirus"
	}
	renewed := func(r *finding.Result) { r.Services[0].Chain[0].SPKI = "00" }
	for _, row := range []struct {
		name, id    string
		here, there animal
		edit        func(*finding.Result)
		want        bool
	}{
		{"stripped here", "strip.capability-removed", stripped, animal{}, nil, true},
		{"stripped there", "strip.capability-removed", animal{}, stripped, nil, false},
		{"without TLS on both sides", "strip.capability-removed", stripped, stripped, nil, false},
		{"another key of another issuer", "strip.tls-intercepted", animal{}, animal{}, otherKey, true},
		{"another key of the same issuer", "strip.tls-intercepted", animal{}, animal{}, renewed, false},
		{"the same key", "strip.tls-intercepted", animal{}, animal{}, nil, false},
		{"another name", "strip.banner-swapped", animal{}, animal{ehlo: []string{"isp.example", "STARTTLS"}}, nil, true},
		{"the same name", "strip.banner-swapped", animal{}, animal{}, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var edits []func(*finding.Result)
			if row.edit != nil {
				edits = append(edits, row.edit)
			}
			f, found := compared(t, row.here, row.there, edits...)[row.id]
			if found != row.want || found && (f.Grade == "" || !strings.Contains(f.Evidence, "elsewhere")) {
				t.Errorf("found %v: %+v", found, f)
			}
		})
	}
}

func TestAFileThatIsNone(t *testing.T) {
	for _, text := range []string{"{", `{"schema":"starttls-check/9"}`, "[]", "hosts"} {
		if _, err := ReadVantage(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "result 1") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestASessionThatBeginsLoggedIn: IMAP alone has it.
func TestASessionThatBeginsLoggedIn(t *testing.T) {
	for greeting, want := range map[string]bool{"* PREAUTH welcome back": true, "* OK hello": false} {
		addr := served(t, func(conn net.Conn) {
			fmt.Fprintf(conn, "%s\r\n", greeting)
			for in := bufio.NewScanner(conn); in.Scan(); {
				tag, _, _ := strings.Cut(in.Text(), " ")
				fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1\r\n%s OK\r\n", tag)
			}
		})
		for range runs {
			f, found := checked(t, "imap://"+addr, clearOnly)["strip.preauth"]
			if found != want {
				t.Errorf("%s: %+v", greeting, f)
			}
		}
	}
}

// TestEveryFindingIsInTheZoo: whoever adds a finding adds a server that has the flaw.
func TestEveryFindingIsInTheZoo(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, e := range finding.Catalogue() {
		ofServers := !strings.HasPrefix(e.ID, "client.") // the others have villains of their own
		if ofServers && !strings.Contains(all.String(), `"`+e.ID+`"`) {
			t.Errorf("no test has %s", e.ID)
		}
	}
}

// TestOfferAfterLogin: of a front that passes the login on and offers TLS still, and of one that does not.
// Without an account, and to a server that is not verified, nobody logs in.
func TestOfferAfterLogin(t *testing.T) {
	serve := func(offers bool, asked *atomic.Int32) func(net.Conn) {
		return func(conn net.Conn) {
			fmt.Fprint(conn, "* OK hello\r\n")
			offer := " STARTTLS"
			for in := bufio.NewScanner(conn); in.Scan(); {
				tag, command, _ := strings.Cut(in.Text(), " ")
				switch word, _, _ := strings.Cut(strings.ToUpper(command), " "); {
				case word == "CAPABILITY":
					fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1%s\r\n%s OK\r\n", offer, tag)
				case word == "STARTTLS" && offer != "":
					fmt.Fprintf(conn, "%s OK go\r\n", tag)
					secured := tls.Server(conn, serverTLS())
					conn, in, offer = secured, bufio.NewScanner(secured), ""
				case word == "LOGIN" && offer == "":
					if asked.Add(1); offers {
						offer = " STARTTLS"
					}
					fmt.Fprintf(conn, "%s OK in\r\n", tag)
				case word == "LOGOUT":
					fmt.Fprintf(conn, "* BYE\r\n%s OK\r\n", tag)
					return
				default:
					fmt.Fprintf(conn, "%s BAD no\r\n", tag)
				}
			}
		}
	}
	account := func(c *Config) { c.Account, c.Budget = &Account{"joe", `se"cret`}, 30 }
	for _, row := range []struct {
		name   string
		offers bool
		edits  []func(*Config)
		want   finding.Verdict
		logins int32
	}{
		{"offered", true, []func(*Config){account}, finding.Insufficient, 1},
		{"not offered", false, []func(*Config){account}, finding.Good, 1},
		{"no account", true, nil, finding.NotApplicable, 0},
		{"not verified", true, []func(*Config){account, func(c *Config) { c.Roots = x509.NewCertPool() }}, finding.NotTestable, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var logins atomic.Int32
			addr := served(t, serve(row.offers, &logins))
			if f := checked(t, "imap://"+addr, row.edits...)["clear.offer-after-login"]; f.Verdict != row.want || strings.Contains(f.Evidence, "cret") {
				t.Errorf("%s: %s", f.Verdict, f.Evidence)
			}
			if logins.Load() != row.logins {
				t.Errorf("%d logins, want %d", logins.Load(), row.logins)
			}
		})
	}
}

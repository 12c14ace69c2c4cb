package starttls_test

import (
	"strings"
	"testing"

	"starttls"
)

func TestGoodEndpoints(t *testing.T) {
	good := func(text, want, host string, implicit, local bool) {
		t.Helper()
		e, err := starttls.ParseEndpoint(text, "tls", "match")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if e.String() != want || e.Host != host || e.Implicit != implicit || e.Local() != local || e.Dialect == nil {
			t.Errorf("%s is %+v, as text %s", text, e, e)
		}
		if again, err := starttls.ParseEndpoint(e.String()); err != nil || again.Address != e.Address || again.Network != e.Network {
			t.Errorf("%s, read again as %s: %+v, %v", text, e, again, err)
		}
	}
	good("smtp://mx.example.org", "smtp://mx.example.org:25", "mx.example.org", false, false)
	good("submission://mx.example.org/", "submission://mx.example.org:587", "mx.example.org", false, false)
	good("submissions://mx.example.org", "submissions://mx.example.org:465", "mx.example.org", true, false)
	good("IMAPS://mail.example.org:1993", "imaps://mail.example.org:1993", "mail.example.org", true, false)
	good("imap://:143", "imap://:143", "", false, false)
	good("pop3://", "pop3://:110", "", false, false)
	good("lmtp://localhost", "lmtp://localhost:24", "localhost", false, true)
	good("ldap://[::1]:1389", "ldap://[::1]:1389", "::1", false, true)
	good("ldaps://127.8.9.10", "ldaps://127.8.9.10:636", "127.8.9.10", true, true)
	good("postgres+unix:/run/pg/.s.PGSQL.5432", "postgres+unix:/run/pg/.s.PGSQL.5432", "", false, true)
	good("mysql+unix:///run/mysqld.sock", "mysql+unix:/run/mysqld.sock", "", false, true)
	good("mysql://db:0?tls=may&match=db.example.org", "mysql://db:0", "db", false, false)
	good("postgress://db.example.org", "postgress://db.example.org:5432", "db.example.org", true, false)
}

func TestEndpointOptions(t *testing.T) {
	e, err := starttls.ParseEndpoint("imap://x?tls=may&match=a%20b", "tls", "match")
	if err != nil || e.Options.Get("match") != "a b" {
		t.Errorf("%+v, %v", e.Options, err)
	}
}

func TestBadEndpoints(t *testing.T) {
	bad := func(text, why string) {
		t.Helper()
		if e, err := starttls.ParseEndpoint(text, "tls"); err == nil {
			t.Errorf("%s is %+v", text, e)
		} else if !strings.HasPrefix(err.Error(), text+": ") || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: the error is %v, and does not say %q", text, err, why)
		}
	}
	bad("", "not an endpoint")
	bad("mail.example.org", "not an endpoint")
	bad("mail.example.org:25", "not an endpoint")
	bad("smtp:mx.example.org", "not an endpoint")
	bad("smtp:/mx.example.org", "smtp://host:port")
	bad("gopher://x", `unknown scheme "gopher"`)
	bad("gopher://x", "smtp, submission")
	bad("smtp+tcp://x", `unknown scheme "smtp+tcp"`)
	bad("smtp://x/path", "smtp://host:port")
	bad("smtp://x:http", "invalid port")
	bad("smtp://x:65536", "65535")
	bad("smtp://x:99999999999999999999", "65535")
	bad("smtp://joe@x", "no user")
	bad("smtp://joe:secret@x", "no user")
	bad("smtp://x#frag", "no fragment")
	bad("smtp://x?tsl=may", `unknown option "tsl"; the options here are tls`)
	bad("smtp://x?%zz", "invalid URL escape")
	bad("smtp+unix://host/path", "smtp+unix:/path/of/socket")
	bad("smtp+unix:/", "smtp+unix:/path/of/socket")
	bad("smtp+unix:", "not an endpoint")
	bad("smtp://[::1", "missing ']'")
}

func TestLevelsHaveTheWordsOfPostfix(t *testing.T) {
	for want, word := range []string{"none", "may", "encrypt", "verify", "secure"} {
		level, err := starttls.ParseLevel(word)
		if err != nil || int(level) != want || level.String() != word {
			t.Errorf("%s is %v, %v", word, level, err)
		}
	}
	for _, word := range []string{"", "MAY", "must", "dane "} {
		if level, err := starttls.ParseLevel(word); err == nil || !strings.Contains(err.Error(), "none, may") {
			t.Errorf("%q is %v, %v", word, level, err)
		}
	}
	_ = starttls.Level(200).String() // does not panic
}

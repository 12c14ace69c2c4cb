package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"starttls/dialect"
	"starttls/internal/finding"
)

// A trait is a flaw that a host of every dialect may have, but where there is a hole.
type trait struct {
	id    string
	want  finding.Verdict
	host  host
	quick bool // the honest session shows it
	holes holes
}

// holes are dialects that cannot have a flaw, a list for each reason.
type holes map[string][]string

// of returns why a dialect cannot have the flaw, "" if it can.
func (h holes) of(d *dialect.Dialect) string {
	for why, names := range h {
		if slices.Contains(names, d.Name) {
			return why
		}
	}
	return ""
}

// names splits a list of dialects.
func names(list string) []string { return strings.Fields(list) }

const (
	noList     = "the protocol has no list that it could be missing from; clear.offer tells what there is to tell"
	unasked    = "nobody can ask for what is not in the list"
	noAnswer   = "the protocol has no answer to the upgrade"
	noQuestion = "the protocol has no question that could stand behind the upgrade"
	noGoAhead  = "the protocol has no go-ahead, and so nothing that could come before it"
	noLine     = "the upgrade is not a line of text"
	nothingIn  = "nothing is listed inside TLS"
)

// traits are the flaws of the clear phase that are not one protocol's own.
var traits = []trait{
	{"clear.offer-unlisted", finding.Insufficient, host{hides: true}, true, holes{noList: names("ldap postgres nut rdp amqp http nbd"), unasked: names("mysql telnet vnc")}},
	{"clear.upgrade-works", finding.Insufficient, host{refuses: true}, true, holes{noList: names("ldap postgres nut rdp amqp http nbd")}},
	{"strip.upgrade-refused", finding.Insufficient, host{refuses: true}, true, holes{noList: names("ldap postgres nut rdp amqp http nbd"), noAnswer: names("tds nats mysql")}},
	{"strip.blackhole", finding.Insufficient, host{cuts: true}, true, nil},
	{"strip.plain-after-ready", finding.Insufficient, host{plain: true}, true, holes{"what is no packet is not read": names("tds")}},
	{"clear.command-injection", finding.Insufficient, host{keeps: true}, false, holes{noQuestion: names("telnet mysql nats tds rdp vnc amqp")}},
	{"clear.bytes-after-ready", finding.Insufficient, host{behind: true}, false, holes{
		noQuestion: names("telnet mysql nats tds rdp vnc amqp"), "the question has no answer": names("nbd mtqp"),
	}},
	{"clear.early-hello", finding.Sufficient, host{drops: true}, false, holes{noGoAhead: names("mysql nats tds")}},
	{"clear.word-variants", finding.Insufficient, host{lax: true}, false, holes{noLine: names("ldap postgres mysql xmpp xmpp-server telnet nats http tds rdp vnc nbd amqp")}},
	{"clear.offer-inside", finding.Insufficient, host{offers: true}, true, holes{nothingIn: names("ldap postgres mysql nats http ftp irc nut tds rdp vnc nbd amqp")}},
	{"clear.second-upgrade", finding.Insufficient, host{goesOn: true}, true, holes{
		noAnswer: names("mysql nats tds rdp"), "it is not a request of its own": names("vnc"), "inside TLS it is a request like any other": names("http"),
	}},
}

// bares are what servers without TLS show, besides that they have none.
var bares = []trait{
	{id: "clear.login-before-tls", want: finding.Insufficient, holes: holes{
		"it has no answer": names("irc nats"), "there is no work that could be tried by words alone": names("mysql xmpp xmpp-server telnet mtqp tds rdp vnc nbd amqp"),
	}},
	{id: "clear.mechanisms-before-tls", want: finding.Insufficient, holes: holes{
		"mechanisms that say a password are not what it lists": names("nntp ftp ldap postgres mysql xmpp-server telnet nats http irc mtqp nut tds rdp vnc nbd amqp"),
	}},
}

func dialects() (all []specimen) {
	for _, d := range dialect.All {
		whole, bare := sightings{"clear.offer": finding.Good}, sightings{"clear.offer": finding.Insufficient}
		for _, tr := range traits {
			if tr.holes.of(d) != "" {
				continue
			}
			if whole[tr.id] = finding.Good; strings.HasPrefix(tr.id, "strip.") {
				whole[tr.id] = ""
			}
			all = append(all, tr.specimen(d))
		}
		for _, tr := range bares {
			if tr.holes.of(d) == "" {
				whole[tr.id], bare[tr.id] = finding.Good, tr.want
			}
		}
		all = append(all, serving("whole/"+d.Name, urlOf(d), whole, host{Dialect: d}.serve, clearOnly), specimen{"bare/" + d.Name, bare, func(t *testing.T) look {
			return lookingAt(fmt.Sprintf(urlOf(d), inTheClear(t, d.Schemes[0].Name)), clearOnly)
		}})
	}
	return all
}

func urlOf(d *dialect.Dialect) string { return d.Schemes[0].Name + "://%s?match=" + hostName }

func (tr trait) specimen(d *dialect.Dialect) specimen {
	h, depth := tr.host, clearOnly
	if h.Dialect = d; tr.quick {
		depth = quickly
	}
	return serving(tr.id+"/"+d.Name, urlOf(d), sightings{tr.id: tr.want}, h.serve, depth)
}

// TestHolesAreHoles: a dialect that cannot have a flaw is not found to have it; and each is one.
func TestHolesAreHoles(t *testing.T) {
	if !soaking {
		t.Skip("STARTTLS_SOAK is not set")
	}
	for _, tr := range traits {
		for why, list := range tr.holes {
			for _, name := range list {
				t.Run(tr.id+"/"+name, func(t *testing.T) {
					t.Parallel()
					i := slices.IndexFunc(dialect.All, func(d *dialect.Dialect) bool { return d.Name == name })
					if i < 0 {
						t.Fatalf("%s is no dialect", name)
					}
					s := tr.specimen(dialect.All[i])
					for _, f := range s.house(t)(t, ways[0]).All {
						if f.ID == tr.id && f.Verdict == tr.want {
							t.Errorf("it is found, although %s: %s", why, f.Evidence)
						}
					}
				})
			}
		}
	}
}

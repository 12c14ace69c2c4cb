package dialect

import (
	"slices"
	"testing"
)

// TestOwnWords walks every script with words of our own on both sides, and checks that each side hears
// what the other meant.
func TestOwnWords(t *testing.T) {
	for _, d := range All {
		t.Run(d.Name, func(t *testing.T) {
			var asked Message
			hear := func(s [2]Speech, says Side, m Message) []Message {
				var heard []Message
				for out := s[says].Write(nil, m); len(out) > 0; {
					m, n, err := s[1-says].Read(out)
					if err != nil || n == 0 {
						t.Fatalf("%v says %v as %q: %d, %v", says, m.Kind, out, n, err)
					}
					if says == Client {
						asked = m
					}
					heard, out = append(heard, m), out[n:]
				}
				return heard
			}
			walk := func(script []Line, inside bool) {
				s := [2]Speech{d.Speak(Client, inside), d.Speak(Server, inside)}
				for _, l := range script {
					m := Message{Kind: l.Kind, Name: "mx.example.test", Offer: Offered}
					if l.Says == Server {
						m = asked.Reply(l.Kind, Unknown)
						m.Name, m.Offer = "mx.example.test", Offered
					}
					if inside {
						m.Offer = Unsaid
					}
					heard := hear(s, l.Says, m)
					if len(heard) == 0 {
						if inside || d.Silent && l.Kind == Upgrade {
							continue // its words repeat the login: not ours to make up; or it has none
						}
						t.Fatalf("no words for %v", l.Kind)
					}
					// A header before it or a status behind it is not in the script.
					at := slices.IndexFunc(heard, func(m Message) bool { return m.Kind == l.Kind })
					if at < 0 || heard[at].Why != Unknown {
						t.Errorf("%v is heard as %+v", l.Kind, heard)
					}
					if l.Says == Server && (s[Client].Pending() || s[Server].Pending()) {
						t.Errorf("after %v something is pending", l.Kind)
					}
				}
			}
			walk(d.Script.Clear, false)
			walk(d.Script.Inside, true)
		})
	}
}

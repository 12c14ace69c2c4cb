package dialect

import "testing"

// TestWorkIsSecret: what a prober says for a first piece of work is refused by who demands TLS.
func TestWorkIsSecret(t *testing.T) {
	for _, d := range All {
		if d.Work == "" {
			continue
		}
		s := d.Speak(Server, false)
		if d.Script.ServerFirst() {
			s.Write(nil, Message{Kind: Greeting, Name: "x"})
		}
		m, n, err := s.Read([]byte(d.Work))
		if m.Kind != Secret || n != len(d.Work) || err != nil {
			t.Errorf("%s: %s, %d of %d bytes, %v", d.Name, m.Kind, n, len(d.Work), err)
		}
	}
}

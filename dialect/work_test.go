package dialect

import "testing"

// TestWorkIsSecret: what a prober says for a first piece of work is refused by who demands TLS.
func TestWorkIsSecret(t *testing.T) {
	for _, d := range All {
		for _, work := range []string{d.Work, d.Guess} {
			if work == "" {
				continue
			}
			s := d.Speak(Server, false)
			if d.Script.ServerFirst() {
				s.Write(nil, Message{Kind: Greeting, Name: "x"})
			}
			m, n, err := s.Read([]byte(work))
			if m.Kind != Secret || n != len(work) || err != nil {
				t.Errorf("%s: %s, %d of %d bytes, %v", d.Name, m.Kind, n, len(work), err)
			}
		}
	}
}

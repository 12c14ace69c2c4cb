package villain

import (
	"strconv"
	"strings"

	"starttls/dialect"
)

// glued returns what a villain puts behind its go-ahead: the answer to what the client will ask first
// inside TLS, in the dialect's own words. It is nil where the dialect has none.
func glued(d *dialect.Dialect, v *Villain, upgrade dialect.Message) []byte {
	if v.glue != "" {
		return []byte(v.glue)
	}
	if own := accentOf(d).glue; own != nil {
		return own(upgrade)
	}
	server := d.Speak(dialect.Server, true)
	first := dialect.Message{Mechs: []string{"PLAIN", "LOGIN"}, Name: "localhost"}
	if script := d.Script; script.ServerFirstInside() {
		first.Kind = script.Inside[0].Kind
		return server.Write(nil, first)
	}
	asked, ok := foreseen(d, server)
	if !ok {
		return nil
	}
	first.Kind, first.Re, first.Tag = dialect.Other, asked.Kind, nextTag(upgrade.Tag)
	if isQuestion(asked) {
		first.Kind = dialect.Caps
	}
	return server.Write(nil, first)
}

// foreseen has server hear what a client says first inside TLS: its hello or question, else its work.
func foreseen(d *dialect.Dialect, server dialect.Speech) (asked dialect.Message, ok bool) {
	words := []byte(d.Work)
	if len(d.Script.Inside) > 0 {
		first := dialect.Message{Kind: d.Script.Inside[0].Kind, Name: "localhost"}
		words = d.Speak(dialect.Client, true).Write(nil, first)
	}
	asked, n, err := server.Read(words)
	return asked, err == nil && n > 0
}

// nextTag foretells the tag of a client's next request: nearly all of them count.
func nextTag(tag string) string {
	digits := strings.TrimRight(tag, "0123456789")
	number, err := strconv.Atoi(tag[len(digits):])
	if err != nil {
		return tag
	}
	next := strconv.Itoa(number + 1)
	zeros := max(0, len(tag)-len(digits)-len(next))
	return digits + strings.Repeat("0", zeros) + next
}

// sayEarly says words with the go-ahead behind them, in one segment: the answer to an upgrade that was not
// asked for yet. before is the client's last message.
func (m *meeting) sayEarly(words, before dialect.Message) error {
	_, err := m.conn.Write(append(m.leg.Words(words), goAhead(m.leg.Dialect, nextTag(before.Tag))...))
	return err
}

// goAhead returns what a server says to an upgrade with that tag, or with that of a client of ours if it is
// "": two speeches go the road to it.
func goAhead(d *dialect.Dialect, tag string) []byte {
	client, server := d.Speak(dialect.Client, false), d.Speak(dialect.Server, false)
	var asked dialect.Message
	for _, line := range d.Script.Clear {
		said := dialect.Message{Kind: line.Kind, Name: "localhost", Offer: dialect.Offered}
		if line.Says == dialect.Client {
			asked, _, _ = server.Read(client.Write(nil, said))
			continue
		}
		said.Re, said.Tag = asked.Kind, asked.Tag
		if line.Kind == dialect.Ready && tag != "" {
			said.Tag = tag
		}
		words := server.Write(nil, said)
		if line.Kind == dialect.Ready {
			return words
		}
		client.Read(words)
	}
	return nil
}

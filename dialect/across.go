package dialect

// A Crosser is a Speech of a protocol in which a message is not the same on every leg of a gateway:
// what was said on a leg already is not said there again, and a choice of TLS on one leg is a choice
// without it on the other.
type Crosser interface {
	Speech
	// Across returns m, which was heard on the gateway's other leg, as it is to be said on this one. It
	// reports false when it is not for this leg's peer: a question among them (Hello, Ask) is answered
	// by who asked Across. An answer that would break this leg comes as a No, with the reason in Text. It
	// changes no state.
	Across(m Message) (Message, bool)
}

// A crosser makes a Crosser of a grammar that has across.
type crosser struct{ speech }

func (s crosser) Across(m Message) (Message, bool) {
	return s.grammar.(interface {
		across(m Message) (Message, bool)
	}).across(m)
}

package villain

// nntp: only 382 begins TLS (RFC 4642 §2.2.1).
var nntp = accent{names: []string{"nntp"}, villains: []Villain{answers("502", "502 Command unavailable\r\n")}}

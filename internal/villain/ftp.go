package villain

// ftp: only 234 begins TLS (RFC 4217 §4).
var ftp = accent{names: []string{"ftp"}, villains: []Villain{answers("500", "500 Command not understood\r\n")}}

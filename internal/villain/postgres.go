package villain

import "starttls/dialect"

// postgres: the answer to an SSLRequest is one byte, and what stands behind it is an injection
// (CVE-2021-23222).
var postgres = accent{
	names: []string{"postgres"},
	// AuthenticationCleartextPassword: who takes it says the password, which the true server may never
	// have asked for.
	glue: func(dialect.Message) []byte { return []byte("R\x00\x00\x00\x08\x00\x00\x00\x03") },
	villains: []Villain{
		answers("declined", "N"),
		answers("error", "EFATAL:  no TLS here\n\x00"),
		answers("gss", "G"), // yes to another question
		{Name: "two-answers", ID: "client.injected", Does: "yes and no to the SSLRequest", behind: true, glue: "N"},
	},
}

// Package config reads the program's file: TOML, the words of the command line, every mistake told with
// file, line, column and what was meant.
//
// [Read] knows which keys there are and of which kind their values must be. What values mean, and
// whether the whole makes sense, is said by who uses them, in [File.Errorf], with the same precision.
//
// It opens no sockets and reads no other files.
package config

// A File is the configuration of a gateway. Each key has a flag of the same name in the one-line form,
// unless it says otherwise. Times are texts, see [File.Duration].
type File struct {
	// State is the folder for what the program keeps. If empty, the one of the command line.
	State string `toml:"state"`
	// User is who the program becomes when root has started it and its sockets are open: NAME or NAME:GROUP. If
	// empty, it stays who it is.
	User string `toml:"user"`
	// Overrides is a file of what backends "mx:" demand of single destinations, see docs/policy.md.
	Overrides string `toml:"overrides"`
	// Grace is how long sessions may go on after SIGTERM. If empty, 30 seconds.
	Grace string `toml:"grace"`

	Log     Log     `toml:"log"`
	TLS     TLS     `toml:"tls"`
	ACME    ACME    `toml:"acme"`
	Metrics Metrics `toml:"metrics"`
	DNS     DNS     `toml:"dns"`
	Store   Store   `toml:"store"`
	Routes  []Route `toml:"route"`

	path   string
	places map[string]Place
}

// Log says what is logged, and how.
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn or error. If empty, info.
	Format string `toml:"format"` // text or json. If empty, text.
}

// TLS is what all listeners have in common.
type TLS struct {
	// Certificates are for all routes that name none. If there are none at all, a self-signed one is
	// made and kept.
	Certificates []Certificate `toml:"certificate"`
	MinVersion   string        `toml:"min-version"` // if empty, 1.2
	// Tickets says whose the keys of session tickets are: own, or shared with all that use the same store. If
	// empty, own. Of the one-line form it cannot be said.
	Tickets string `toml:"tickets"`
	// Staple says whether OCSP staples are got for certificates that name a responder: auto, or no. If empty,
	// auto. Of the one-line form it cannot be said.
	Staple string `toml:"staple"`
}

// A Certificate names the PEM files of a chain and its key.
type Certificate struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"` // if empty, it is in the file Cert
}

// ACME says which certificates are got from a CA, and how (RFC 8555).
type ACME struct {
	Directory string   `toml:"directory"` // URL of the CA's. If empty, that of Let's Encrypt.
	Contact   []string `toml:"contact"`   // "mailto:postmaster@example.org"
	CA        string   `toml:"ca"`        // file of what is trusted for the directory's HTTPS; if empty, the system's
	// How names are proved: by HTTP at an address, port 80 from outside; by TLS at an address, port 443 from
	// outside; or in the DNS, by a program or by dynamic update.
	Port80       string            `toml:"http"`
	Port443      string            `toml:"tls-alpn"`
	DNSHook      string            `toml:"dns-hook"`
	DNSUpdate    DNSUpdate         `toml:"dns-update"`
	Certificates []ACMECertificate `toml:"certificate"`
}

// DNSUpdate is where a zone can be changed (RFC 2136), and with which key (RFC 8945).
type DNSUpdate struct {
	Server     string `toml:"server"` // address of the primary, with port
	Zone       string `toml:"zone"`
	Key        string `toml:"key"`         // its name
	SecretFile string `toml:"secret-file"` // has its secret, in base64
	Algorithm  string `toml:"algorithm"`   // if empty, hmac-sha256
}

// ACMECertificate is one certificate to be got, for all routes that name none.
type ACMECertificate struct {
	Names []string `toml:"names"`
	Key   string   `toml:"key"` // ecdsa, rsa, or both: two certificates. If empty, ecdsa.
	// KeyLife is how old a key may become, "8760h", before it is rolled over. If empty, it stays.
	KeyLife string `toml:"key-life"`
	// TLSA are the names of the records "3 1 1" that pin the key: "_25._tcp.mx.example.org".
	TLSA []string `toml:"tlsa"`
}

// Metrics says where the metrics and the status page are to be seen.
type Metrics struct {
	Listen string `toml:"listen"` // HOST:PORT; if empty, nowhere
	// Anywhere says that Listen may be other than loopback: whoever reaches it sees them.
	Anywhere bool `toml:"anywhere"`
}

// DNS says how names are looked up for backends "mx:".
type DNS struct {
	Mode    string   `toml:"mode"`    // validate or trust-ad. If empty, validate.
	Servers []string `toml:"servers"` // if empty, those of the system
	Anchors string   `toml:"anchors"` // file of trust anchors; if empty, the root's are built in
	Bogus   string   `toml:"bogus"`   // with trust-ad: a name that the servers must not answer for
	Probe   string   `toml:"probe"`   // a signed zone by which it is proved that DNSSEC works. If empty, org.
}

// Store says where policies, memory and counts are kept.
type Store struct {
	URL string `toml:"url"` // if empty, SQLite in the state folder
}

// A Route is one listener and what is behind it.
type Route struct {
	Name   string `toml:"name"`   // in the log, and in greetings. If empty, scheme and port in the log, the host's in greetings.
	Host   string `toml:"host"`   // in greetings, if that is not Name
	Listen string `toml:"listen"` // endpoint, see "starttls gateway --help"
	// Backend is an endpoint, or a list of several that do the same: see [Route.Servers]. If empty, a built-in
	// try-out server.
	Backend any `toml:"backend"`
	// Balance is how one of several backends is chosen: first, round-robin or least. If empty, first.
	Balance string `toml:"balance"`
	Health  Health `toml:"health"`
	// Backends are for clients that ask for a host by name: endpoints by name.
	Backends map[string]string `toml:"backends"`
	// Certificates are for this listener alone. If there are none, those of [tls].
	Certificates []Certificate `toml:"certificate"`
	CA           string        `toml:"ca"`          // file of what is trusted for the backend. If empty, the system's.
	ClientCA     string        `toml:"client-ca"`   // file of what is trusted for certificates of clients
	MinVersion   string        `toml:"min-version"` // if empty, that of [tls]

	// Allow are the networks that may hand mail in for backends that pass it on, besides this machine.
	Allow []string `toml:"allow"`
	// Alarm is told of alarms there: an URL, or "command:COMMAND". If empty, the log and the page are all.
	Alarm string `toml:"alarm"`
	// Collector is the socket of a tlsrpt-reporter's collector, which is told of each session there.
	Collector string `toml:"tlsrpt-socket"`

	Timeout    string `toml:"timeout"` // if empty, one minute, five where TLS is optional
	Idle       string `toml:"idle"`    // if empty, twelve hours
	MaxConns   int    `toml:"max-connections"`
	MaxPerAddr int    `toml:"max-per-address"`
}

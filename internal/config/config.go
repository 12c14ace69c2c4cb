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
	// Grace is how long sessions may go on after SIGTERM. If empty, 30 seconds.
	Grace string `toml:"grace"`

	Log     Log     `toml:"log"`
	TLS     TLS     `toml:"tls"`
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
}

// A Certificate names the PEM files of a chain and its key.
type Certificate struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"` // if empty, it is in the file Cert
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
}

// Store says where policies, memory and counts are kept.
type Store struct {
	URL string `toml:"url"` // if empty, SQLite in the state folder
}

// A Route is one listener and what is behind it.
type Route struct {
	Name    string `toml:"name"`    // in logs and greetings. If empty, the host's name.
	Listen  string `toml:"listen"`  // endpoint, see "starttls gateway --help"
	Backend string `toml:"backend"` // endpoint. If empty, a built-in try-out server.
	// Backends are for clients that ask for a host by name: endpoints by name.
	Backends map[string]string `toml:"backends"`
	// Certificates are for this listener alone. If there are none, those of [tls].
	Certificates []Certificate `toml:"certificate"`
	CA           string        `toml:"ca"`          // file of what is trusted for the backend. If empty, the system's.
	MinVersion   string        `toml:"min-version"` // if empty, that of [tls]

	// Allow are the networks that may hand mail in for backends that pass it on, besides this machine.
	Allow []string `toml:"allow"`

	Timeout    string `toml:"timeout"` // if empty, one minute, five where TLS is optional
	Idle       string `toml:"idle"`    // if empty, twelve hours
	MaxConns   int    `toml:"max-connections"`
	MaxPerAddr int    `toml:"max-per-address"`
}

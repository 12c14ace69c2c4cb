package config

import "errors"

// Servers returns the endpoints of Backend: in the file one text, or a list of them.
func (r Route) Servers() ([]string, error) {
	switch backend := r.Backend.(type) {
	case nil:
		return nil, nil
	case []string:
		return backend, nil
	case string:
		if backend == "" {
			return nil, nil
		}
		return []string{backend}, nil
	case []any:
		all := make([]string, len(backend))
		for i, one := range backend {
			text, ok := one.(string)
			if !ok {
				return nil, errServers
			}
			all[i] = text
		}
		return all, nil
	}
	return nil, errServers
}

var errServers = errors.New("a text or a list of texts is meant")

// Health says how several backends of a route are checked. Of the one-line form nothing of it can be said.
type Health struct {
	Interval string `toml:"interval"` // if empty, ten seconds
	Timeout  string `toml:"timeout"`  // for one check. If empty, five seconds
	Fall     int    `toml:"fall"`     // failures in a row that make one down. If zero, three
	Rise     int    `toml:"rise"`     // successes in a row that make it well again. If zero, two
}

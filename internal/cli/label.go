package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"starttls"
	"starttls/internal/config"
)

// labelRoutes fills in what the log and the metrics call routes: their names, or scheme and port. Two that would be the
// same by that are told apart by their addresses, whichever stands first in the file.
func labelRoutes(file *config.File, routes []*running) {
	taken := make(map[string]int)
	for _, route := range file.Routes {
		taken[route.Name]++
	}
	for _, r := range routes {
		if r.Label == "" {
			taken[shortLabel(r.listen)]++
		}
	}
	for _, r := range routes {
		if r.Label != "" {
			continue
		}
		if r.Label = shortLabel(r.listen); taken[r.Label] == 1 {
			continue
		}
		r.Label = r.listen.Scheme + "-" + r.listen.Address
		for long, n := r.Label, 2; taken[r.Label] > 0; n++ { // ports that the system chooses
			r.Label = fmt.Sprintf("%s-%d", long, n)
		}
		taken[r.Label]++
	}
}

// shortLabel is the scheme and the port, or the name of the socket: "imap-143".
func shortLabel(e starttls.Endpoint) string {
	last := filepath.Base(e.Address)
	if e.Network == "tcp" {
		last = e.Address[strings.LastIndexByte(e.Address, ':')+1:]
	}
	return e.Scheme + "-" + last
}

package check

import (
	"fmt"
	"strings"

	"starttls"
	"starttls/internal/policy"
)

// A Target is what is to be checked: a service, or a mail domain.
type Target struct {
	Text     string              // as given
	Domain   *policy.Destination // a mail domain, nil for a service
	Endpoint starttls.Endpoint   // of a service
	Match    string              // the name that the certificate must be for
}

// ParseTarget reads a target: a URL such as imap://mail.example.org, with match=NAME if the certificate is
// to be for another name than the host; or a mail domain.
func ParseTarget(text string) (Target, error) {
	if !strings.Contains(text, ":/") {
		d, err := policy.ParseDestination(text)
		if err != nil {
			return Target{}, fmt.Errorf("%w; meant is a mail domain, or a URL such as imap://mail.example.org", err)
		}
		return Target{Text: text, Domain: &d}, nil
	}
	e, err := starttls.ParseEndpoint(text, "match")
	if err != nil {
		return Target{}, err
	}
	t := Target{Text: text, Endpoint: e, Match: e.Options.Get("match")}
	if t.Match == "" {
		t.Match = e.Host
	}
	return t, nil
}

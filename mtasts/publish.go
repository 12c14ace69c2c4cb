package mtasts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// NewPolicy makes a policy to be published; its Text is what the policy host must serve. Patterns are as in
// Policy.MX. It fails if senders would refuse it.
func NewPolicy(mode Mode, maxAge time.Duration, patterns ...string) (*Policy, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", mode)
	for _, pattern := range patterns {
		fmt.Fprintf(&b, "mx: %s\r\n", pattern)
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", maxAge/time.Second)
	p, err := ParsePolicy([]byte(b.String()))
	switch {
	case err != nil:
		return nil, err
	case p.MaxAge != maxAge:
		return nil, fmt.Errorf("max_age is whole seconds, %d at most", MaxAge/time.Second)
	case len(p.MX) != len(patterns):
		return nil, fmt.Errorf("one of %q is more than a pattern", patterns)
	}
	return p, nil
}

// Record returns the record that announces the policy at _mta-sts.DOMAIN. Its id comes from the text, so
// that another policy has another id, and the same one the same.
func (p *Policy) Record() string {
	sum := sha256.Sum256([]byte(p.Text))
	return "v=STSv1; id=" + hex.EncodeToString(sum[:16]) + ";"
}

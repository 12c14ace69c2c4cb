package relay

import (
	"reflect"

	"starttls/internal/policy"
)

// take returns the session that was kept from the last message if it is what an attempt would open anew:
// one for the same destination, under the same demands. So nothing that was not verified for a message
// carries it, REQUIRETLS included, and a certificate is never taken to be for another domain than the one
// whose names it was held against. A session that does not fit ends.
func (d *delivery) take(a *policy.Attempt) *hop {
	h := d.spare
	if h == nil {
		return nil
	}
	d.spare = nil
	switch {
	case !h.rest.Stop(): // it has just ended by itself
		return nil
	case h.r.Buffered() > 0, !sameDemand(h.attempt, a):
		h.quit()
		return nil
	}
	h.attempt = a
	return h
}

// retire ends a session that was kept, if there is one.
func (h *hop) retire() {
	if h != nil && h.rest.Stop() {
		h.quit()
	}
}

// sameDemand reports whether two attempts are the same but for the evidence that they rest on.
func sameDemand(a, b *policy.Attempt) bool {
	return a.Host == b.Host && a.Port == b.Port && a.Level == b.Level && a.Source == b.Source && a.SNI == b.SNI &&
		a.RequireTLS == b.RequireTLS && reflect.DeepEqual(a.Names, b.Names) && reflect.DeepEqual(a.TLSA, b.TLSA)
}

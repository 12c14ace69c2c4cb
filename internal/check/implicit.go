package check

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"starttls"
	"starttls/dialect"
	"starttls/internal/finding"
)

// judgeImplicitPort looks for the service at the port for implicit TLS of the same address. Of one that is
// at a port of its own nobody knows where that would be.
func (v *visit) judgeImplicitPort(ctx context.Context) {
	const id = "tls.implicit-port"
	_, scheme := dialect.ByScheme(v.endpoint.Scheme)
	if scheme.Beside == "" {
		return
	}
	defer v.settle(id)
	host, port, err := net.SplitHostPort(v.address)
	if err != nil || port != strconv.Itoa(int(scheme.Port)) {
		v.say(id, finding.NotApplicable, "the service is not at port %d, so nobody knows where the other would be", scheme.Port)
		return
	}
	_, implicit := dialect.ByScheme(scheme.Beside)
	there := net.JoinHostPort(host, strconv.Itoa(int(implicit.Port)))
	verdict, evidence := v.askImplicit(ctx, there)
	v.say(id, verdict, "port %d: %s", implicit.Port, evidence)
}

// askImplicit has one session that begins with TLS at another port of the address, out of the same budget.
func (v *visit) askImplicit(ctx context.Context, address string) (finding.Verdict, string) {
	there := *v
	there.address, there.honest = address, nil
	there.endpoint.Implicit, there.endpoint.Address = true, address
	turn := v.take(address) // who has it waits for no other
	t, err := there.talk(ctx, edit{})
	v.give(address, turn)
	v.ended = there.ended
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return finding.Sufficient, "nobody listens"
	case err != nil:
		return finding.NotTestable, err.Error()
	case t.stage < secured && cutOff(t):
		return finding.NotTestable, cause(t)
	case t.stage < secured:
		return finding.PhaseOut, "TLS does not begin: " + cause(t)
	case errors.Is(t.err, starttls.ErrNoise):
		return finding.PhaseOut, fmt.Sprintf("inside TLS is not %s: %v", v.endpoint.Dialect.Name, t.err)
	case t.stage < left:
		return finding.NotTestable, cause(t)
	}
	return finding.Good, tls.VersionName(t.state.Version)
}

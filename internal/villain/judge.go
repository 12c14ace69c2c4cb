package villain

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"starttls/internal/finding"
)

// seen is what a client did, on all its connections with one villain.
type seen struct {
	began  int    // connections
	visits int    // those that have ended
	shook  int    // handshakes that succeeded
	clear  string // what it said in the clear that is secret
	inside string // and inside TLS
	took   bool   // an answer that stood there before its question
	hasty  bool   // a go-ahead that did
	why    string // the end of the last one
}

// add adds a connection.
func (s *seen) add(one seen) {
	s.visits += one.visits
	s.shook += one.shook
	s.took, s.hasty = s.took || one.took, s.hasty || one.hasty
	if s.clear == "" {
		s.clear = one.clear
	}
	if s.inside == "" {
		s.inside = one.inside
	}
	s.why = one.why
}

// end notes how a connection ended.
func (s *seen) end(err error) {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		s.why = "it leaves"
	default:
		s.why = finding.Quote([]byte(err.Error()))
	}
}

// judge says what is known of the client at one villain. The caller holds the lock.
func (s *Stage) judge(l *Listener) finding.Finding {
	verdict, evidence := l.seen.verdict(l.Villain, s.Listeners[0].seen.inside != "")
	return finding.New(l.ID, verdict, l.Name+": "+evidence)
}

// verdict judges; through says that the client does real work with the honest server.
func (s *seen) verdict(v *Villain, through bool) (finding.Verdict, string) {
	honest := v.ID == "client.honest"
	switch {
	case s.visits == 0:
		return finding.NotTestable, absent
	case s.clear != "":
		return finding.Insufficient, fmt.Sprintf("says %s in the clear", s.clear)
	case honest && s.inside != "":
		return finding.Good, fmt.Sprintf("says %s inside TLS", s.inside)
	case honest && s.shook > 0:
		return finding.NotTestable, "comes to TLS and does nothing there: have it log in or send, or nothing follows from the others"
	case honest:
		return finding.NotTestable, "does not come to TLS: " + s.why
	case s.took:
		return finding.Insufficient, "takes an answer that stood there before its question"
	case s.inside != "":
		return finding.Insufficient, fmt.Sprintf("says %s to it", s.inside)
	case !through:
		return finding.NotTestable, "says nothing secret, as little as to the honest server: nothing follows"
	case s.hasty:
		return finding.Sufficient, "begins the handshake without waiting for the answer to its request"
	case v.behind && s.shook > 0:
		return finding.Sufficient, "goes on, without reading what stood behind the go-ahead"
	case s.shook > 0:
		return finding.Good, "leaves after the handshake"
	}
	return finding.Good, "gives nothing away"
}

// Result returns what is known of the client: for each finding the worst of what its villains have seen.
func (s *Stage) Result() *finding.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.config.Endpoint
	service := finding.Service{
		URL: e.String(), Host: s.config.Names[0], Address: s.Listeners[0].Addr, Protocol: e.Dialect.Name, Implicit: e.Implicit,
		Outcome: finding.Unreachable, Why: absent,
	}
	for _, l := range s.Listeners {
		if service.Connections += l.seen.visits; l.seen.visits > 0 {
			service.Outcome, service.Why = finding.Tested, ""
		}
		service.Findings = merge(service.Findings, s.judge(l))
	}
	r := &finding.Result{Schema: finding.Schema, Target: e.String(), Started: s.from.UTC(), Seconds: time.Since(s.from).Round(time.Millisecond).Seconds(),
		Services: []finding.Service{service}, Findings: []finding.Finding{}}
	r.Settle()
	return r
}

// merge adds findings to those that there are, of which one with the same id gives way to a graver one.
func merge(all []finding.Finding, more ...finding.Finding) []finding.Finding {
	for _, f := range more {
		i := slices.IndexFunc(all, func(g finding.Finding) bool { return g.ID == f.ID })
		switch {
		case i < 0:
			all = append(all, f)
		case graver(f.Verdict, all[i].Verdict):
			all[i] = f
		}
	}
	return all
}

// graver orders verdicts of villains of one finding: what was not tested hides what is good.
func graver(v, w finding.Verdict) bool {
	if v == finding.NotTestable || w == finding.NotTestable {
		return v == finding.Insufficient || v == finding.NotTestable && w != finding.Insufficient
	}
	return v.Worse(w)
}

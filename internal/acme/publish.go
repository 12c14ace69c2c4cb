package acme

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Record is one to be published.
type Record struct {
	Name string // owner, without the last dot
	Type string // "TXT" or "TLSA"
	Data string // as in a zone file, but a text without quotes
	TTL  time.Duration
}

// A Publisher changes a zone.
type Publisher interface {
	Add(ctx context.Context, r Record) error
	Remove(ctx context.Context, r Record) error
}

// maxPublish bounds a change of a zone.
const maxPublish = time.Minute

// A Hook is a program that changes a zone: it is called with "add" or "remove", and the record's name,
// type, data and TTL in seconds as arguments. It has failed if it does not exit with 0 within a minute.
type Hook struct{ Command string }

// Add calls the program with "add".
func (h Hook) Add(ctx context.Context, r Record) error { return h.run(ctx, "add", r) }

// Remove calls it with "remove".
func (h Hook) Remove(ctx context.Context, r Record) error { return h.run(ctx, "remove", r) }

func (h Hook) run(ctx context.Context, what string, r Record) error {
	ctx, cancel := context.WithTimeout(ctx, maxPublish)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Command, what, r.Name, r.Type, r.Data, strconv.Itoa(int(r.TTL.Seconds())))
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("DNS hook %s %s %s %s: %w: %q", h.Command, what, r.Name, r.Type, err, out[:min(len(out), 200)])
	}
	return nil
}

// An Update changes a zone by dynamic update (RFC 2136), signed by TSIG (RFC 8945).
type Update struct {
	Server    string // address of the primary, with port
	Zone      string
	Key       string // name of the TSIG key; empty for an update that is not signed
	Secret    string // of the key, in base64
	Algorithm string // of the key. If empty, hmac-sha256.
}

// Add puts a record into the zone beside those that are there.
func (u Update) Add(ctx context.Context, r Record) error {
	return u.send(ctx, r, (*dns.Msg).Insert)
}

// Remove takes this one record away.
func (u Update) Remove(ctx context.Context, r Record) error {
	return u.send(ctx, r, (*dns.Msg).Remove)
}

func (u Update) send(ctx context.Context, r Record, change func(*dns.Msg, []dns.RR)) error {
	rr, err := r.rr()
	if err != nil {
		return err
	}
	m := new(dns.Msg).SetUpdate(dns.Fqdn(u.Zone))
	change(m, []dns.RR{rr})
	client := &dns.Client{Net: "tcp", Timeout: maxPublish}
	if u.Key != "" {
		algorithm := u.Algorithm
		if algorithm == "" {
			algorithm = dns.HmacSHA256
		}
		m.SetTsig(dns.Fqdn(u.Key), dns.Fqdn(algorithm), 300, time.Now().Unix())
		client.TsigSecret = map[string]string{dns.Fqdn(u.Key): u.Secret}
	}
	answer, _, err := client.ExchangeContext(ctx, m, u.Server)
	switch {
	case err != nil:
		return fmt.Errorf("DNS update of %s at %s: %w", r.Name, u.Server, err)
	case answer.Rcode != dns.RcodeSuccess:
		return fmt.Errorf("DNS update of %s at %s: %s", r.Name, u.Server, dns.RcodeToString[answer.Rcode])
	case u.Key != "" && answer.IsTsig() == nil:
		return fmt.Errorf("DNS update of %s at %s: the answer is not signed", r.Name, u.Server)
	}
	return nil
}

func (r Record) rr() (dns.RR, error) {
	data := r.Data
	if r.Type == "TXT" {
		data = strconv.Quote(data)
	}
	if strings.ContainsAny(r.Name+r.Data, "\r\n") {
		return nil, errors.New("a record has one line")
	}
	return dns.NewRR(fmt.Sprintf("%s %d IN %s %s", dns.Fqdn(r.Name), int(r.TTL.Seconds()), r.Type, data))
}

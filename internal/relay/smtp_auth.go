package relay

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"starttls"
)

// An authError is a login that failed. It is no fault of the message, which waits.
type authError struct{ error }

func (e *authError) Unwrap() error { return e.error }

// login logs in (RFC 4954 §4).
func (h *hop) login(ctx context.Context, a *Auth) error {
	if !h.addr.Addr().IsLoopback() && (h.tls == nil || h.attempt.Level < starttls.Verify) {
		return &authError{errors.New("no login without verified TLS")}
	}
	name, err := a.mech(h.offers["AUTH"])
	if err != nil {
		return &authError{err}
	}
	secret, err := a.Secret(ctx)
	if err != nil {
		return &authError{fmt.Errorf("no secret: %w", err)}
	}
	h.deadline(h.relay.Times.Command)
	if err := h.exchange(name, newMechanism(name, a.User, secret)); err != nil {
		return &authError{err}
	}
	return nil
}

// longestInitial is how long an AUTH command may be with the initial response in it (RFC 4954 §4,
// RFC 5321 §4.5.3.1.4).
const longestInitial = 510

// exchange answers challenges until the server has decided.
func (h *hop) exchange(name string, mech mechanism) error {
	response, err := mech.answer(nil)
	if err != nil {
		return err
	}
	command := "AUTH " + name
	if with := command + " " + encode(response); response != nil && len(with) <= longestInitial {
		command, response = with, nil
	}
	r, err := h.ask(command)
	for range 5 {
		if err != nil || r.code != 334 {
			break
		}
		if response == nil {
			challenge, err := base64.StdEncoding.DecodeString(r.lines[0])
			if err != nil {
				return errSASL
			}
			if response, err = mech.answer(challenge); err != nil {
				h.ask("*") // RFC 4954 §4: the exchange is given up
				return err
			}
		}
		r, err = h.ask(base64.StdEncoding.EncodeToString(response))
		response = nil
	}
	switch {
	case err != nil:
		return err
	case r.code != 235:
		return fmt.Errorf("the login was refused: %s", r)
	}
	return mech.done()
}

// encode writes an initial response; one that is there and empty is "=" (RFC 4954 §4).
func encode(response []byte) string {
	if len(response) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(response)
}

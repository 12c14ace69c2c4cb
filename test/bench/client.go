//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

// talkLimit bounds each conversation, so that no load can hang.
const talkLimit = 30 * time.Second

// A dialogue is what a client says in one protocol.
type dialogue struct {
	name  string
	clear []string // up to the upgrade, which is the last
	login []string // inside, up to being at work
	bye   string
	last  func(line string) bool // ends an answer
}

var dialogues = map[string]dialogue{
	"smtp": {
		name: "smtp", clear: []string{"EHLO client.test", "STARTTLS"},
		login: []string{"EHLO client.test"}, bye: "QUIT",
		last: func(line string) bool { return len(line) > 3 && line[3] == ' ' },
	},
	// A login, because without one nginx never turns to the backend.
	"imap": {
		name: "imap", clear: []string{"a CAPABILITY", "a STARTTLS"},
		login: []string{"a LOGIN joe secret", "a NOOP"}, bye: "a LOGOUT",
		last: func(line string) bool { return strings.HasPrefix(line, "a ") },
	},
}

// ask says a command and returns the last line of its answer.
func (d dialogue) ask(t *talk, command string) (string, error) {
	if err := t.say(command + "\r\n"); err != nil {
		return "", err
	}
	for {
		line, err := t.line()
		if err != nil {
			return "", fmt.Errorf("after %q: %w", command, err)
		}
		if d.last(line) {
			if strings.HasPrefix(line, "a ") && !strings.HasPrefix(line, "a OK") || line[0] == '4' || line[0] == '5' {
				return line, fmt.Errorf("%q was answered with %q", command, line)
			}
			return line, nil
		}
	}
}

func (d dialogue) asks(t *talk, commands []string) error {
	for _, c := range commands {
		if _, err := d.ask(t, c); err != nil {
			return err
		}
	}
	return nil
}

// enter connects, goes through STARTTLS if config is not nil, and logs in.
func (d dialogue) enter(addr string, config *tls.Config) (*talk, error) {
	conn, err := net.DialTimeout("tcp4", addr, talkLimit)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(talkLimit))
	t, err := d.upgrade(conn, config)
	if err == nil {
		err = d.asks(t, d.login)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

func (d dialogue) upgrade(conn net.Conn, config *tls.Config) (*talk, error) {
	t := newTalk(conn)
	if _, err := t.line(); err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	if config == nil {
		return t, nil
	}
	if err := d.asks(t, d.clear); err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil {
		return nil, err
	}
	return newTalk(secured), nil
}

// session is one whole session, from the connection to the last word.
func (d dialogue) session(addr string, config *tls.Config) error {
	t, err := d.enter(addr, config)
	if err != nil {
		return err
	}
	defer t.Close()
	_, err = d.ask(t, d.bye)
	return err
}

// clientTLS is the configuration of every client: TLS 1.3, one group, no resumption. The chain is not
// verified, which would cost the client and no proxy; the signature of the handshake is.
func clientTLS(group tls.CurveID) *tls.Config {
	return &tls.Config{
		ServerName: "localhost", InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{group}, DynamicRecordSizingDisabled: true,
	}
}

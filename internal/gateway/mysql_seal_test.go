package gateway_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"starttls/internal/gateway"
)

// A server of MySQL 8 in the clear, as its documentation has it: it does not know the user's hash yet and
// wants the password, sealed with its key unless the connection is a unix socket.

const (
	sha2Secret   = "my-own-secret-that-is-longer-than-the-salt"
	sha2Salt     = "saltsaltsaltsaltsalt" // as in mysqlGreeting
	mysqlDone    = "\x00\x00\x00\x02\x00\x00\x00"
	mysqlDenied  = "\xff\x15\x04#28000Access denied"
	mysqlFullAsk = "\x01\x04"
)

var serverKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// sha2Key is what the server answers to a request for its key.
func sha2Key() string {
	der, err := x509.MarshalPKIXPublicKey(serverKey().Public())
	if err != nil {
		panic(err)
	}
	return "\x01" + string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// sha2Server wants full authentication and answers a request for its key with key.
func sha2Server(key string) func(*peer) {
	return func(c *peer) {
		number := byte(2)
		say := func(body string) { c.say(mysqlPacket(number, body)); number += 2 }
		c.say(mysql.greeting)
		if _, err := c.heard(); err != nil {
			return
		}
		say(mysqlFullAsk)
		asked, err := c.heard()
		if err != nil {
			return
		}
		if asked[4:] == "\x02" {
			number = asked[3] + 1
			say(key)
			if asked, err = c.heard(); err != nil {
				return
			}
			plain, err := rsa.DecryptOAEP(sha1.New(), nil, serverKey(), []byte(asked[4:]), nil)
			for i := range plain {
				plain[i] ^= sha2Salt[i%len(sha2Salt)]
			}
			asked = asked[:4] + string(plain)
			if err != nil {
				asked = ""
			}
		} else if _, socket := c.wire.Conn.(*net.UnixConn); !socket {
			asked = "" // nobody says a password in the clear
		}
		if number = 3; len(asked) > 4 {
			number = asked[3] + 1
		}
		if len(asked) < 4 || asked[4:] != sha2Secret+"\x00" {
			say(mysqlDenied)
			return
		}
		say(mysqlDone)
		if _, err := c.heard(); err == nil {
			number = 1
			say(mysqlDone)
		}
	}
}

// sha2Login logs in inside TLS as any client does, and returns what the server says last.
func sha2Login(addr string) (string, error) {
	c, err := greeted(addr, mysql)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.say(mysql.upgrade); err != nil {
		return "", err
	}
	if err := c.shake(credulousTLS()); err != nil {
		return "", err
	}
	login := mysqlSecure + "\x00\x00\x00\x01\x2d" + strings.Repeat("\x00", 23) + "joe\x00\x03abccaching_sha2_password\x00"
	if err := c.expect(mysqlPacket(2, login), mysqlPacket(3, mysqlFullAsk)); err != nil {
		return "", err
	}
	answer, err := c.ask(mysqlPacket(4, sha2Secret+"\x00"))
	if err != nil || !strings.HasPrefix(answer[3:], "\x05") {
		return "", fmt.Errorf("%s: %v", show(answer), err)
	}
	if answer[4:] != mysqlDone {
		return answer[4:], nil
	}
	return answer[4:], c.expect(mysqlPacket(0, "\x0e"), "\x00\x00\x00\x02") // and a ping
}

// TestMySQLPasswordsAreSealed: a password said inside TLS does not pass in the clear behind.
func TestMySQLPasswordsAreSealed(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ key, want, outcome string }{
		"sealed":        {sha2Key(), mysqlDone, "tls"},
		"no key":        {mysqlDenied, mysqlDenied, "tls"},
		"what is none":  {"\x01key", "\xff\x1d\x04", "backend-failed"},
		"a key of none": {"\x01" + string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("key")})), "\xff\x1d\x04", "backend-failed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := scripted(t, mysql, sha2Server(row.key))
			g := start(t, mysql, to(b))
			answer, err := sha2Login(g.addr)
			must(t, err)
			if !strings.HasPrefix(answer, row.want) {
				t.Errorf("the login ends with %s", show(answer))
			}
			must(t, g.outcome(row.outcome))
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, c := range b.came {
				if strings.Contains(c.wire.all(), sha2Secret) {
					t.Error("the password came in the clear")
				}
			}
			if strings.Contains(g.text(), sha2Secret) {
				t.Error("the password is in the log")
			}
		})
	}
}

// On a unix socket the server wants the password as it is, and nobody else can hear it.
func TestMySQLPasswordsPassOnSockets(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	must(t, err)
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go sha2Server("")(newPeer(conn, mysql))
		}
	}()
	g := start(t, mysql, func(r *gateway.Route) {
		r.Back.Dial = dialerOf("unix", ln.Addr().String())
	})
	answer, err := sha2Login(g.addr)
	must(t, err)
	if answer != mysqlDone {
		t.Errorf("the login ends with %s", show(answer))
	}
}

package dialect

import (
	"bytes"
	"testing"
)

// mysqlSHA2Login is a login that begins with caching_sha2_password, or another plugin, and a database.
func mysqlSHA2Login(number byte, plugin string) []byte {
	head := mysqlFirst(number, 32, plainFlags|mysqlWithDB|mysqlSecure|mysqlPlugins)[mysqlHeader:]
	return mysqlPacket(number, head, []byte("joe\x00\x03abcnews\x00"+plugin+"\x00"))
}

func mixed(password, salt string) string {
	b := []byte(password + "\x00")
	for i := range b {
		b[i] ^= salt[i%len(salt)]
	}
	return string(b)
}

// What a client inside TLS says in the clear is asked a key for and sealed, whatever its first plugin was.
func TestMySQLFullAuthentication(t *testing.T) {
	const own, other = "starttls-starttls-20", "another-salt-of-20-b"
	for name, row := range map[string]struct{ plugin, change, salt string }{
		"at once":        {plugin: mysqlSHA2, salt: own},
		"after a change": {plugin: "mysql_native_password", change: "\xfe" + mysqlSHA2 + "\x00" + other + "\x00", salt: other},
	} {
		t.Run(name, func(t *testing.T) {
			back := greeted(Client, Unsaid).(Sealer)
			number := byte(1)
			client := func(m Message) []byte { number++; return back.Write(nil, m) }
			server := func(contents string) Message {
				number++
				return readOne(t, back, mysqlPacket(number-1, []byte(contents)))
			}
			client(Message{Raw: mysqlSHA2Login(1, row.plugin)})
			if row.change != "" {
				server(row.change)
				client(Message{Raw: mysqlPacket(number, []byte("proof"))})
			}
			password := Message{Kind: Secret, Raw: mysqlPacket(9, []byte("a password longer than the salt\x00"))}
			if _, ok := back.Bare(password); ok {
				t.Fatal("a password that nobody asked for")
			}
			server("\x01\x04")
			plain, ok := back.Bare(password)
			if want := mixed("a password longer than the salt", row.salt); !ok || string(plain) != want {
				t.Fatalf("%q, %v, want %q", plain, ok, want)
			}
			if _, ok := back.Bare(Message{Raw: mysqlPacket(9, []byte("\x02"))}); ok {
				t.Error("a request for the key is taken for a password")
			}
			if ask, want := client(back.AskKey()), mysqlPacket(number-1, []byte{2}); !bytes.Equal(ask, want) || !back.Pending() {
				t.Fatalf("%x, want %x", ask, want)
			}
			if key := back.Key(server("\x01-----BEGIN")); string(key) != "-----BEGIN" || back.Pending() {
				t.Fatalf("%q", key)
			}
			if sealed, want := client(back.Sealed([]byte("sealed"))), mysqlPacket(number-1, []byte("sealed")); !bytes.Equal(sealed, want) || !back.Pending() {
				t.Fatalf("%x, want %x", sealed, want)
			}
			if _, ok := back.Bare(password); ok {
				t.Error("sealed twice")
			}
			if server(string(mysqlOK)); !back.Settled() {
				t.Error("not settled")
			}
		})
	}
}

// Other plugins have their own meaning for the same bytes.
func TestMySQLSealsForItsPluginAlone(t *testing.T) {
	for name, login := range map[string][]byte{
		"dialog":         mysqlSHA2Login(1, "dialog"),
		"none named":     mysqlFirst(1, 120, plainFlags&^mysqlPlugins),
		"cut":            mysqlSHA2Login(1, mysqlSHA2)[:45],
		"as the name":    mysqlPacket(1, mysqlFirst(1, 32, plainFlags|mysqlPlugins)[mysqlHeader:], []byte(mysqlSHA2+"\x00\x00dialog\x00")),
		"a proof beyond": mysqlPacket(1, mysqlFirst(1, 32, plainFlags|mysqlPlugins)[mysqlHeader:], []byte("joe\x00\xffabc")),
	} {
		login[0] = byte(len(login) - mysqlHeader)
		back := greeted(Client, Unsaid).(Sealer)
		back.Write(nil, Message{Raw: login})
		readOne(t, back, mysqlPacket(2, []byte{1, 4}))
		if _, ok := back.Bare(Message{Raw: mysqlPacket(3, []byte("password\x00"))}); ok {
			t.Errorf("%s: taken for %s", name, mysqlSHA2)
		}
	}
	for name, m := range map[string]Message{"empty": {}, "OK": {Raw: mysqlPacket(4, mysqlOK)}, "no more": {Raw: mysqlPacket(4, []byte{1})}} {
		if key := greeted(Client, Unsaid).(Sealer).Key(m); key != nil {
			t.Errorf("%s: a key %q", name, key)
		}
	}
	for _, inside := range []bool{false, true} {
		if _, ok := MySQL.Speak(Server, inside).(Sealer); ok {
			t.Error("a server seals")
		}
	}
	if _, ok := MySQL.Speak(Client, true).(Sealer); ok {
		t.Error("sealed inside TLS")
	}
}

//go:build linux

package faults

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"starttls/internal/store"
	"starttls/test/peers/peer"
)

// Domains of the lab: two that are asked about, the second when the store has gone, and one that gets mail.
const (
	asked, unknown = "sts-enforce.test", "sts-wildcard.test"
	delivered      = "dane-ee.test"
)

// TestTheStoreIsGone while a policy server and a gateway to mx: work with it: each question is answered and
// each message delivered as before. The log says when it goes and when it is back, and nothing that was
// counted meanwhile is lost.
func TestTheStoreIsGone(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]func(t *testing.T, dir string) (url string, take, giveBack func()){
		"PostgreSQL is killed": func(t *testing.T, _ string) (string, func(), func()) {
			pg := peer.StartPostgres(t, peer.PostgresOptions{Mode: peer.ModePlain})
			return fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", peer.User, peer.Password, pg.Addr), pg.Kill, pg.Restart
		},
		"a file is not to be had": func(t *testing.T, dir string) (string, func(), func()) {
			file := dir + "/kept.db"
			return "sqlite:" + file,
				func() { os.Rename(file, file+".away"); os.Mkdir(file, 0o700) }, // which cannot be opened
				func() { os.Remove(file); os.Rename(file+".away", file) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			url, take, giveBack := row(t, dir)
			storeGone(t, dir, url, take, giveBack)
		})
	}
}

func storeGone(t *testing.T, dir, url string, take, giveBack func()) {
	common := []string{"--lab", "--store", url, "--state", dir + "/state", "--metrics", "127.0.0.1:0"}
	policy := prepare(t, folder(t), append([]string{"policy", "serve", "--postfix", "3.9", "--listen", "unix:" + dir + "/policy"}, common...)...)
	mail := prepare(t, folder(t), append([]string{"gateway", "smtp+unix:" + dir + "/mail?tls=none", "mx:"}, common...)...)
	up := map[*program]string{policy: "starttls_store_up", mail: "starttls_store_up{route=\"smtp-mail\"}"}
	for p, metric := range up {
		p.start()
		p.until("its store", func() bool { return p.metric(metric) == 1 })
	}
	messages := 0
	work := func() {
		t.Helper()
		if got := question(t, dir+"/policy", asked); !strings.HasPrefix(got, "OK secure match=") {
			t.Errorf("answered %q", got)
		}
		if err := message(dir + "/mail"); err != nil {
			t.Error(err)
		}
		messages++
	}
	work()
	before := map[*program]held{policy: policy.rests(), mail: mail.rests()}
	take()
	if got := question(t, dir+"/policy", unknown); !strings.HasPrefix(got, "OK secure match=") {
		t.Errorf("of what it has not known before, answered %q", got)
	}
	for p, metric := range up {
		p.until("the store to be away", func() bool { work(); return p.metric(metric) == 0 })
		p.logged("level=ERROR", "store away, going on with what is in memory")
	}
	for range 5 {
		work()
	}
	giveBack()
	for p, metric := range up {
		p.until("the store to be back", func() bool { work(); return p.metric(metric) == 1 })
		p.logged("level=INFO", "store back")
		if n := p.lines("store away"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if strings.Contains(p.text("err"), peer.Password) {
			t.Error("the password is in the log")
		}
	}
	for p := range up {
		h := before[p]
		h.descriptors += 4 // of the database, which it opens as they are needed
		h.goroutines += 8
		p.clean(h)
	}
	n := 0
	if err := await(func() bool { n = counted(t, url); return n >= messages }); err != nil || n > messages {
		t.Errorf("%d messages were counted of %d", n, messages)
	}
}

// question asks a policy server about a domain, as Postfix does.
func question(t *testing.T, path, domain string) string {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	text := "postfix " + domain
	fmt.Fprintf(conn, "%d:%s,", len(text), text)
	conn.(*net.UnixConn).CloseWrite()
	got, _ := io.ReadAll(conn)
	_, rest, _ := strings.Cut(strings.TrimSuffix(string(got), ","), ":")
	return rest
}

// message hands one in.
func message(path string) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(conn)
	for _, step := range [][2]string{
		{"", "220 "}, {"HELO client.test\r\n", "250 "}, {"MAIL FROM:<a@client.test>\r\n", "250 "},
		{"RCPT TO:<b@" + delivered + ">\r\n", "250 "}, {"DATA\r\n", "354 "}, {"Subject: x\r\n\r\nx\r\n.\r\n", "250 "}, {"QUIT\r\n", "221 "},
	} {
		io.WriteString(conn, step[0])
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, step[1]) {
			return fmt.Errorf("to %q heard %q, %v", step[0], line, err)
		}
	}
	return nil
}

// counted is how many messages to the domain a store has, today and yesterday: the day may have ended
// meanwhile.
func counted(t *testing.T, url string) (n int) {
	t.Helper()
	s := openStore(t, store.Config{URL: url})
	defer s.Close()
	flush(t, s)
	for _, day := range []time.Time{time.Now(), time.Now().Add(-24 * time.Hour)} {
		counts, err := s.Tally.Day(t.Context(), day)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range counts {
			if c.Domain == delivered {
				n += int(c.Successful)
			}
		}
	}
	return n
}

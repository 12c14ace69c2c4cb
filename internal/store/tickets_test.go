package store_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"starttls/internal/store"
)

// secrets returns those of a day, as a store tells them.
func secrets(t *testing.T, s *store.Store, day int64) map[int64][]byte {
	t.Helper()
	all, err := s.Tickets.Secrets(t.Context(), day)
	if err != nil || len(all[day]) != 32 || len(all[day+1]) != 32 {
		t.Fatal(len(all), err)
	}
	return all
}

// TestTicketSecretsAreOne: whoever asks first makes them, even when many do at once, and the next day's are there
// the day before.
func TestTicketSecretsAreOne(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		today := at.now().Unix() / 86400
		nodes := []*store.Store{open(t, url, at.set), open(t, url, at.set), open(t, url, at.set)}
		told := make([]map[int64][]byte, len(nodes))
		var all sync.WaitGroup
		for i, s := range nodes {
			all.Go(func() { told[i], _ = s.Tickets.Secrets(t.Context(), today) })
		}
		all.Wait()
		for i := range nodes {
			if len(told[i]) != 2 || !bytes.Equal(told[i][today], told[0][today]) || !bytes.Equal(told[i][today+1], told[0][today+1]) {
				t.Errorf("node %d has others", i)
			}
		}
		if bytes.Equal(told[0][today], told[0][today+1]) {
			t.Error("the next day has the same")
		}
		tomorrow := secrets(t, nodes[0], today+1)
		if !bytes.Equal(tomorrow[today], told[0][today]) || !bytes.Equal(tomorrow[today+1], told[0][today+1]) {
			t.Error("what was made is not what is told the day after")
		}
		if later := secrets(t, nodes[1], today+1+store.KeepSecrets); later[today] != nil || later[today+1] == nil {
			t.Error("days are kept for too long, or not long enough")
		}
	})
}

// TestTicketSecretsEnd: on disk as well, and so do those of a node whose clock is far ahead.
func TestTicketSecretsEnd(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		today := at.now().Unix() / 86400
		s := open(t, url, at.set)
		if _, err := s.Tickets.Secrets(t.Context(), today+1000); err != nil {
			t.Fatal(err)
		}
		secrets(t, s, today)
		db := database(t, url)
		at.add(time.Hour)
		until(t, "those of the far future to go", func() bool {
			flush(t, s)
			return number(t, db, `SELECT COUNT(*) FROM ticket_secret`) == 2
		})
		at.add(time.Hour * 24 * (store.KeepSecrets + 2))
		until(t, "those of the past to go", func() bool {
			flush(t, s)
			return number(t, db, `SELECT COUNT(*) FROM ticket_secret`) == 0
		})
	})
}

// TestTicketSecretsAway: there are none, and a row that is none is not taken for one.
func TestTicketSecretsAway(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		at := newClock()
		today := at.now().Unix() / 86400
		s := open(t, url, at.set)
		if _, err := database(t, url).Exec(`INSERT INTO ticket_secret (day, secret) VALUES ($1, 'ff')`, today); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Tickets.Secrets(t.Context(), today); err == nil {
			t.Error("a short secret was told")
		}
		s.Close()
		if _, err := s.Tickets.Secrets(t.Context(), today+1); err == nil {
			t.Error("told by a store that is closed")
		}
	})
}

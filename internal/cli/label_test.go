package cli

import (
	"log/slog"
	"slices"
	"testing"

	"starttls"
	"starttls/internal/config"
)

// TestRoutesHaveLabelsOfTheirOwn: by scheme and port, by the address where that is not enough, and never one that
// another route has been given.
func TestRoutesHaveLabelsOfTheirOwn(t *testing.T) {
	for _, row := range []struct {
		name  string
		route []config.Route
		want  []string
	}{
		{"by scheme and port", []config.Route{{Listen: "imap://:143"}, {Listen: "imaps://127.0.0.1"}, {Listen: "smtp+unix:/run/mail.sock"}, {Name: "mx", Listen: "smtp://"}},
			[]string{"imap-143", "imaps-993", "smtp-mail.sock", "mx"}},
		{"the same port at two addresses", []config.Route{{Listen: "imap://127.0.0.1"}, {Listen: "imap://[::1]"}, {Listen: "pop3://"}},
			[]string{"imap-127.0.0.1:143", "imap-[::1]:143", "pop3-110"}},
		{"a name that looks like it", []config.Route{{Listen: "imap://127.0.0.1"}, {Name: "imap-143", Listen: "imap://127.0.0.2"}},
			[]string{"imap-127.0.0.1:143", "imap-143"}},
		{"ports that the system chooses", []config.Route{{Listen: "imap://127.0.0.1:0"}, {Listen: "imap://127.0.0.1:0"}, {Listen: "imap://127.0.0.1:0"}},
			[]string{"imap-127.0.0.1:0", "imap-127.0.0.1:0-2", "imap-127.0.0.1:0-3"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var routes []*running
			for _, route := range row.route {
				listen, err := starttls.ParseEndpoint(route.Listen)
				if err != nil {
					t.Fatal(err)
				}
				r := &running{listen: listen}
				r.Label = route.Name
				routes = append(routes, r)
			}
			labelRoutes(&config.File{Routes: row.route}, routes)
			var got []string
			for _, r := range routes {
				got = append(got, r.Label)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// TestGreetingsHaveTheHostsName, whatever the log calls the route.
func TestGreetingsHaveTheHostsName(t *testing.T) {
	s := &service{log: slog.New(slog.DiscardHandler)}
	routes, err := s.assembleRoutes(&config.File{Routes: []config.Route{
		{Listen: "smtp://:25"}, {Name: "submission", Listen: "submission://"}, {Name: "mx", Host: "mail.example.org", Listen: "lmtp://:24"},
	}}, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][2]string{{hostname(), "smtp-25"}, {"submission", "submission"}, {"mail.example.org", "mx"}} {
		if r := routes[i]; r.Name != want[0] || r.Label != want[1] || r.Back.Name != want[0] {
			t.Errorf("says %s and %s, is called %s; want %v", r.Name, r.Back.Name, r.Label, want)
		}
	}
}

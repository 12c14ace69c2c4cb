package relay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A Hook tells of alarms elsewhere: one command or one webhook for each, with the alarm as JSON. Add is for
// [Config].Alarm; Run does the work.
type Hook struct {
	// URL is POSTed to, if it is not empty.
	URL string
	// Command is run by the shell, if it is not empty, with the alarm on its standard input.
	Command string
	// Every is how long nothing more is told of the same kind of alarm at the same host. If zero, 15
	// minutes. An attacker who is heard once is heard.
	Every time.Duration
	// Client makes the request. If nil, http.DefaultClient.
	Client *http.Client
	// Log is told what fails. If nil, nobody is.
	Log *slog.Logger

	waiting outbox[Alarm]
	last    map[string]time.Time // of Run
}

const (
	hookTimeout = 30 * time.Second
	maxHosts    = 10_000 // of which it is known when they were told of
)

// Add hands an alarm over without waiting. When too many wait, the log is all that has it.
func (h *Hook) Add(a Alarm) { h.waiting.put(a) }

// Run tells of alarms until ctx ends.
func (h *Hook) Run(ctx context.Context) {
	h.waiting.run(ctx, func(a Alarm) {
		if !h.due(a) {
			return
		}
		telling, cancel := context.WithTimeout(ctx, hookTimeout)
		defer cancel()
		if err := h.tell(telling, a); err != nil && h.Log != nil {
			h.Log.Error("an alarm was not told", "id", a.ID, "host", a.Host, "err", err)
		}
	})
}

// due reports whether an alarm is to be told now.
func (h *Hook) due(a Alarm) bool {
	every := h.Every
	if every == 0 {
		every = 15 * time.Minute
	}
	key := a.Kind + " " + cmp.Or(a.Host, a.Domain)
	if last, told := h.last[key]; told && a.Time.Sub(last) < every {
		return false
	}
	if h.last == nil || len(h.last) >= maxHosts {
		h.last = map[string]time.Time{}
	}
	h.last[key] = a.Time
	return true
}

func (h *Hook) tell(ctx context.Context, a Alarm) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	if h.Command != "" {
		cmd := exec.CommandContext(ctx, "sh", "-c", h.Command)
		cmd.Stdin, cmd.Env = bytes.NewReader(body), append(os.Environ(), "ALARM="+a.Kind)
		cmd.WaitDelay = time.Second
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(printable(string(out))))
		}
	}
	if h.URL == "" {
		return nil
	}
	return h.post(ctx, body)
}

func (h *Hook) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", h.URL, resp.Status)
	}
	return nil
}

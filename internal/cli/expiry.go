package cli

import (
	"context"
	"log/slog"
	"time"
)

// expiryEvery is how often the log tells of certificates that are near their end.
const expiryEvery = 24 * time.Hour

// watchExpiry tells of certificates that are near their end, now and once a day until ctx ends.
func (s *service) watchExpiry(ctx context.Context) {
	ticker := time.NewTicker(expiryEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		s.tellExpiry(time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (s *service) tellExpiry(now time.Time) {
	for _, r := range s.board.view().Routes {
		for _, c := range r.Certificates {
			left, class := c.Left(now)
			level, near := map[string]slog.Level{"warn": slog.LevelWarn, "bad": slog.LevelError}[class]
			if near {
				s.log.Log(context.Background(), level, "a certificate is near its end", "route", r.Name, "names", c.Names, "until", c.Until.Format(time.DateOnly), "left", left)
			}
		}
	}
}

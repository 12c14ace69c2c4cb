package report

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starttls/internal/finding"
)

// TestThePageInChromium: a browser shows the page without a complaint, and there is something to see.
func TestThePageInChromium(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("peer missing: chromium")
		}
		t.Skip("peer missing: chromium")
	}
	dir := t.TempDir()
	file, picture := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png")
	var page bytes.Buffer
	if err := HTML(&page, []*finding.Result{result()}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	browse := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, chromium, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
			"--user-data-dir=" + filepath.Join(dir, "profile")}, append(args, "file://"+file)...)...)
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "CONSOLE") { // what the page is refused, or gets wrong
				t.Errorf("the browser complains: %s", line)
			}
		}
		return out.String()
	}
	if dom := browse("--dump-dom"); strings.Count(dom, "<svg") != 4 || !strings.Contains(dom, "clear.command-injection") {
		t.Errorf("%d pictures in\n%.2000s", strings.Count(dom, "<svg"), dom)
	}
	browse("--screenshot="+picture, "--window-size=390,1200")
	f, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	image, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[any]bool{}
	for x := range image.Bounds().Dx() {
		for y := range image.Bounds().Dy() {
			colours[image.At(x, y)] = true
		}
	}
	if len(colours) < 10 {
		t.Errorf("a picture of %d colours", len(colours))
	}
}

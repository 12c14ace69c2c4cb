package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"starttls": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"mailer":   mailer,
	})
}

// The scripts are told what they need and no more: a state folder of their own, and these commands.
//
//	status N PROGRAM ARG...    runs it, which must end with N
//	background NAME ARG...     runs "starttls ARG..." in the background
//	serve NAME ARG...          the same for one that listens; $NAME is where, $NAME_pid the process
//	end NAME                   ends that by SIGTERM; NAME.out and NAME.err are what it has said
//	await PATTERN FILE         waits for a line with the text
//	json FILE KEY...           every line is an object, and one has all the keys
//	fetch FILE PATH            gets PATH from where the status page is by FILE, into standard output
//	certificate NAME HOST      makes NAME.pem and NAME.key, which is its own authority
func TestScripts(t *testing.T) {
	if os.Getenv("CI") == "true" {
		if _, err := exec.LookPath("openssl"); err != nil {
			t.Fatal(err) // scripts would leave out what they check with it
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(10 * patience), // a gateway that ought not to start, and does
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, errors.New("the one condition is root")
			}
			return os.Getuid() == 0, nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("GORACE", "atexit_sleep_ms=0") // or each run would take a second to end
			env.Values[servicesKey{}] = make(services)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exits, "background": background, "serve": serve, "end": end, "await": await, "json": isJSON, "certificate": certificate, "fetch": fetch,
		},
	})
}

// services are the programs that run in the background of a script.
type (
	services    map[string]*exec.Cmd
	servicesKey struct{}
)

const patience = 20 * time.Second

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, err := 0, ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

func background(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	program, err := lookPath(ts, "starttls")
	ts.Check(err)
	cmd := exec.Command(program, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"XDG_STATE_HOME=" + ts.Getenv("XDG_STATE_HOME"), "PATH=" + ts.Getenv("PATH"), "GORACE=" + ts.Getenv("GORACE")}
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer out.Close()
	errOut, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer errOut.Close()
	cmd.Stdout, cmd.Stderr = out, errOut
	ts.Check(cmd.Start())
	ts.Defer(func() { cmd.Process.Kill() })
	ts.Value(servicesKey{}).(services)[name] = cmd
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	background(ts, neg, args)
	name := args[0]
	await(ts, false, []string{"listening", name + ".out"})
	await(ts, false, []string{"backend", name + ".out"}) // the line after it is whole
	_, rest, _ := strings.Cut(ts.ReadFile(name+".out"), "://")
	addr, _, _ := strings.Cut(rest, " ")
	addr, _, _ = strings.Cut(addr, `"`) // of JSON
	ts.Setenv(name, addr)
	ts.Setenv(name+"_pid", strconv.Itoa(ts.Value(servicesKey{}).(services)[name].Process.Pid))
}

func fetch(ts *testscript.TestScript, _ bool, args []string) {
	_, rest, _ := strings.Cut(ts.ReadFile(args[0]), "status     ")
	url, _, _ := strings.Cut(rest, "\n")
	resp, err := http.Get(url + args[1])
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

// lookPath finds a program in the script's PATH.
func lookPath(ts *testscript.TestScript, program string) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

func end(ts *testscript.TestScript, _ bool, args []string) {
	running := ts.Value(servicesKey{}).(services)
	cmd := running[args[0]]
	delete(running, args[0])
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], err, ts.ReadFile(args[0]+".err"))
	}
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		text := ts.ReadFile(args[1])
		if at := strings.Index(text, args[0]); at >= 0 && strings.Contains(text[at:], "\n") {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("no %q in %s:\n%s", args[0], args[1], text)
		}
	}
}

func isJSON(ts *testscript.TestScript, _ bool, args []string) {
	file, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer file.Close()
	found := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			ts.Fatalf("%s: %v", lines.Text(), err)
		}
		all := true
		for _, key := range args[1:] {
			_, has := line[key]
			all = all && has
		}
		found = found || all
	}
	if !found {
		ts.Fatalf("no line of %s has %q", args[0], args[1:])
	}
}

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"starttls/internal/tryout"
)

// A backend is a process with servers that know no TLS, a built-in try-out server at each address.
type backend struct {
	servers []string // "imap=127.0.0.1:20143"
	cmd     *exec.Cmd
	hold    io.Closer // while it is open the process lives on
}

// start starts it and waits until it serves.
func (b *backend) start() error {
	b.cmd = child("backend", b.servers...)
	in, err := b.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	b.hold, b.cmd.Stderr = in, os.Stderr
	if err := b.cmd.Start(); err != nil {
		return err
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.kill()
		return fmt.Errorf("a backend does not serve: %s%w", said, err)
	}
	return nil
}

// kill ends it at once, as SIGKILL does, and returns when it is gone.
func (b *backend) kill() {
	if b.cmd != nil && b.cmd.Process != nil {
		b.hold.Close()
		b.cmd.Process.Kill()
		b.cmd.Wait()
	}
}

// serveBackend is what the process does. It ends when its standard input does.
func serveBackend(servers []string) int {
	for _, s := range servers {
		name, addr, _ := strings.Cut(s, "=")
		server, ok := tryout.New(name)
		if !ok {
			fmt.Fprintf(os.Stderr, "no server for %s\n", name)
			return 1
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go server.Serve(conn)
			}
		}()
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

package accept

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// A rich listener has a client whenever it is asked.
type rich struct{ asked int }

func (r *rich) Accept() (net.Conn, error) {
	r.asked++
	conn, _ := net.Pipe()
	return conn, nil
}
func (*rich) Close() error   { return nil }
func (*rich) Addr() net.Addr { return &net.TCPAddr{} }

// TestAtMost: who comes when all places are taken waits until one is free, once for each connection that is closed,
// however often; and the end of the listener waits for nobody.
func TestAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &rich{}
		ln := AtMost(below, 3)
		came := make(chan net.Conn)
		ended := make(chan error, 1)
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					ended <- err
					return
				}
				came <- conn
			}
		}()
		first := <-came
		<-came
		<-came
		synctest.Wait()
		if below.asked != 3 {
			t.Errorf("asked %d times", below.asked)
		}
		first.Close()
		first.Close()
		<-came
		synctest.Wait()
		if below.asked != 4 {
			t.Errorf("asked %d times when one had left", below.asked)
		}
		ln.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestAtMostFailsWithoutLoss: a failure takes no place.
func TestAtMostFailsWithoutLoss(t *testing.T) {
	below := &poor{lucky: true}
	ln := AtMost(below, 1)
	for range 9 {
		if _, err := ln.Accept(); err == nil {
			t.Fatal("a connection from nowhere")
		}
	}
	if _, err := ln.Accept(); err != nil {
		t.Error(err)
	}
}

package upstream

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perilune/worker/loop"
	"perilune/worker/peer"
)

func server(name string, weight int) Server {
	return Server{Name: name, Addrs: []peer.Addr{{Name: name}}, Weight: weight, MaxFails: 1, FailTimeout: 10 * time.Second}
}

// choices are the names that n requests get, each of which ends well.
func choices(g *Group, n int) string {
	var b strings.Builder
	for range n {
		var t Tries
		t.Begin(g, nil)
		b.WriteString(t.Next(100).Name)
		t.Done(Fine, 100)
	}
	return b.String()
}

func TestRoundRobin(t *testing.T) {
	// The sequence for 5, 1, 1 is the one that nginx's method is known by.
	if got := choices(NewGroup("g", []Server{server("a", 5), server("b", 1), server("c", 1)}), 14); got != "aabacaaaabacaa" {
		t.Errorf("weights 5, 1, 1: %s", got)
	}
	if got := choices(NewGroup("g", []Server{server("a", 1), server("b", 1)}), 6); got != "ababab" {
		t.Errorf("equal weights: %s", got)
	}
}

func TestFailures(t *testing.T) {
	backup := server("z", 1)
	backup.Backup = true
	g := NewGroup("g", []Server{server("a", 1), server("b", 1), backup})
	var tries Tries
	tries.Begin(g, nil)
	if tries.Left != 3 {
		t.Errorf("%d tries", tries.Left)
	}
	got := ""
	for p := tries.Next(100); p != nil; p = tries.Next(100) {
		got += p.Name
		if disabled := tries.Done(Failed, 100); !disabled {
			t.Errorf("%s is not disabled", p.Name)
		}
	}
	if got != "abz" || tries.Left != 0 {
		t.Errorf("tried %s, %d left", got, tries.Left)
	}
	tries.Begin(g, nil)
	if p := tries.Next(110); p != nil {
		t.Errorf("%s is tried within fail_timeout", p.Name)
	}
	tries.Begin(g, nil)
	if p := tries.Next(111); p == nil || p.Name != "b" { // b lost less of its weight
		t.Errorf("after fail_timeout: %v", p)
	}
	tries.Done(Fine, 111)
	if got := choices(g, 1); got == "z" {
		t.Error("a backup server while another one lives")
	}
}

func TestLimits(t *testing.T) {
	down, limited := server("a", 1), server("b", 1)
	down.Down, limited.MaxConns = true, 1
	g := NewGroup("g", []Server{down, limited})
	var one, two Tries
	one.Begin(g, nil)
	two.Begin(g, nil)
	if one.Left != 1 {
		t.Errorf("%d tries", one.Left)
	}
	if p := one.Next(1); p == nil || p.Name != "b" {
		t.Errorf("got %v", p)
	}
	if p := two.Next(1); p != nil {
		t.Errorf("got %s beyond max_conns", p.Name)
	}
	one.Done(Fine, 1)
	two.Begin(g, nil)
	if p := two.Next(1); p == nil {
		t.Error("nobody after the connection has ended")
	}
}

func TestManyPeers(t *testing.T) {
	var list []Server
	for range 200 {
		list = append(list, server("x", 1))
	}
	g := NewGroup("g", list)
	var tries Tries
	tries.Begin(g, nil)
	seen := map[*Peer]bool{}
	for p := tries.Next(1); p != nil; p = tries.Next(1) {
		if seen[p] {
			t.Fatal("a peer is tried twice")
		}
		seen[p] = true
		tries.Done(Next, 1)
	}
	if len(seen) != 200 {
		t.Errorf("%d peers tried", len(seen))
	}
}

// TestPool keeps connections, closes the one that has been idle longest for a new one,
// one whose peer closes, and all in the end.
func TestPool(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ap := netip.MustParseAddrPort(ln.Addr().String())
	accepted := make(chan net.Conn, 8)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	l.Defer(func() {
		defer l.Stop()
		pool := &Pool{Max: 2, Requests: 10, Time: time.Hour, Timeout: time.Minute}
		var gone loop.Waiter
		closed := 0
		dial := func() (*Conn, net.Conn) {
			c, err := peer.Dial{}.Connect(l, peer.TCP(ap.Addr(), ap.Port()), time.Second)
			if err != nil {
				t.Error(err)
				return nil, nil
			}
			return NewConn(c, "p", l.NowMsec(), func() { closed++; l.Wake(&gone, nil) }), <-accepted
		}
		a, _ := dial()
		b, peerOfB := dial()
		c, _ := dial()
		for _, x := range []*Conn{a, b, c} {
			pool.Put(x)
		}
		if !a.Closed() || closed != 1 {
			t.Error("the one idle longest has not made room")
		}
		if pool.Take("other") != nil {
			t.Error("a connection to another peer")
		}
		if got := pool.Take("p"); got != c {
			t.Error("not the one used last")
		}
		peerOfB.Close()
		if err := l.Park(&gone, 5*time.Second); err != nil || !b.Closed() {
			t.Errorf("the peer has closed: %v", err)
		}
		if pool.Take("p") != nil {
			t.Error("a closed connection")
		}
		c.Requests = 10
		pool.Put(c)
		if !c.Closed() {
			t.Error("kept beyond its requests")
		}
		d, _ := dial()
		pool.Put(d)
		pool.Close()
		e, _ := dial()
		pool.Put(e)
		if !d.Closed() || !e.Closed() || closed != 5 {
			t.Errorf("%d of 5 closed in the end", closed)
		}
	})
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
}

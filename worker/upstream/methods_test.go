package upstream

import (
	"strings"
	"testing"
	"time"

	"perilune/ipc/shm"
	"perilune/worker/peer"
)

// TestLeastConn has connections held.
func TestLeastConn(t *testing.T) {
	g := NewGroup("g", []Server{server("a", 2), server("b", 1), server("c", 1)})
	g.Balance(LeastConn)
	var held [8]Tries
	got := ""
	for i := range held {
		held[i].Begin(g, nil)
		got += held[i].Next(1).Name
	}
	if n := strings.Count(got, "a"); n != 4 || strings.Count(got, "b") != 2 {
		t.Errorf("eight connections: %s", got)
	}
	for i := range held {
		if got[i] == 'b' {
			held[i].Done(Fine, 1)
		}
	}
	var one Tries
	one.Begin(g, nil)
	if p := one.Next(1); p.Name != "b" {
		t.Errorf("after b is free: %s", p.Name)
	}
}

// TestHashes checks that one key has one server while that lives, and that ring moves few keys.
func TestHashes(t *testing.T) {
	choose := func(g *Group, key string, fail bool) (first, second string) {
		var tr Tries
		tr.Begin(g, []byte(key))
		first = tr.Next(5).Name
		if fail {
			tr.Done(Failed, 5)
			if p := tr.Next(5); p != nil {
				second = p.Name
			}
		}
		tr.Done(Fine, 5)
		return first, second
	}
	four := []Server{server("10.0.0.1:80", 1), server("10.0.0.2:80", 1), server("10.0.0.3:80", 3), server("unix:/a", 1)}
	for _, m := range []Method{IPHash, Hash, ConsistentHash} {
		g, less := NewGroup("g", four), NewGroup("g", four[:3])
		g.Balance(m)
		less.Balance(m)
		counts, moved := map[string]int{}, 0
		for i := range 3000 {
			key := string([]byte{byte(i), byte(i >> 8), byte(i * 7), 0})
			first, _ := choose(g, key, false)
			if again, _ := choose(g, key, false); again != first {
				t.Fatalf("method %d: %s, then %s", m, first, again)
			}
			counts[first]++
			if other, _ := choose(less, key, false); first != "unix:/a" && other != first {
				moved++
			}
		}
		if len(counts) != 4 || counts["10.0.0.3:80"] < counts["10.0.0.1:80"] {
			t.Errorf("method %d: %v", m, counts)
		}
		if m == ConsistentHash && moved > 0 {
			t.Errorf("%d keys have moved between servers that are there", moved)
		}
		if first, second := choose(g, "key", true); first == second || second == "" {
			t.Errorf("method %d: after a failure of %s %q", m, first, second)
		}
		if first, _ := choose(g, "", false); first == "" {
			t.Errorf("method %d: nothing for an empty key", m)
		}
	}
}

func TestRandom(t *testing.T) {
	for _, m := range []Method{Random, RandomTwo} {
		down := server("d", 5)
		down.Down = true
		g := NewGroup("g", []Server{server("a", 9), server("b", 1), down})
		g.Balance(m)
		got := choices(g, 400)
		if strings.Contains(got, "d") || !strings.Contains(got, "b") || strings.Count(got, "a") < 200 && m == Random {
			t.Errorf("method %d: %d a, %d b", m, strings.Count(got, "a"), strings.Count(got, "b"))
		}
	}
}

// TestShared has two groups, as of two workers, share their state.
func TestShared(t *testing.T) {
	z, err := shm.Create("upstream", 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	limited := server("b", 1)
	limited.MaxConns = 2
	make := func(servers ...Server) *Group {
		g := NewGroup("g", servers)
		g.Share(z.Dict(), func(err error) { t.Error(err) })
		return g
	}
	one, two := make(server("a", 1), limited), make(server("a", 1), limited)
	two.shared.me = one.shared.me + 1<<40 // as if of another process
	if got := choices(one, 1) + choices(two, 1) + choices(one, 1) + choices(two, 1); got != "abab" {
		t.Errorf("in turn: %s", got)
	}
	var tr Tries
	tr.Begin(one, nil)
	if p := tr.Next(100); p.Name != "a" || !tr.Done(Failed, 100) {
		t.Errorf("%s fails", p.Name)
	}
	var held [2]Tries
	for i, g := range []*Group{one, two} {
		held[i].Begin(g, nil)
		if p := held[i].Next(100); p == nil || p.Name != "b" {
			t.Errorf("after a failure: %v", p)
		}
	}
	tr.Begin(two, nil)
	if p := tr.Next(100); p != nil {
		t.Errorf("%s has too many connections", p.Name)
	}
	held[0].Done(Fine, 100)
	tr.Begin(two, nil)
	if p := tr.Next(100); p == nil {
		t.Error("a connection is not given back")
	}
	// Another configuration begins anew.
	other := make(server("a", 2), limited)
	if got := choices(other, 1); got != "a" {
		t.Errorf("another configuration: %s", got)
	}
	// The connections of two are those of a process that is gone.
	two.shared.me = 1<<40 | 0x3fffff
	third := make(server("a", 1), limited)
	tr.Begin(third, nil)
	if p := tr.Next(5000); p == nil {
		t.Error("the connections of a process that is gone count")
	}
}

// TestSharedFull goes on without the zone when it is of no use.
func TestSharedFull(t *testing.T) {
	z, err := shm.Create("upstream", 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	s := server("x", 1)
	for range 2000 {
		s.Addrs = append(s.Addrs, peer.Addr{Name: "y"})
	}
	g := NewGroup("g", []Server{s})
	errs := 0
	g.Share(z.Dict(), func(error) { errs++ })
	var tr Tries
	tr.Begin(g, nil)
	if p := tr.Next(1); p == nil || errs != 1 {
		t.Errorf("%v, %d errors", p, errs)
	}
	tr.Done(Fine, 1)
}

func BenchmarkShared(b *testing.B) {
	z, err := shm.Create("upstream", 64<<10)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	g := NewGroup("g", []Server{server("a", 1), server("b", 1), server("c", 1)})
	g.Share(z.Dict(), func(err error) { b.Error(err) })
	var tr Tries
	b.ReportAllocs()
	now := time.Now().Unix()
	for b.Loop() {
		tr.Begin(g, nil)
		tr.Next(now)
		tr.Done(Fine, now)
	}
}

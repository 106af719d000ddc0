package loop

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLendQuick: a quick call keeps the baton, so that nothing comes between.
func TestLendQuick(t *testing.T) {
	l := start(t)
	do(l, func() {
		other := false
		l.Go(func() { other = true })
		for range 1000 {
			ran := false
			if l.Lend(func() { ran = true }) || !ran || other {
				t.Error("the baton was given away")
				return
			}
		}
	})
}

// TestLendSlow: others run while a call is slow, another slow one among them, and
// each comes back with the baton.
func TestLendSlow(t *testing.T) {
	l := start(t)
	var r [2]int
	if err := unix.Pipe2(r[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(r[0])
	defer unix.Close(r[1])
	slow := func() {
		var b [1]byte
		if n, err := unix.Read(r[0], b[:]); n != 1 || err != nil {
			t.Error(n, err)
		}
	}
	holders := 0
	for round := range 5 {
		done := make(chan struct{})
		for range 3 {
			l.Post(func() {
				if !l.Lend(slow) {
					t.Errorf("round %d: the baton was not given away", round)
				}
				holders++
				if holders == 3*(round+1) {
					close(done)
				}
			})
		}
		for l.outsideBlocked() < 3 { // all three without the baton: the loop runs
			time.Sleep(time.Millisecond)
		}
		if _, err := unix.Write(r[1], []byte("abc")); err != nil {
			t.Fatal(err)
		}
		<-done
		if round == 2 {
			time.Sleep(lendTick * (lendIdle + 5)) // the watcher goes to sleep
		}
	}
}

// outsideBlocked asks the loop how many are without the baton.
func (l *Loop) outsideBlocked() (n int) {
	do(l, func() { n = l.Stats().Blocked })
	return n
}

// TestLendStress mixes calls that are about as long as the watcher's ticks with
// timers and hand-overs; the counter shows two holders at a time, or the race
// detector does.
func TestLendStress(t *testing.T) {
	l := start(t)
	n, given := 0, 0
	tasks := 200
	if testing.Short() {
		tasks = 60
	}
	done := make(chan struct{})
	for i := range tasks {
		l.Post(func() {
			for k := range 5 {
				before := n
				switch (i + k) % 4 {
				case 0:
					if l.Lend(func() { time.Sleep(lendTick + time.Duration(i%7)*time.Millisecond) }) {
						given++
					}
				case 1:
					if l.Lend(func() {}) {
						given++
					} else if n != before {
						t.Error("others ran during a call that kept the baton")
					}
				case 2:
					l.Block(func() { time.Sleep(time.Duration(i%5) * time.Millisecond) })
				default:
					_ = l.Sleep(time.Duration(i%3) * time.Millisecond)
				}
				n++
			}
			if n == 5*tasks {
				close(done)
			}
		})
	}
	<-done
	if given == 0 {
		t.Error("no call lost the baton")
	}
}

// What the ways to run something cost that takes no time: by itself 0.3 ns.

func BenchmarkLend(b *testing.B)  { benchCall(b, func(l *Loop) { l.Lend(nothing) }) }
func BenchmarkBlock(b *testing.B) { benchCall(b, func(l *Loop) { l.Block(nothing) }) }

func nothing() {}

func benchCall(b *testing.B, call func(l *Loop)) {
	l, err := New()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	b.ReportAllocs()
	do(l, func() {
		for b.Loop() {
			call(l)
		}
	})
	l.Post(l.Stop)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

package loop

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// quietHandler is for descriptors of which only waits matter.
type quietHandler struct{ calls int }

func (h *quietHandler) OnEvent(*FD, bool, bool, bool) { h.calls++ }

// wire is a descriptor in the loop and what is written into it.
type wire struct {
	quietHandler
	FD
	far int
	b   [2]byte
}

func newWire(tb testing.TB, l *Loop) *wire {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	w := &wire{far: fds[1]}
	do(l, func() { err = l.Register(&w.FD, fds[0], w) })
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return w
}

// ping has a byte come and waits for it.
func (w *wire) ping() error {
	if _, errno := rawWrite(w.far, w.b[:1]); errno != 0 {
		return errno
	}
	if err := w.WaitRead(time.Second); err != nil {
		return err
	}
	_, err := w.Read(w.b[:])
	return err
}

// TestParkKeepsBaton: a wait whose end is the next event takes no other goroutine.
func TestParkKeepsBaton(t *testing.T) {
	l := start(t)
	w := newWire(t, l)
	do(l, func() {
		if err := w.ping(); err != nil { // the first event tells of the room to write as well
			t.Fatal(err)
		}
		before := l.Stats().Handovers
		for range 100 {
			if err := w.ping(); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Sleep(time.Millisecond); err != nil {
			t.Error(err)
		}
		if err := w.WaitRead(2 * time.Millisecond); !errors.Is(err, ErrTimeout) {
			t.Errorf("waiting for nothing: %v", err)
		}
		if n := l.Stats().Handovers - before; n != 0 {
			t.Errorf("%d hand-overs", n)
		}
		if w.calls > 1 {
			t.Errorf("%d calls of the handler", w.calls)
		}
	})
}

// TestParkLetsOthersRun: what runs code of others gets its turn while a goroutine waits.
func TestParkLetsOthersRun(t *testing.T) {
	l := start(t)
	var got []string
	say := func(s string) func() { return func() { got = append(got, s) } }
	var w, other Waiter
	do(l, func() {
		l.SetTimer(NewTimer(say("timer")), time.Millisecond)
		l.Go(say("task"))
		l.Next(say("next"))
		go l.Post(say("post"))
		l.Go(func() {
			_ = l.Park(&other, 0)
			say("other")()
		})
		l.SetTimer(NewTimer(func() { l.Wake(&other, nil) }), 20*time.Millisecond)
		if err := l.Park(&w, 40*time.Millisecond); err != ErrTimeout {
			t.Error(err)
		}
	})
	for _, want := range []string{"timer", "task", "next", "post", "other"} {
		found := false
		for _, s := range got {
			found = found || s == want
		}
		if !found {
			t.Errorf("%s has not run: %q", want, got)
		}
	}
	if len(got) == 0 || got[0] != "next" {
		t.Errorf("not the first one: %q", got)
	}
}

// BenchmarkPark is a wait for an event that is there already.
func BenchmarkPark(b *testing.B) {
	l, err := New()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	w := newWire(b, l)
	b.ReportAllocs()
	start := cpu()
	do(l, func() {
		for range b.N {
			if err := w.ping(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
	l.Post(l.Stop)
	<-done
}

// cpu is the processor time of the process.
func cpu() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

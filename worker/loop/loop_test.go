package loop

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// start runs a loop until the test ends, and checks that no goroutine is left.
func start(t *testing.T) *Loop {
	t.Helper()
	before := runtime.NumGoroutine()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Post(l.Stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("goroutines left over:\n%s", buf[:runtime.Stack(buf, true)])
	})
	return l
}

// do runs f as a task of the loop and waits for its end.
func do(l *Loop, f func()) {
	done := make(chan struct{})
	l.Post(func() { f(); close(done) })
	<-done
}

func TestPostOrder(t *testing.T) {
	l := start(t)
	var got []int
	for i := range 1000 {
		l.Post(func() { got = append(got, i) })
	}
	do(l, func() {})
	for i, v := range got {
		if i != v {
			t.Fatalf("function %d ran in place %d", v, i)
		}
	}
	if len(got) != 1000 {
		t.Fatalf("%d functions ran", len(got))
	}
}

func TestPostFromMany(t *testing.T) {
	l := start(t)
	n := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				l.Post(func() { n++ })
			}
		})
	}
	wg.Wait()
	do(l, func() {})
	if n != 16000 {
		t.Errorf("%d functions ran, want 16000", n)
	}
}

// TestHandovers has many tasks wake each other; a plain counter tells whether
// two of them ever ran at once.
func TestHandovers(t *testing.T) {
	const tasks, rounds = 50, 200
	l := start(t)
	waiters := make([]Waiter, tasks)
	counter, left := 0, tasks
	done := make(chan struct{})
	l.Post(func() {
		for i := range tasks {
			l.Go(func() {
				for range rounds {
					counter++
					next := (i + 1) % tasks
					l.Wake(&waiters[next], nil)
					if err := l.Park(&waiters[i], time.Millisecond); err != nil && !errors.Is(err, ErrTimeout) {
						t.Error(err)
						break
					}
				}
				if left--; left == 0 {
					close(done)
				}
			})
		}
	})
	<-done
	if counter != tasks*rounds {
		t.Errorf("counter %d, want %d", counter, tasks*rounds)
	}
	do(l, func() {
		if s := l.Stats(); s.Parked != 0 || s.Handovers == 0 || s.Idle > maxIdle {
			t.Errorf("%+v", s)
		}
	})
}

func TestWake(t *testing.T) {
	l := start(t)
	boom := errors.New("boom")
	var w Waiter
	do(l, func() {
		if l.Wake(&w, nil) {
			t.Error("woke nobody")
		}
		l.Go(func() {
			if !w.Parked() {
				t.Error("nobody is parked")
			}
			if !l.Wake(&w, boom) || l.Wake(&w, nil) {
				t.Error("the first wake counts, and no other")
			}
		})
		if err := l.Park(&w, time.Hour); err != boom {
			t.Errorf("Park gave %v", err)
		}
		if err := l.Park(&w, time.Millisecond); err != ErrTimeout {
			t.Errorf("Park gave %v", err)
		}
	})
}

func TestStopWakesAll(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for range 100 {
		l.Post(func() {
			var w Waiter
			errs = append(errs, l.Park(&w, 0), l.Park(&w, 0))
		})
	}
	l.Post(l.Stop)
	if err := l.Run(); err != nil {
		t.Error(err)
	}
	if len(errs) != 200 {
		t.Fatalf("%d results", len(errs))
	}
	for _, err := range errs {
		if err != ErrStopped {
			t.Errorf("Park gave %v", err)
		}
	}
}

func TestBlock(t *testing.T) {
	l := start(t)
	var wg sync.WaitGroup
	gate := make(chan struct{})
	counter := 0
	for range 20 {
		wg.Add(1)
		l.Post(func() {
			counter++
			l.Block(func() { <-gate })
			counter++
			wg.Done()
		})
	}
	// The loop lives while all of them block.
	do(l, func() {
		if counter != 20 {
			t.Errorf("%d tasks have begun", counter)
		}
		if s := l.Stats(); s.Blocked != 20 {
			t.Errorf("%+v", s)
		}
	})
	close(gate)
	wg.Wait()
	do(l, func() {
		if counter != 40 {
			t.Errorf("counter %d", counter)
		}
	})
}

func TestTimerOrder(t *testing.T) {
	l := start(t)
	var got []int
	done := make(chan struct{})
	l.Post(func() {
		delays := rand.Perm(100)
		for i, n := range delays {
			ms := n / 10
			l.SetTimer(NewTimer(func() {
				got = append(got, 100*ms+i) // of two with the same time the one that was set first comes first
				if len(got) == len(delays) {
					close(done)
				}
			}), time.Duration(1+ms)*time.Millisecond)
		}
	})
	<-done
	if !slices.IsSorted(got) {
		t.Errorf("fired in the order %v", got)
	}
}

// TestTimerLazy checks the heap against a plain model: what fires, and when.
func TestTimerLazy(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.closeFiles()
	const n = 100
	var timers [n]*Timer
	var fired [n]int
	var due [n]int64
	for i := range timers {
		timers[i] = NewTimer(func() {
			fired[i]++
			if due[i] == 0 || due[i] > l.clock.msec {
				t.Fatalf("timer %d fired at %d, set to %d", i, l.clock.msec, due[i])
			}
			due[i] = 0
		})
	}
	for range 20000 {
		i := rand.IntN(n)
		switch rand.IntN(6) {
		case 0:
			l.StopTimer(timers[i])
			due[i] = 0
		case 1:
			l.DropTimer(timers[i])
			due[i] = 0
		case 2:
			l.clock.msec += int64(rand.IntN(5))
			for l.timers.due(l.clock.msec) {
				l.fireTimer()
			}
			for j, at := range due {
				if at != 0 && at <= l.clock.msec {
					t.Fatalf("timer %d is late", j)
				}
			}
		default:
			ms := 1 + rand.IntN(50)
			l.SetTimer(timers[i], time.Duration(ms)*time.Millisecond)
			due[i] = l.clock.msec + int64(ms)
		}
		if timers[i].Active() != (due[i] != 0) {
			t.Fatalf("timer %d: active %v", i, timers[i].Active())
		}
	}
}

func TestSleep(t *testing.T) {
	l := start(t)
	do(l, func() {
		for _, d := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
			before := time.Now()
			if err := l.Sleep(d); err != nil {
				t.Error(err)
			}
			if got := time.Since(before); got < d-time.Millisecond {
				t.Errorf("slept %v of %v", got, d)
			}
		}
	})
}

// recorder is a Handler that keeps what it is told.
type recorder struct{ events int }

func (r *recorder) OnEvent(*FD, bool, bool, bool) { r.events++ }

func pair(t *testing.T) [2]int {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds
}

func TestFD(t *testing.T) {
	l := start(t)
	fds := pair(t)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var a, b FD
	do(l, func() {
		h := &recorder{}
		for i, f := range []*FD{&a, &b} {
			if err := l.Register(f, fds[i], h); err != nil {
				t.Fatal(err)
			}
		}
	})
	const size = 3 << 20
	got := 0
	done := make(chan struct{})
	l.Post(func() {
		defer close(done)
		buf := make([]byte, 10000)
		for {
			n, err := b.Read(buf)
			if err == ErrAgain {
				if err := b.WaitRead(0); err != nil {
					t.Error(err)
					return
				}
				continue
			}
			if err != nil || n == 0 {
				return
			}
			for i := range n {
				if buf[i] != byte((got+i)%251) {
					t.Error("wrong byte")
					return
				}
			}
			got += n
		}
	})
	do(l, func() {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i % 251)
		}
		for len(data) > 0 {
			n, err := a.Writev([][]byte{data[:len(data)/2], nil, data[len(data)/2:]})
			if err == ErrAgain {
				err = a.WaitWrite(time.Minute)
			}
			if err != nil {
				t.Error(err)
				break
			}
			data = data[n:]
		}
		l.Unregister(&a)
		if err := unix.Shutdown(fds[0], unix.SHUT_WR); err != nil {
			t.Error(err)
		}
	})
	<-done
	if got != size {
		t.Errorf("%d bytes of %d", got, size)
	}
	do(l, func() { l.Unregister(&b) })
}

func TestFDWaits(t *testing.T) {
	l := start(t)
	fds := pair(t)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var f FD
	boom := errors.New("boom")
	do(l, func() {
		if err := l.Register(&f, fds[0], &recorder{}); err != nil {
			t.Fatal(err)
		}
		if err := f.WaitRead(time.Millisecond); err != ErrTimeout {
			t.Errorf("WaitRead gave %v", err)
		}
		l.Go(func() { f.Cancel(boom) })
		if err := f.WaitRead(0); err != boom {
			t.Errorf("WaitRead gave %v", err)
		}
		l.Go(func() { l.Unregister(&f) })
		if err := f.WaitRead(0); err != ErrStopped {
			t.Errorf("WaitRead gave %v", err)
		}
	})
}

// TestStaleEvents unregisters a descriptor whose event is fetched already.
func TestStaleEvents(t *testing.T) {
	l := start(t)
	var fds [2][2]int
	var f [3]FD
	h := &recorder{}
	do(l, func() {
		for i := range fds {
			fds[i] = pair(t)
			if err := l.Register(&f[i], fds[i][0], h); err != nil {
				t.Fatal(err)
			}
		}
	})
	do(l, func() {}) // the first, writable, edges are over
	do(l, func() {
		// The next turn brings both; the first handler drops both and puts
		// another descriptor into one of the slots.
		first := handlerFunc(func(*FD) {
			h.events++
			l.Unregister(&f[0])
			l.Unregister(&f[1])
			if err := l.Register(&f[2], fds[0][0], h); err != nil {
				t.Error(err)
			}
		})
		f[0].SetHandler(first)
		f[1].SetHandler(first)
		h.events = 0
		for i := range fds {
			if _, err := unix.Write(fds[i][1], []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	})
	do(l, func() {
		if h.events > 2 { // the handler's own, and f[2]'s
			t.Errorf("%d events", h.events)
		}
		l.Unregister(&f[2])
		for i := range fds {
			unix.Close(fds[i][0])
			unix.Close(fds[i][1])
		}
	})
}

type handlerFunc func(*FD)

func (h handlerFunc) OnEvent(f *FD, _, _, _ bool) { h(f) }

func TestPoolIsBounded(t *testing.T) {
	l := start(t)
	var wg sync.WaitGroup
	for range 500 {
		wg.Add(1)
		l.Post(func() {
			_ = l.Sleep(5 * time.Millisecond)
			wg.Done()
		})
	}
	wg.Wait()
	do(l, func() {
		if s := l.Stats(); s.Idle > maxIdle {
			t.Errorf("%+v", s)
		}
	})
}

func BenchmarkHandover(b *testing.B) {
	l, err := New()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	var w [2]Waiter
	b.ReportAllocs()
	l.Post(func() {
		l.Go(func() {
			for l.Park(&w[1], 0) == nil {
				l.Wake(&w[0], nil)
			}
		})
		l.Go(func() {
			b.ResetTimer()
			for range b.N {
				l.Wake(&w[1], nil)
				_ = l.Park(&w[0], 0)
			}
			close(done)
		})
	})
	go func() { _ = l.Run() }()
	<-done
	b.StopTimer()
	l.Post(l.Stop)
}

func BenchmarkSetTimer(b *testing.B) {
	l, err := New()
	if err != nil {
		b.Fatal(err)
	}
	defer l.closeFiles()
	timers := make([]Timer, 1000)
	for b.Loop() {
		t := &timers[b.N%len(timers)]
		l.clock.msec++
		l.SetTimer(t, time.Minute)
	}
}

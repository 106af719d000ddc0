// Package loop is the event loop of a worker: epoll, timers, and the baton.
//
// One goroutine at a time holds the baton. It runs the loop and calls handlers
// inline; everything that belongs to a worker (connections, requests, the Lua
// machine) is touched by the baton holder only, so none of it needs a lock. A
// handler that must wait parks: its goroutine gives the baton to another
// goroutine, which goes on with the very same turn, since all the state of the
// loop (the batch of events and the place in it, timers, queues) lives in Loop
// and none of it on a stack. When the wait is over the loop hands the baton to
// the parked goroutine and rests in a pool until it is needed again.
//
// Sleeping has been measured, on a noisy machine with the loop on one core and
// wrk on the other, in CPU per request for nginx's `return 200` and ours (best
// of five, µs at 1 and at 50 connections): nginx 32.2 and 7.4; a plain
// epoll_wait(2) with GOMAXPROCS 1: 35.9 and 8.2, with 2: 33.5 and 10.9; through
// Go's poller the same within the noise (56 against 62 and 12.6 against 12.7 in
// a run under heavy load). What decides is that EPOLLEXCLUSIVE works with the
// plain wait only: 2,000 sequential connections to 8 workers on one listen
// socket went busiest 250, idlest 250 with it, and 496 to 69 through Go's
// poller, which wakes all of them each time. See Outside for who needs the
// other way.
//
// The package owns the epoll descriptor and the timers. It never closes a
// descriptor that it was given, and it knows nothing of HTTP.
package loop

import (
	"errors"
	"fmt"

	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Errors that end a wait.
var (
	ErrAgain   = errors.New("resource temporarily unavailable")
	ErrTimeout = errors.New("timed out")
	ErrStopped = errors.New("loop is stopped")
)

const (
	maxEvents   = 512 // events fetched by one epoll_wait
	maxDeferred = 512 // deferred functions run between two epoll_wait calls
	maxIdle     = 64  // goroutines kept parked for later hand-overs
)

// Handler is told of the events of a descriptor. It runs with the baton and
// may park.
type Handler interface {
	OnEvent(fd *FD, readable, writable, hup bool)
}

// Stats counts what the loop has done.
type Stats struct {
	Turns     uint64 // epoll_wait calls that were followed by work or by sleep
	Handovers uint64 // times the baton went to another goroutine
	Parked    int    // goroutines that wait in Park now
	Blocked   int    // goroutines in Block now, or in Lend without the baton
	Idle      int    // goroutines that rest in the pool now
}

// Loop is one event loop. Unless said otherwise its methods are for the baton
// holder only; before Run is called, and after it has returned, that is the
// caller of New.
type Loop struct {
	epfd   int
	wakefd int // eventfd that Post writes to

	events [maxEvents]unix.EpollEvent
	nev    int   // events fetched
	iev    int   // next event to dispatch
	held   int64 // msec until which a wait keeps its processor, see block
	hold   int64 // for how long, from an event on
	breath int64 // msec when the runtime's scheduler is next given a chance

	slots []slot
	free  []uint32

	timers timerHeap

	next     func() // see Next
	deferred queue[func()]
	later    queue[func()] // see NextTurn
	budget   int           // deferred functions left in this turn

	ready   waiterList // woken, waiting for the baton
	parked  waiterList // in Park
	turning waiterList // in ParkTurn
	nready  int
	idle    []*runner
	spare   []*Waiter

	clock clock

	lender  lender
	poller  pollWaiter
	outside int // see Outside
	stopped bool
	done    chan struct{}
	stats   Stats

	inbox struct {
		sync.Mutex
		funcs    []func()
		signaled atomic.Bool
	}
	outbox []func()
}

// runner is a goroutine of the pool.
type runner struct {
	wake chan struct{}
	quit bool
}

// New makes a loop with its epoll descriptor.
func New() (*Loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	l := &Loop{epfd: epfd, wakefd: -1, done: make(chan struct{}), hold: holdTime}
	l.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	// Slot 0 is the eventfd's, so that a zeroed event is never a client's.
	l.slots = append(l.slots, slot{})
	ev := unix.EpollEvent{Events: unix.EPOLLIN}
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, l.wakefd, &ev); err != nil {
		l.closeFiles()
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	l.UpdateTime()
	return l, nil
}

func (l *Loop) closeFiles() {
	l.poller.detach()
	unix.Close(l.epfd)
	unix.Close(l.wakefd)
}

// Run runs the loop until Stop. The caller's goroutine does not take part; it
// holds the baton again when Run has returned. Goroutines still in Park at
// Stop are woken with ErrStopped, and all of them have finished with the baton
// when Run returns.
func (l *Loop) Run() error {
	l.spawn()
	<-l.done
	l.closeFiles()
	return l.poller.err
}

// Stop makes Run return once the events at hand are dealt with. From outside
// the loop use Post(l.Stop).
func (l *Loop) Stop() { l.stopped = true }

// Outside adds n, which may be negative, to the number of goroutines that work
// outside of the loop and wait for the network by Go's means (TLS, HTTP/2).
// While there are any, the loop sleeps in a way that never holds them up.
func (l *Loop) Outside(n int) { l.outside += n }

// Alone says that the process is there for this loop: all goroutines that neither
// Outside nor Block counts can wait 20 ms for a processor, even if there is but one.
// Waits are cheaper then.
func (l *Loop) Alone() { l.hold = aloneTime }

// Stats returns the counters.
func (l *Loop) Stats() Stats {
	s := l.stats
	s.Idle = len(l.idle)
	return s
}

// Defer queues f to run, with the baton, later in this turn. f may park.
func (l *Loop) Defer(f func()) { l.deferred.push(f) }

// Go starts f as a task of its own: it runs with the baton later in this turn
// and may park for as long as it likes.
func (l *Loop) Go(f func()) { l.deferred.push(f) }

// NextTurn queues f to run, with the baton, in the next turn: after all events that have come by then. f may park.
func (l *Loop) NextTurn(f func()) { l.later.push(f) }

// Next starts f as a task of its own that gets the baton as soon as the caller
// lets go of it, before all others. It is for a caller that parks at once.
func (l *Loop) Next(f func()) {
	if prev := l.next; prev != nil {
		l.next = func() {
			l.Go(prev)
			f()
		}
		return
	}
	l.next = f
}

// Post makes f run with the baton. Any goroutine may call it at any time;
// functions run in the order they were posted. After the loop has ended they
// never run.
func (l *Loop) Post(f func()) {
	l.inbox.Lock()
	l.inbox.funcs = append(l.inbox.funcs, f)
	l.inbox.Unlock()
	if l.inbox.signaled.CompareAndSwap(false, true) {
		l.signal()
	}
}

func (l *Loop) signal() {
	var one = [8]byte{1}
	// The only possible failure is EAGAIN, with a counter that is far from
	// zero already, which wakes the loop as well.
	_, _ = rawWrite(l.wakefd, one[:])
}

// takeInbox moves posted functions to the deferred queue.
func (l *Loop) takeInbox() {
	var buf [8]byte
	_, _ = rawRead(l.wakefd, buf[:])
	// From here on a Post signals again, so nothing that is appended after
	// the swap below can be missed.
	l.inbox.signaled.Store(false)
	l.inbox.Lock()
	l.outbox, l.inbox.funcs = l.inbox.funcs, l.outbox[:0]
	l.inbox.Unlock()
	for i, f := range l.outbox {
		l.deferred.push(f)
		l.outbox[i] = nil
	}
}

// spawn starts a goroutine that holds the baton at once.
func (l *Loop) spawn() {
	r := &runner{wake: make(chan struct{}, 1)}
	go l.runner(r)
}

func (l *Loop) runner(r *runner) {
	for l.run(r) {
		<-r.wake
		if r.quit {
			return
		}
	}
}

// pass gives the baton away: to a woken waiter if there is one and nothing goes
// before it, else to a goroutine of the pool.
func (l *Loop) pass() {
	l.stats.Handovers++
	if w := l.ready.first; w != nil && w.task == nil && l.next == nil {
		l.ready.pop()
		l.nready--
		w.sig <- struct{}{}
		return
	}
	if n := len(l.idle); n > 0 {
		r := l.idle[n-1]
		l.idle[n-1] = nil
		l.idle = l.idle[:n-1]
		r.wake <- struct{}{}
		return
	}
	l.spawn()
}

// run drives the loop until the baton went to a woken waiter. It reports
// whether the goroutine is in the pool and shall wait for its next call.
func (l *Loop) run(r *runner) bool {
	for {
		if f := l.next; f != nil {
			l.next = nil
			f()
			continue
		}
		if w := l.ready.first; w != nil {
			if task := w.task; task != nil {
				l.ready.pop()
				l.nready--
				w.task, w.state = nil, waitIdle
				task()
				continue
			}
			// Once the baton is gone the loop must not be touched, so the
			// place in the pool is taken first.
			pooled := len(l.idle) < maxIdle
			if pooled {
				l.idle = append(l.idle, r)
			}
			l.pass()
			return pooled
		}
		if l.iev < l.nev {
			ev := &l.events[l.iev]
			l.iev++
			l.dispatch(ev)
			continue
		}
		if l.timers.due(l.clock.msec) {
			l.fireTimer()
			continue
		}
		if l.budget > 0 && l.deferred.len() > 0 {
			l.budget--
			l.deferred.pop()()
			continue
		}
		if w := l.turned(); w != nil {
			l.Wake(w, nil)
			continue
		}
		if l.stopped {
			if l.finish() {
				return false
			}
			continue
		}
		l.poll()
	}
}

// finish winds the loop up after Stop; it reports true when nothing is left.
func (l *Loop) finish() bool {
	for _, w := range [...]*Waiter{l.parked.first, l.turning.first} {
		if w != nil {
			l.Wake(w, ErrStopped)
			return false
		}
	}
	for l.later.len() > 0 {
		l.deferred.push(l.later.pop())
	}
	if l.deferred.len() > 0 {
		l.budget = maxDeferred
		return false
	}
	if l.stats.Blocked > 0 {
		l.poll()
		return false
	}
	for _, r := range l.idle {
		r.quit = true
		r.wake <- struct{}{}
	}
	l.idle = nil
	close(l.done)
	return true
}

// ended reports whether Run has wound everything up.
func (l *Loop) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// poll fetches the next batch of events, sleeping if there is nothing to do.
func (l *Loop) poll() {
	l.stats.Turns++
	l.budget = maxDeferred
	l.iev = 0
	// The time is that of this turn's beginning, so a sleep may be too long by
	// what the turn has taken; asking for the time again would cost every turn.
	timeout := -1
	if l.deferred.len() > 0 || l.later.len() > 0 || l.turning.first != nil {
		timeout = 0
	} else if when, ok := l.timers.next(); ok {
		timeout = int(min(max(0, when-l.clock.msec), 1<<30))
	}
	switch {
	case timeout == 0:
		l.nev = epollWait(l.epfd, l.events[:], 0)
	case l.outside > 0 || l.stats.Blocked > 0:
		if l.nev = epollWait(l.epfd, l.events[:], 0); l.nev == 0 {
			l.nev = l.poller.wait(l.epfd, l.events[:], timeout)
		}
	default:
		l.poller.detach()
		if l.clock.msec >= l.breath {
			l.breath = l.clock.msec + breathTime
			runtime.Gosched()
		}
		l.nev = block(l.epfd, l.events[:], timeout, int(l.held-l.clock.msec))
	}
	l.UpdateTime()
	if l.nev > 0 {
		l.held = l.clock.msec + l.hold
	}
	for l.later.len() > 0 {
		l.deferred.push(l.later.pop())
	}
}

func (l *Loop) dispatch(ev *unix.EpollEvent) {
	index, gen := uint32(ev.Fd), uint32(ev.Pad)
	if index == 0 {
		l.takeInbox()
		return
	}
	s := &l.slots[index]
	if s.fd == nil || s.gen != gen {
		return // of a descriptor that was unregistered earlier in this batch
	}
	s.fd.event(ev.Events)
}

// queue is a first-in first-out ring.
type queue[T any] struct {
	buf  []T
	head int
	n    int
}

func (q *queue[T]) len() int { return q.n }

func (q *queue[T]) push(v T) {
	if q.n == len(q.buf) {
		buf := make([]T, max(16, 2*len(q.buf)))
		for i := range q.n {
			buf[i] = q.buf[(q.head+i)%len(q.buf)]
		}
		q.buf, q.head = buf, 0
	}
	q.buf[(q.head+q.n)%len(q.buf)] = v
	q.n++
}

func (q *queue[T]) pop() T {
	var zero T
	v := q.buf[q.head]
	q.buf[q.head] = zero
	q.head = (q.head + 1) % len(q.buf)
	q.n--
	return v
}

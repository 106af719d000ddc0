package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

type waitState uint8

const (
	waitIdle waitState = iota
	waitParked
	waitReady
)

// Waiter is what a goroutine parks on. The zero value is ready for use, and it
// can be used again after each wait.
type Waiter struct {
	sig        chan struct{}
	err        error
	timer      Timer
	next, prev *Waiter
	task       func() // of Enqueue
	turn       uint64 // of ParkTurn: the one that it waits for, 0 otherwise
	state      waitState
}

// Parked reports whether a goroutine waits, not woken yet.
func (w *Waiter) Parked() bool { return w.state == waitParked }

// Park gives the baton away and waits until Wake, or until the timeout (0 is
// none), which gives ErrTimeout. The caller holds the baton again afterwards. In
// a loop that has been stopped everybody is woken with ErrStopped, in turn: who
// waits for another goroutine still sees it end.
func (l *Loop) Park(w *Waiter, timeout time.Duration) error {
	if l.stopped && l.ended() {
		return ErrStopped
	}
	w.prepare()
	if timeout > 0 {
		l.SetTimer(&w.timer, timeout)
	}
	return l.park(w, &l.parked)
}

// ParkTurn is Park until the next turn: until the events, timers and deferred functions of that were dealt with. It
// is the sleep of those that want others to go first, at the pace of the loop instead of that of a timer.
func (l *Loop) ParkTurn(w *Waiter) error {
	if l.stopped {
		return ErrStopped
	}
	w.prepare()
	w.turn = l.stats.Turns + 1
	return l.park(w, &l.turning)
}

func (l *Loop) park(w *Waiter, in *waiterList) error {
	w.state = waitParked
	in.push(w)
	l.stats.Parked++
	if !l.wakeFirst(w) {
		l.pass()
		<-w.sig
	}
	w.state = waitIdle
	return w.err
}

// turned is the first of those that wait for this turn, nil if there are none.
func (l *Loop) turned() *Waiter {
	if w := l.turning.first; w != nil && w.turn <= l.stats.Turns {
		return w
	}
	return nil
}

// wakeFirst goes on with the turn as long as that calls no handler: with events and
// timers that only wake somebody, and with waiting for them. It reports whether w is
// the first one that may go on; then the caller keeps the baton, and no goroutine has
// been switched to.
func (l *Loop) wakeFirst(w *Waiter) bool {
	for l.next == nil {
		switch {
		case l.ready.first == w:
			l.ready.pop()
			l.nready--
			return true
		case l.nready > 0:
			return false
		case l.iev < l.nev:
			ev := &l.events[l.iev]
			if !l.onlyWakes(ev) {
				return false
			}
			l.iev++
			l.dispatch(ev)
		case l.timers.due(l.clock.msec):
			if t := l.timers.heap[0]; t.w == nil && t.when != 0 && t.when <= l.clock.msec {
				return false
			}
			l.fireTimer()
		case l.deferred.len() > 0 || l.stopped:
			return false
		case l.turned() != nil:
			l.Wake(l.turned(), nil)
		default:
			l.poll()
		}
	}
	return false
}

// onlyWakes reports whether an event does nothing but wake goroutines.
func (l *Loop) onlyWakes(ev *unix.EpollEvent) bool {
	index, gen := uint32(ev.Fd), uint32(ev.Pad)
	if index == 0 {
		return true // posted functions become deferred ones
	}
	s := &l.slots[index]
	return s.fd == nil || s.gen != gen || s.fd.onlyWakes(ev.Events)
}

// Wake lets the goroutine that is parked on w go on, with err as the result of
// its Park, as soon as the caller lets go of the baton. It reports whether
// somebody was parked there; the first of several calls counts.
func (l *Loop) Wake(w *Waiter, err error) bool {
	if w.state != waitParked {
		return false
	}
	l.StopTimer(&w.timer)
	w.err = err
	w.state = waitReady
	if w.turn != 0 {
		w.turn = 0
		l.turning.remove(w)
	} else {
		l.parked.remove(w)
	}
	l.stats.Parked--
	l.ready.push(w)
	l.nready++
	return true
}

// Yield lets those that are ready go first, in their order. A turn allows so many
// of it; then the events that have come meanwhile go first, too.
func (l *Loop) Yield(w *Waiter) error {
	if l.budget <= 0 {
		return l.ParkTurn(w)
	}
	l.budget--
	if l.stopped {
		return ErrStopped
	}
	if l.NobodyReady() {
		return nil
	}
	w.prepare()
	w.state = waitReady
	l.ready.push(w)
	l.nready++
	l.pass()
	<-w.sig
	w.state = waitIdle
	return w.err
}

// NobodyReady reports whether the caller would get the baton back at once if it let go of it now.
func (l *Loop) NobodyReady() bool { return l.nready == 0 && l.next == nil }

// Enqueue puts the caller behind those that are ready. When its turn comes task runs, as a task of its own, unless the
// caller takes the place before, by TakePlace: it is for a caller that goes on to do something that may park, but
// seldom does.
func (l *Loop) Enqueue(w *Waiter, task func()) {
	w.prepare()
	w.task = task
	w.state = waitReady
	l.ready.push(w)
	l.nready++
}

// TakePlace waits for the turn that Enqueue has given w, whose task has not run and will not.
func (l *Loop) TakePlace(w *Waiter) {
	w.task = nil
	if l.ready.first == w && l.next == nil {
		l.ready.pop()
		l.nready--
	} else {
		l.pass()
		<-w.sig
	}
	w.state = waitIdle
}

// prepare makes a waiter ready for a wait.
func (w *Waiter) prepare() {
	if w.state != waitIdle {
		panic("loop: Park on a Waiter that is in use")
	}
	if w.sig == nil {
		w.sig = make(chan struct{}, 1)
		w.timer.w = w
	}
	w.err = nil
}

// Sleep parks for d, or until the next turn if that is 0.
func (l *Loop) Sleep(d time.Duration) error {
	w := l.waiter()
	var err error
	if d > 0 {
		err = l.Park(w, d)
	} else {
		err = l.ParkTurn(w)
	}
	l.spare = append(l.spare, w)
	if err == ErrTimeout {
		return nil
	}
	return err
}

// Block gives the baton away, runs f, which may block as it likes and must
// touch nothing of the loop's, and takes the baton back.
func (l *Loop) Block(f func()) {
	if l.stopped {
		f()
		return
	}
	w := l.waiter()
	l.stats.Blocked++
	l.pass()
	f()
	l.comeBack(w)
}

// comeBack waits for the baton, which was given away when Blocked was counted.
func (l *Loop) comeBack(w *Waiter) {
	if w.sig == nil {
		w.sig = make(chan struct{}, 1)
		w.timer.w = w
	}
	l.Post(func() {
		l.stats.Blocked--
		w.state = waitReady
		l.ready.push(w)
		l.nready++
	})
	<-w.sig
	w.state = waitIdle
	l.spare = append(l.spare, w)
}

func (l *Loop) waiter() *Waiter {
	if n := len(l.spare); n > 0 {
		w := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return w
	}
	return new(Waiter)
}

// waiterList is a doubly linked list.
type waiterList struct{ first, last *Waiter }

func (q *waiterList) push(w *Waiter) {
	w.prev, w.next = q.last, nil
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
}

func (q *waiterList) remove(w *Waiter) {
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
}

func (q *waiterList) pop() *Waiter {
	w := q.first
	if w != nil {
		q.remove(w)
	}
	return w
}

package loop

import "time"

// Timer calls a function, with the baton, when its time has come.
//
// A connection moves its timer later with every request. So that this costs
// nothing, a timer in the heap is not moved when it is set to a later time or
// stopped: the heap finds out when the old time comes.
type Timer struct {
	when int64 // msec; 0 while stopped
	key  int64 // place in the heap, <= when unless stopped
	turn int64 // place among those with the same key: the first comes first
	pos  int   // index in the heap + 1; 0 while not in it
	f    func()
	w    *Waiter // of Park's own timers, instead of f
}

// NewTimer makes a timer that is not set. f may park.
func NewTimer(f func()) *Timer { return &Timer{f: f} }

// Init makes t a timer that calls f, for timers that live in other structs.
func (t *Timer) Init(f func()) { t.f = f }

// Active reports whether the timer is set.
func (t *Timer) Active() bool { return t.when != 0 }

// SetTimer sets t to fire in d from now.
func (l *Loop) SetTimer(t *Timer, d time.Duration) {
	// Rounded up, so that no timer is early by the clock's grain.
	t.when = l.clock.msec + max(1, int64((d+time.Millisecond-1)/time.Millisecond))
	if t.pos == 0 {
		l.timers.place(t)
		l.timers.push(t)
	} else if t.when < t.key {
		l.timers.place(t)
		l.timers.up(t.pos - 1)
	}
}

// StopTimer makes t not fire. The heap holds on to it until its old time.
func (l *Loop) StopTimer(t *Timer) { t.when = 0 }

// DropTimer stops t and takes it out of the heap, for one whose memory is to
// be freed.
func (l *Loop) DropTimer(t *Timer) {
	t.when = 0
	if t.pos != 0 {
		l.timers.remove(t.pos - 1)
	}
}

// DropWaiter takes the timer of a waiter that is not parked out of the heap, for one
// whose memory is to be freed.
func (l *Loop) DropWaiter(w *Waiter) { l.DropTimer(&w.timer) }

// fireTimer deals with the first timer of the heap, which is due.
func (l *Loop) fireTimer() {
	t := l.timers.heap[0]
	if t.when > l.clock.msec {
		l.timers.place(t)
		l.timers.down(0)
		return
	}
	l.timers.remove(0)
	if t.when == 0 {
		return
	}
	t.when = 0
	if t.w != nil {
		l.Wake(t.w, ErrTimeout)
		return
	}
	t.f()
}

// timerHeap is a 4-ary heap by key and turn.
type timerHeap struct {
	heap []*Timer
	turn int64
}

// place gives t the place that its time is, behind all others.
func (h *timerHeap) place(t *Timer) {
	h.turn++
	t.key, t.turn = t.when, h.turn
}

func (t *Timer) before(x *Timer) bool {
	return t.key < x.key || t.key == x.key && t.turn < x.turn
}

func (h *timerHeap) due(now int64) bool { return len(h.heap) > 0 && h.heap[0].key <= now }

func (h *timerHeap) next() (int64, bool) {
	if len(h.heap) == 0 {
		return 0, false
	}
	return h.heap[0].key, true
}

func (h *timerHeap) push(t *Timer) {
	h.heap = append(h.heap, t)
	t.pos = len(h.heap)
	h.up(len(h.heap) - 1)
}

func (h *timerHeap) remove(i int) {
	t := h.heap[i]
	last := len(h.heap) - 1
	h.heap[i] = h.heap[last]
	h.heap[i].pos = i + 1
	h.heap[last] = nil
	h.heap = h.heap[:last]
	t.pos = 0
	if i < last {
		h.down(i)
		h.up(i)
	}
}

func (h *timerHeap) up(i int) {
	t := h.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if h.heap[parent].before(t) {
			break
		}
		h.heap[i] = h.heap[parent]
		h.heap[i].pos = i + 1
		i = parent
	}
	h.heap[i] = t
	t.pos = i + 1
}

func (h *timerHeap) down(i int) {
	t := h.heap[i]
	for {
		child := 4*i + 1
		if child >= len(h.heap) {
			break
		}
		for c, end := child+1, min(child+4, len(h.heap)); c < end; c++ {
			if h.heap[c].before(h.heap[child]) {
				child = c
			}
		}
		if t.before(h.heap[child]) {
			break
		}
		h.heap[i] = h.heap[child]
		h.heap[i].pos = i + 1
		i = child
	}
	h.heap[i] = t
	t.pos = i + 1
}

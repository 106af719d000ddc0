package httplua

import (
	"time"

	"perilune/luart"
	"perilune/worker/loop"
)

// eventLoop is the worker's loop as luart sees it.
type eventLoop struct{ *loop.Loop }

func (l eventLoop) NewWaiter() luart.Waiter { return &waiter{l: l.Loop} }

func (l eventLoop) NewTimer(f func()) luart.Timer {
	return &timer{l: l.Loop, t: loop.NewTimer(f)}
}

// Turn is the number of the loop's turn.
func (l eventLoop) Turn() uint64 { return l.Stats().Turns }

type waiter struct {
	l *loop.Loop
	w loop.Waiter
}

func (w *waiter) Park(timeout time.Duration) error {
	return waitError(w.l.Park(&w.w, timeout))
}

func (w *waiter) ParkTurn() error { return w.l.ParkTurn(&w.w) }

func (w *waiter) Yield() error { return w.l.Yield(&w.w) }

func (w *waiter) Enqueue(task func()) { w.l.Enqueue(&w.w, task) }

func (w *waiter) TakePlace() { w.l.TakePlace(&w.w) }

func (w *waiter) Wake(err error) bool { return w.l.Wake(&w.w, err) }

func (w *waiter) Drop() { w.l.DropWaiter(&w.w) }

type timer struct {
	l *loop.Loop
	t *loop.Timer
}

func (t *timer) Set(d time.Duration) { t.l.SetTimer(t.t, d) }

func (t *timer) Stop() { t.l.DropTimer(t.t) }

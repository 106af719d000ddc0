package logging

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"perilune/ipc/shm"
)

const (
	maxQueue = 4 << 20     // bytes that may wait for a slow file, in each process
	maxBatch = 64 << 10    // bytes of several lines in one write
	slowTime = time.Second // a file counts as slow for so long after a slow write
)

// DrainTime is how long a file that is closed, and a process that ends, wait for
// what a slow file has not taken yet.
const DrainTime = 2 * time.Second

// handoff is the queue of lines for a file that is slow. A goroutine writes
// them and ends when the file has not been slow for a while.
type handoff struct {
	busy atomic.Bool // lines go through the queue

	mu      sync.Mutex
	buf     []byte
	lines   []queuedLine
	slow    time.Time // when the file counts as slow no more
	running bool
	full    bool // waiting for room was in vain
	writing int  // goroutines that do
	wake    chan struct{}
}

// queuedLine is one call of WriteLines.
type queuedLine struct{ size, lines int }

// expect makes the next lines go through the queue.
func (q *handoff) expect() {
	q.mu.Lock()
	q.slow = time.Now().Add(slowTime)
	q.busy.Store(true)
	q.mu.Unlock()
}

// hand queues lines.
func (f *File) hand(p []byte, n int) (int, error) {
	q := &f.queue
	q.mu.Lock()
	if !q.busy.Load() {
		q.slow = time.Now().Add(slowTime)
		q.busy.Store(true)
	}
	if !q.waitRoom(len(p)) {
		q.mu.Unlock()
		f.account(p, p, n, unix.ENOBUFS)
		f.complain(unix.ENOBUFS)
		return 0, unix.ENOBUFS
	}
	q.buf = append(q.buf, p...)
	q.lines = append(q.lines, queuedLine{len(p), n})
	f.count(countQueued, uint64(n))
	f.start()
	return len(p), nil
}

// waitRoom waits for room in the queue: for a file that takes anything at all
// it is worth a moment, once. The queue is locked.
func (q *handoff) waitRoom(n int) bool {
	for waited := time.Duration(0); ; waited += time.Millisecond {
		if len(q.buf) == 0 || len(q.buf)+n <= maxQueue {
			q.full = false
			return true
		}
		if q.full || waited >= patience {
			q.full = true
			return false
		}
		q.mu.Unlock()
		time.Sleep(time.Millisecond)
		q.mu.Lock()
	}
}

// pipeFull deals with lines that a pipe has not taken to their end. The latch
// stays with the rest of a line until it is written.
func (f *File) pipeFull(l *shm.Latch, p, rest []byte, n int, held bool) (int, error) {
	if len(rest) == len(p) {
		if held {
			l.Release()
		}
		return f.hand(p, n)
	}
	q := &f.queue
	q.expect()
	f.count(countQueued, uint64(n))
	f.count(countBytes, uint64(len(p)-len(rest)))
	q.mu.Lock()
	q.writing++
	q.mu.Unlock()
	rest = append([]byte(nil), rest...)
	go func() {
		f.workRest(l, rest, n, held)
		q.mu.Lock()
		q.writing--
		q.mu.Unlock()
	}()
	f.queue.mu.Lock()
	f.start()
	return len(p), nil
}

// start sees to it that the goroutine runs and looks at the queue; it unlocks the queue.
func (f *File) start() {
	q := &f.queue
	if q.wake == nil {
		q.wake = make(chan struct{}, 1)
	}
	if !q.running {
		q.running = true
		go f.work()
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// work writes the queue.
func (f *File) work() {
	q := &f.queue
	for {
		q.mu.Lock()
		batch, lines := q.batch()
		if len(batch) == 0 {
			left := time.Until(q.slow)
			if left <= 0 {
				q.busy.Store(false)
				q.running, q.buf, q.lines = false, nil, nil
				q.mu.Unlock()
				return
			}
			q.mu.Unlock()
			select {
			case <-q.wake:
			case <-time.After(left):
			}
			continue
		}
		q.writing++
		q.mu.Unlock()
		slow := f.workBatch(batch, lines)
		q.mu.Lock()
		q.writing--
		if slow {
			q.slow = time.Now().Add(slowTime)
		}
		q.mu.Unlock()
	}
}

// batch takes lines out of the queue, at least one if there is any.
func (q *handoff) batch() (batch []byte, lines int) {
	size, k := 0, 0
	for ; k < len(q.lines) && (k == 0 || size+q.lines[k].size <= maxBatch); k++ {
		size += q.lines[k].size
		lines += q.lines[k].lines
	}
	if k == 0 {
		return nil, 0
	}
	batch = append(batch, q.buf[:size]...)
	q.buf = q.buf[:copy(q.buf, q.buf[size:])]
	q.lines = q.lines[:copy(q.lines, q.lines[k:])]
	return batch, lines
}

// workBatch writes lines, and reports whether that took long.
func (f *File) workBatch(batch []byte, lines int) bool {
	begin := time.Now()
	l := f.latch.Load()
	held := f.take(l, longPatience)
	for !held && f.kind.Load() == pipe {
		held = l.Acquire(longPatience) // half a line of another is in the pipe
	}
	rest, err := f.writeHeld(l, batch, lines)
	if err != unix.EAGAIN {
		if held {
			l.Release()
		}
		f.settled(err)
		return time.Since(begin) > patience
	}
	f.count(countBytes, uint64(len(batch)-len(rest)))
	f.workRest(l, rest, lines, held)
	return true
}

// workRest writes to a pipe what it has not taken at once.
func (f *File) workRest(l *shm.Latch, rest []byte, lines int, held bool) {
	left, err := f.writePipe(rest)
	f.account(rest, left, lines, err)
	if held {
		l.Release()
	}
	f.settled(err)
}

func (f *File) settled(err error) {
	if err != nil {
		f.complain(err)
	} else if f.report.pending.Load() != 0 {
		f.recovered()
	}
}

// Drain waits, d at most, until the file has taken what waits for it.
func (f *File) Drain(d time.Duration) {
	if !f.queue.busy.Load() {
		return
	}
	q := &f.queue
	for end := time.Now().Add(d); ; time.Sleep(time.Millisecond) {
		q.mu.Lock()
		idle := q.writing == 0 && len(q.buf) == 0
		q.mu.Unlock()
		if idle || time.Now().After(end) {
			return
		}
	}
}

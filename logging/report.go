package logging

import (
	"sync/atomic"
	"syscall"
	"time"
)

// reportEvery is how often a log file may be complained about.
const reportEvery = time.Minute

// reporter says in the error log that lines of a file are lost.
type reporter struct {
	log     atomic.Pointer[Log]
	last    atomic.Int64 // when it was said, in seconds since 1970
	pending atomic.Uint64
	within  atomic.Bool // a complaint is being written: its own loss is no reason for another
}

// complain says, once a minute at most, that lines could not be written.
func (f *File) complain(err error) {
	r := &f.report
	n := r.pending.Add(1)
	log := r.log.Load()
	if log == nil || !r.due() || !r.within.CompareAndSwap(false, true) {
		return
	}
	defer r.within.Store(false)
	ln := log.Begin(Alert, 0).Str("write() to \"").Str(f.path).Str("\" failed")
	if errno, ok := err.(syscall.Errno); ok {
		ln.Errno(errno)
	}
	if n > 1 {
		ln.Printf(", %d writes since the last complaint", n)
	}
	ln.End()
	r.pending.Store(1)
}

func (r *reporter) due() bool {
	now, last := time.Now().Unix(), r.last.Load()
	return now-last >= int64(reportEvery/time.Second) && r.last.CompareAndSwap(last, now)
}

// recovered says how many lines are missing, when the file can be written again.
func (f *File) recovered() {
	r := &f.report
	log := r.log.Load()
	if r.within.Load() || r.pending.Swap(0) == 0 || log == nil {
		return
	}
	log.Logf(Notice, 0, "\"%s\" is written again, %d lines have been lost since the start", f.path, f.Lost())
}

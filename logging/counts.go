package logging

import (
	"bytes"

	"golang.org/x/sys/unix"

	"perilune/ipc/shm"
)

// What is counted of a file, as places in counts: by each process for itself, and
// together with all others that write to the path, in the memory of its latch.
// The numbers stay, for they are those of a zone that the next version inherits.
const (
	countLines = iota
	countBytes
	countLost
	countLostBytes
	countShort
	countQueued
	countEnded
	countReopens
	countNoSpace
	countQuota
	countIO
	countPipe
	countFull
	countOther
	countLastError
)

// Counters tell what has been done with a file: by a process since it has the File,
// or by all of them.
type Counters struct {
	Lines     uint64     // written whole
	Bytes     uint64     // of these lines
	Lost      uint64     // not written, or not to their end
	LostBytes uint64     // of these lines
	Short     uint64     // writes that the kernel cut short
	Queued    uint64     // lines left to the goroutine for slow files
	Ended     uint64     // half lines, of any process, that were ended
	Reopens   uint64     // times the file was opened anew or replaced
	Errors    Errors     // failed writes by their kinds
	LastError unix.Errno // of the last lost line, 0 if none was lost
}

// Errors counts writes that have failed.
type Errors struct {
	NoSpace uint64 `json:"no_space"`   // ENOSPC
	Quota   uint64 `json:"quota"`      // EDQUOT
	IO      uint64 `json:"io"`         // EIO
	Pipe    uint64 `json:"pipe"`       // EPIPE: the reader is gone
	Full    uint64 `json:"queue_full"` // the queue for a slow file had no room
	Other   uint64 `json:"other"`
}

// CountersOf reads counts.
func CountersOf(c *shm.Counts) Counters {
	return Counters{
		Lines:     c[countLines].Load(),
		Bytes:     c[countBytes].Load(),
		Lost:      c[countLost].Load(),
		LostBytes: c[countLostBytes].Load(),
		Short:     c[countShort].Load(),
		Queued:    c[countQueued].Load(),
		Ended:     c[countEnded].Load(),
		Reopens:   c[countReopens].Load(),
		Errors: Errors{
			NoSpace: c[countNoSpace].Load(), Quota: c[countQuota].Load(), IO: c[countIO].Load(),
			Pipe: c[countPipe].Load(), Full: c[countFull].Load(), Other: c[countOther].Load(),
		},
		LastError: unix.Errno(c[countLastError].Load()),
	}
}

// Counters returns what this process has done with the file.
func (f *File) Counters() Counters { return CountersOf(&f.counts) }

// Lost is the number of lines that this process has lost so far.
func (f *File) Lost() uint64 { return f.counts[countLost].Load() }

func (f *File) count(what int, n uint64) {
	f.counts[what].Add(n)
	f.latch.Load().Counts[what].Add(n)
}

// failed counts a write that has failed.
func (f *File) failed(err error) {
	kind := countOther
	switch err {
	case unix.ENOSPC:
		kind = countNoSpace
	case unix.EDQUOT:
		kind = countQuota
	case unix.EIO:
		kind = countIO
	case unix.EPIPE:
		kind = countPipe
	case unix.ENOBUFS:
		kind = countFull
	}
	f.count(kind, 1)
	if errno, ok := err.(unix.Errno); ok {
		f.counts[countLastError].Store(uint64(errno))
		f.latch.Load().Counts[countLastError].Store(uint64(errno))
	}
}

// account counts n lines that have been written but for the rest.
func (f *File) account(p, rest []byte, n int, err error) {
	lost := 0
	if len(rest) > 0 {
		lost = n
		if len(rest) < len(p) {
			lost = min(n, max(1, bytes.Count(rest, []byte{'\n'})))
		}
		f.count(countLost, uint64(lost))
		f.count(countLostBytes, uint64(len(rest)))
		f.failed(err)
	}
	if lost < n {
		f.count(countLines, uint64(n-lost))
	}
	if len(rest) < len(p) {
		f.count(countBytes, uint64(len(p)-len(rest)))
	}
}

package logging

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"perilune/ipc/shm"
)

const (
	// patience is how long a writer waits for the latch of a file, and how
	// long a write may take before the next lines are handed off.
	patience = 20 * time.Millisecond
	// longPatience is that of writers that hold nothing up.
	longPatience = time.Second
)

// Write appends one line, which must end with its newline, with one write(2).
// What cannot be written is counted as lost and the error returned. When the
// file is slow (a write that takes long, a pipe that is full, a latch that a
// process keeps) the lines are copied for a goroutine that writes them in their
// order, and count as accepted.
func (f *File) Write(line []byte) (int, error) { return f.WriteLines(line, 1) }

// WriteLines is Write for several lines, or for a block that only looks like
// one: a write that fails counts as n lines.
func (f *File) WriteLines(p []byte, n int) (int, error) { return f.writeLines(p, n, f.sync) }

// writeLines is WriteLines; patient waits however long it takes.
func (f *File) writeLines(p []byte, n int, patient bool) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !patient && f.queue.busy.Load() {
		return f.hand(p, n)
	}
	l := f.latch.Load()
	if f.FD() < 0 {
		f.account(p, p, n, unix.EBADF)
		return 0, unix.EBADF
	}
	limit := patience
	if patient {
		limit = longPatience
	}
	held := f.take(l, limit)
	if !held && !patient {
		return f.hand(p, n)
	}
	begin := time.Now()
	rest, err := f.writeHeld(l, p, n)
	if err == unix.EAGAIN {
		if !patient {
			return f.pipeFull(l, p, rest, n, held)
		}
		rest, err = f.writePipe(rest)
		f.account(p, rest, n, err)
	}
	if held {
		l.Release()
	}
	if !patient && time.Since(begin) > patience {
		f.queue.expect()
	}
	f.settled(err)
	return len(p) - len(rest), err
}

// take takes the latch. A process that stands still with it (stopped by a
// signal, say) is waited for once.
func (f *File) take(l *shm.Latch, limit time.Duration) bool {
	if h := f.stuck.Load(); h != 0 {
		if l.Holder() == h {
			limit = time.Microsecond
		} else {
			f.stuck.Store(0)
		}
	}
	if l.Acquire(limit) {
		return true
	}
	f.stuck.Store(l.Holder())
	return false
}

// writeHeld writes lines under the latch and returns what is left of them. A
// half line that the kernel leaves behind, having no room for more, is not
// completed: others may have come between. It is ended before the next line of
// whatever process, and the line is tried once more as a whole.
func (f *File) writeHeld(l *shm.Latch, p []byte, n int) (rest []byte, err error) {
	fd := f.FD()
	if fd < 0 {
		f.account(p, p, n, unix.EBADF)
		return p, unix.EBADF
	}
	rest = p
	for tries := 0; ; {
		out := rest
		seen := l.Breaks() + 1
		newline := f.checked.Load() != seen && f.unended(fd)
		if newline {
			out = append([]byte{'\n'}, rest...)
		}
		w, err := unix.Write(fd, out)
		if err == unix.EINTR {
			continue
		}
		if newline && w > 0 {
			f.count(countEnded, 1)
		}
		if !newline || w > 0 {
			f.checked.Store(seen)
		}
		if err == nil && w == len(out) {
			f.account(p, nil, n, nil)
			return nil, nil
		}
		if err == unix.EAGAIN && f.kind.Load() == pipe {
			return rest, err
		}
		if err != nil {
			f.account(p, rest, n, err)
			return rest, err
		}
		f.count(countShort, 1)
		if newline && w > 0 {
			w--
		}
		switch f.kind.Load() {
		case pipe:
			// With the latch nobody of ours comes between.
			return rest[w:], unix.EAGAIN
		case stream:
			rest = rest[w:]
			continue
		}
		whole := bytes.LastIndexByte(rest[:w], '\n') + 1
		if w > whole {
			l.Break()
		}
		if w == len(rest)-1 && rest[w] == '\n' {
			// The line is there: whoever writes next ends it.
			f.account(p, nil, n, nil)
			return nil, nil
		}
		rest = rest[whole:]
		if tries++; tries > 2 && whole == 0 {
			f.account(p, rest, n, unix.ENOSPC)
			return rest, unix.ENOSPC
		}
	}
}

// unended reports whether the file ends with half a line: whether it does is
// looked up when a writer has broken off, and before the first line.
func (f *File) unended(fd int) bool {
	first := f.checked.Load() == 0
	if first && !f.shared {
		return false // another may be in the middle of a write
	}
	if f.kind.Load() != regular {
		return !first && f.kind.Load() == pipe
	}
	// The descriptor is for writing only, and the path may lead elsewhere.
	r, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return !first // an empty line at worst
	}
	defer unix.Close(r)
	var st unix.Stat_t
	if err := unix.Fstat(r, &st); err != nil || st.Size == 0 {
		return false
	}
	var last [1]byte
	n, err := unix.Pread(r, last[:], st.Size-1)
	return err == nil && n == 1 && last[0] != '\n'
}

// writePipe writes to a pipe until all is written or nobody reads any more.
func (f *File) writePipe(p []byte) (rest []byte, err error) {
	fd := f.FD()
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		switch {
		case err == unix.EAGAIN:
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
			if err != nil && err != unix.EINTR {
				return p, err
			}
		case err == unix.EINTR:
		case err != nil:
			return p, err
		default:
			p = p[n:]
		}
	}
	return nil, nil
}

// WriteBlock appends bytes that are not text and stand for n lines. What the
// kernel has taken of a block that has no room is taken back.
func (f *File) WriteBlock(p []byte, n int) (int, error) {
	l := f.latch.Load()
	held := f.take(l, longPatience)
	fd := f.FD()
	var w int
	var err error
	for f.kind.Load() != pipe {
		if w, err = unix.Write(fd, p); err != unix.EINTR {
			break
		}
	}
	if f.kind.Load() == pipe {
		var rest []byte
		rest, err = f.writePipe(p)
		w = len(p) - len(rest)
	}
	if err == nil && w < len(p) {
		f.count(countShort, 1)
		err = unix.ENOSPC
		end, serr := unix.Seek(fd, 0, unix.SEEK_CUR)
		var st unix.Stat_t
		if held && serr == nil && unix.Fstat(fd, &st) == nil && st.Size == end {
			_ = unix.Ftruncate(fd, end-int64(w))
		}
	}
	if held {
		l.Release()
	}
	if err != nil {
		f.account(p, p, n, err)
	} else {
		f.account(p, nil, n, nil)
	}
	f.settled(err)
	return w, err
}

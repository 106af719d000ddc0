package logging

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// openFlags are nginx's for a log: the kernel puts every write at the end,
// whatever other processes have written meanwhile.
const (
	openFlags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC
	openMode  = 0o644
)

// File is a log file. Its descriptor's number never changes once it is open:
// a reopen puts the new file under the same number in one step, so that
// writers need no lock and each line goes either to the old file or to the
// new one. All methods may be called from any goroutine.
type File struct {
	path    string
	stderr  bool
	journal bool         // standard error that goes to the journal
	fd      atomic.Int32 // -1 until open

	// torn is set when the start of a line is in the file and its rest could
	// not be written; the next line begins on a line of its own.
	torn atomic.Bool

	lines, bytes, lost, lostBytes, short, reopens atomic.Uint64
	lastErr                                       atomic.Int32
}

// Counters tell what a File has done since it was made.
type Counters struct {
	Lines     uint64     // written whole
	Bytes     uint64     // of these lines
	Lost      uint64     // not written, or not to their end
	LostBytes uint64     // of these, not written
	Short     uint64     // writes that the kernel cut short
	Reopens   uint64     // times the file was opened anew or replaced
	LastError unix.Errno // of the last lost line, 0 if none was lost
}

func newFile(path string) *File {
	f := &File{path: path}
	f.fd.Store(-1)
	return f
}

// NewFile returns a File of that path on a descriptor that is already open
// and that the File owns from now on.
func NewFile(path string, fd int) *File {
	f := newFile(path)
	f.fd.Store(int32(fd))
	return f
}

// OpenFile opens the log file of that path, creating it if need be.
func OpenFile(path string) (*File, error) {
	f := newFile(path)
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// Path returns the path of the file, empty for standard error.
func (f *File) Path() string { return f.path }

// FD returns the descriptor, -1 while the file is not open.
func (f *File) FD() int { return int(f.fd.Load()) }

// IsStderr reports whether the file is the standard error of the process,
// which is neither opened nor reopened nor closed.
func (f *File) IsStderr() bool { return f.stderr }

func openPath(path string) (int, error) {
	for {
		fd, err := unix.Open(path, openFlags, openMode)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, fmt.Errorf("open() \"%s\" failed %w", path, &sysError{err})
		}
		return fd, nil
	}
}

// sysError prints a system error as nginx does and unwraps to it.
type sysError struct{ err error }

func (e *sysError) Error() string { return ErrnoText(e.err) }
func (e *sysError) Unwrap() error { return e.err }

func (f *File) open() error {
	if f.stderr || f.FD() >= 0 {
		return nil
	}
	fd, err := openPath(f.path)
	if err != nil {
		return err
	}
	f.fd.Store(int32(fd))
	return nil
}

// Attach gives a file that is not open yet the descriptor fd, inherited from
// the process that opened it. The File owns it from now on.
func (f *File) Attach(fd int) error {
	if f.stderr {
		return nil
	}
	if !f.fd.CompareAndSwap(-1, int32(fd)) {
		return fmt.Errorf("log file \"%s\" is already open", f.path)
	}
	unix.CloseOnExec(fd)
	return nil
}

// Reopen opens the path anew, which after a rename makes a new file. Lines
// go to the old file until the new one is open, and stay there if it cannot
// be opened.
func (f *File) Reopen() error {
	if f.stderr {
		return nil
	}
	fd, err := openPath(f.path)
	if err != nil {
		return err
	}
	return f.Replace(fd)
}

// Replace makes the file write to fd instead, and closes fd: what it referred
// to lives on under the number of the old descriptor.
func (f *File) Replace(fd int) error {
	if f.stderr {
		return unix.Close(fd)
	}
	old := f.FD()
	if old < 0 {
		return f.Attach(fd)
	}
	if old == fd {
		return nil
	}
	for {
		// EBUSY: another thread is between open and the installation of a
		// descriptor of this number; dup2(2) says to try again.
		err := unix.Dup3(fd, old, unix.O_CLOEXEC)
		if err == unix.EINTR || err == unix.EBUSY {
			continue
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("dup3() \"%s\" failed %w", f.path, &sysError{err})
		}
		break
	}
	f.torn.Store(false)
	f.reopens.Add(1)
	return unix.Close(fd)
}

// Close closes the descriptor. Lines written later are lost, and counted.
func (f *File) Close() error {
	if f.stderr {
		return nil
	}
	fd := f.fd.Swap(-1)
	if fd < 0 {
		return nil
	}
	return unix.Close(int(fd))
}

// Write appends one line, which must end with its newline, with one write(2).
// It is called again only for what the kernel left over of a line, and when a
// signal came before anything was written. A line that cannot be written to
// its end is counted as lost and the error returned.
func (f *File) Write(line []byte) (int, error) {
	if len(line) == 0 {
		return 0, nil
	}
	fd := f.FD()
	if fd < 0 {
		f.lose(len(line), unix.EBADF)
		return 0, unix.EBADF
	}
	if f.torn.Load() {
		return f.writeAfterTear(fd, line)
	}
	n, err := f.writeAll(fd, line)
	if err != nil {
		if n > 0 {
			f.torn.Store(true)
		}
		f.lose(len(line)-n, err)
		return n, err
	}
	f.lines.Add(1)
	f.bytes.Add(uint64(n))
	return n, nil
}

// writeAll writes all of p, in one call unless the kernel stops midway.
func (f *File) writeAll(fd int, p []byte) (int, error) {
	done := 0
	for {
		n, err := unix.Write(fd, p[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
		if done == len(p) {
			return done, nil
		}
		f.short.Add(1)
		if n == 0 {
			return done, unix.EIO
		}
	}
}

// writeAfterTear ends the half line that a full disk has left before it
// writes the line, in one write so that nothing comes between.
func (f *File) writeAfterTear(fd int, line []byte) (int, error) {
	n, err := f.writeAll(fd, append([]byte{'\n'}, line...))
	if n > 0 {
		n--
	}
	if err != nil {
		f.lose(len(line)-n, err)
		return n, err
	}
	f.torn.Store(false)
	f.lines.Add(1)
	f.bytes.Add(uint64(n))
	return n, nil
}

func (f *File) lose(bytes int, err error) {
	f.lost.Add(1)
	f.lostBytes.Add(uint64(bytes))
	if errno, ok := err.(unix.Errno); ok {
		f.lastErr.Store(int32(errno))
	}
}

// Counters returns the counters of the file.
func (f *File) Counters() Counters {
	return Counters{
		Lines:     f.lines.Load(),
		Bytes:     f.bytes.Load(),
		Lost:      f.lost.Load(),
		LostBytes: f.lostBytes.Load(),
		Short:     f.short.Load(),
		Reopens:   f.reopens.Load(),
		LastError: unix.Errno(f.lastErr.Load()),
	}
}

package logging

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"perilune/ipc/shm"
)

// openFlags are nginx's for a log: the kernel puts every write at the end,
// whatever other processes have written meanwhile.
const (
	openFlags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC
	openMode  = 0o644
)

// Kinds of files.
const (
	stream  = iota // anything that takes bytes in their order: a terminal, a socket
	regular        // one write is one piece, unless there is no room
	pipe           // one that does not block; up to PIPE_BUF bytes are one piece
)

// File is a log file. Its descriptor's number never changes once it is open:
// a reopen puts the new file under the same number in one step, so that each
// line goes either to the old file or to the new one. All methods may be
// called from any goroutine.
type File struct {
	path    string
	stderr  bool
	journal bool         // standard error that goes to the journal
	own     bool         // opened by this process after its start
	users   int          // of Use that have not called Drop
	mode    uint32       // of a file that is made
	sync    bool         // see SetSync
	fd      atomic.Int32 // -1 until open
	kind    atomic.Int32 // of regular, pipe, stream

	// latch is held for each write, with all processes that write to the
	// path. checked is one more than its Breaks when the end of the file was
	// last known to be the end of a line; 0 if that was never looked at.
	latch   atomic.Pointer[shm.Latch]
	shared  bool // the latch is
	checked atomic.Uint32
	stuck   atomic.Uint64 // holder of the latch that was waited for in vain

	buffer *Buffer // of an access log
	queue  handoff
	report reporter

	counts shm.Counts
}

func newFile(path string) *File {
	f := &File{path: path, mode: openMode}
	f.latch.Store(shm.NewLatch())
	f.fd.Store(-1)
	return f
}

// NewFile returns a File of that path on a descriptor that is already open
// and that the File owns from now on.
func NewFile(path string, fd int) *File {
	f := newFile(path)
	f.setFD(fd)
	return f
}

// setFD takes a descriptor into use.
func (f *File) setFD(fd int) {
	f.look(fd)
	f.fd.Store(int32(fd))
}

// look finds out what kind of file a descriptor is of.
func (f *File) look(fd int) {
	kind := int32(stream)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			kind = regular
		case unix.S_IFIFO:
			// One that was inherited is shared with others who may rely on
			// its blocking.
			if fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil && fl&unix.O_NONBLOCK != 0 {
				kind = pipe
			}
		}
	}
	f.kind.Store(kind)
	f.checked.Store(0)
}

// SetSync makes Write return only when the line is in the file or lost, however
// long that takes. It is called before the first line.
func (f *File) SetSync() { f.sync = true }

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

// openPath opens a log. A FIFO is opened without waiting for a reader, and a
// pipe stays non-blocking: a reader that stands still must not hold up a
// worker.
func openPath(path string, mode uint32) (int, error) {
	flags := openFlags | unix.O_NONBLOCK
	for {
		fd, err := unix.Open(path, flags, mode)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENXIO && flags&unix.O_ACCMODE == unix.O_WRONLY && isFIFO(path):
			flags = flags&^unix.O_ACCMODE | unix.O_RDWR
			continue
		case err == unix.ENXIO && standard[path] > 0:
			fd, err = dupSocket(standard[path])
			if err == nil {
				return fd, nil
			}
			return -1, fmt.Errorf("open() \"%s\" failed %w", path, &sysError{err})
		case err != nil:
			return -1, fmt.Errorf("open() \"%s\" failed %w", path, &sysError{err})
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
			_ = unix.SetNonblock(fd, false)
		}
		return fd, nil
	}
}

// standard are the paths of descriptors that may be sockets, which cannot be opened:
// under systemd they lead to the journal.
var standard = map[string]int{"/dev/stdout": 1, "/dev/stderr": 2}

func dupSocket(fd int) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return -1, unix.ENXIO
	}
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
}

func isFIFO(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// sysError prints a system error as nginx does and unwraps to it.
type sysError struct{ err error }

func (e *sysError) Error() string { return ErrnoText(e.err) }
func (e *sysError) Unwrap() error { return e.err }

func (f *File) open() error {
	if f.stderr || f.FD() >= 0 {
		return nil
	}
	fd, err := openPath(f.path, f.mode)
	if err != nil {
		return err
	}
	f.setFD(fd)
	return nil
}

// Attach gives a file that is not open yet the descriptor fd, inherited from
// the process that opened it. The File owns it from now on.
func (f *File) Attach(fd int) error {
	if f.stderr {
		return nil
	}
	if f.FD() >= 0 {
		return fmt.Errorf("log file \"%s\" is already open", f.path)
	}
	unix.CloseOnExec(fd)
	f.setFD(fd)
	return nil
}

// Reopen opens the path anew, which after a rename makes a new file. Lines
// go to the old file until the new one is open, and stay there if it cannot
// be opened.
func (f *File) Reopen() error {
	if f.stderr {
		return nil
	}
	fd, err := openPath(f.path, f.mode)
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
	// No line of this process is under way meanwhile, so that none is cut at
	// the seam.
	if l := f.latch.Load(); f.take(l, longPatience) {
		defer l.Release()
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
	f.look(old)
	f.count(countReopens, 1)
	return unix.Close(fd)
}

// Close closes the descriptor, after a while for lines that wait for a slow
// file. Lines written later are lost, and counted.
func (f *File) Close() error {
	f.Drain(DrainTime)
	if f.stderr {
		return nil
	}
	fd := f.fd.Swap(-1)
	f.latch.Store(shm.NewLatch()) // the memory of the other may go
	if fd < 0 {
		return nil
	}
	return unix.Close(int(fd))
}

package http

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// staticFile is a file, or directory, that has been opened.
type staticFile struct {
	fd    int
	mode  uint32
	size  int64
	mtime int64
}

// openStatic opens what is to be sent. The call is the one that has failed, for the log.
func (r *Request) openStatic(path []byte) (f staticFile, call string, errno syscall.Errno) {
	fd, errno := openFile(path)
	if errno != 0 {
		return f, "open()", errno
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return f, "fstat()", err.(syscall.Errno)
	}
	if r.Loc.ReadAhead.V > 0 {
		_ = unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL)
	}
	return staticFile{fd: fd, mode: st.Mode, size: st.Size, mtime: st.Mtim.Sec}, "", 0
}

func (f *staticFile) close() { _ = unix.Close(f.fd) }

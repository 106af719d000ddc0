package http

import (
	"bytes"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openFile opens a file for reading; a FIFO does not make it wait. It allocates nothing if there is room behind the path
// for the NUL that ends it. A path with a NUL in it, which the kernel would cut there, is of no file.
func openFile(path []byte) (int, syscall.Errno) {
	if bytes.IndexByte(path, 0) >= 0 {
		return -1, unix.ENOENT
	}
	p := append(path, 0)
	for {
		fd, _, errno := syscall.Syscall6(unix.SYS_OPENAT, atCWD, uintptr(unsafe.Pointer(&p[0])),
			unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_LARGEFILE, 0, 0, 0)
		if errno != unix.EINTR {
			return int(fd), errno
		}
	}
}

// atCWD is AT_FDCWD as an argument of a system call.
const atCWD = ^uintptr(-unix.AT_FDCWD - 1)

// statFile gets the mode of a file.
func statFile(path []byte) (mode uint32, err error) {
	var st unix.Stat_t
	if bytes.IndexByte(path, 0) >= 0 {
		return 0, unix.ENOENT
	}
	err = unix.Stat(string(path), &st)
	return st.Mode, err
}

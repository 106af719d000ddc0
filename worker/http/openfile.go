package http

import (
	"bytes"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls below are not told to the scheduler, which would be ready to
// take the processor away during each, and look for such calls every 20 µs: the
// turn of the loop lasts as long in any case.

// openFile opens a file for reading; a FIFO does not make it wait. It allocates nothing if there is room behind the path
// for the NUL that ends it. A path with a NUL in it, which the kernel would cut there, is of no file.
func openFile(path []byte) (int, syscall.Errno) {
	if bytes.IndexByte(path, 0) >= 0 {
		return -1, unix.ENOENT
	}
	p := append(path, 0)
	for {
		fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, atCWD, uintptr(unsafe.Pointer(&p[0])),
			unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_LARGEFILE, 0, 0, 0)
		if errno != unix.EINTR {
			return int(fd), errno
		}
	}
}

// atCWD is AT_FDCWD as an argument of a system call.
const atCWD = ^uintptr(-unix.AT_FDCWD - 1)

// statFile gets the mode of a file. It allocates nothing unless the path is long.
func statFile(path []byte) (mode uint32, errno syscall.Errno) {
	if bytes.IndexByte(path, 0) >= 0 {
		return 0, unix.ENOENT
	}
	var buf [256]byte
	p := append(append(buf[:0], path...), 0) // what is behind the path may be the caller's
	var st unix.Stat_t
	for {
		_, _, errno = syscall.RawSyscall6(sysFstatat, atCWD, uintptr(unsafe.Pointer(&p[0])), uintptr(unsafe.Pointer(&st)), 0, 0, 0)
		if errno != unix.EINTR {
			return st.Mode, errno
		}
	}
}

// statOpen gets what there is to know of an open file.
func statOpen(fd int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := syscall.RawSyscall(syscall.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// readFile reads a part of a file.
func readFile(fd int, b []byte, off int64) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(off), 0, 0)
	return int(n), errno
}

// closeFile closes a file that was opened for reading.
func closeFile(fd int) { _, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }

// sendFile is sendfile(2).
func sendFile(to, from int, off *int64, n int) (int, syscall.Errno) {
	sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(to), uintptr(from), uintptr(unsafe.Pointer(off)), uintptr(n), 0, 0)
	return int(sent), errno
}

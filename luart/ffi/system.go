package ffi

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/luart/vm"
)

// functions are those of ffi.C by name.
var functions = map[string]*function{
	"open":   {"pi.", 'i', "int open(const char *path, int flags, ...)", sysOpen},
	"creat":  {"pi", 'i', "int creat(const char *path, mode_t mode)", sysCreat},
	"close":  {"i", 'i', "int close(int fd)", func(c *call) { c.done(unix.Close(c.int(0))) }},
	"read":   {"ipi", 'i', "ssize_t read(int fd, void *buf, size_t count)", sysRead},
	"write":  {"ipi", 'i', "ssize_t write(int fd, const void *buf, size_t count)", sysWrite},
	"pread":  {"ipii", 'i', "ssize_t pread(int fd, void *buf, size_t count, off_t offset)", sysPread},
	"pwrite": {"ipii", 'i', "ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset)", sysPwrite},
	"writev": {"ipi", 'i', "ssize_t writev(int fd, const struct iovec *iov, int count)", sysWritev},
	"fsync": {"i", 'i', "int fsync(int fd)", func(c *call) {
		fd := c.int(0)
		c.wait(func() error { return unix.Fsync(fd) })
	}},
	"fdatasync": {"i", 'i', "int fdatasync(int fd)", func(c *call) {
		fd := c.int(0)
		c.wait(func() error { return unix.Fdatasync(fd) })
	}},
	"lseek": {"iii", 'i', "off_t lseek(int fd, off_t offset, int whence)", func(c *call) {
		n, err := unix.Seek(c.int(0), c.args[1].n, c.int(2))
		c.result(int(n), err)
	}},
	"ftruncate": {"ii", 'i', "int ftruncate(int fd, off_t length)", func(c *call) { c.done(unix.Ftruncate(c.int(0), c.args[1].n)) }},
	"fcntl":     {"ii.", 'i', "int fcntl(int fd, int cmd, ...)", sysFcntl},
	"dup": {"i", 'i', "int dup(int fd)", func(c *call) {
		c.result(unix.Dup(c.int(0)))
	}},
	"rename": {"pp", 'i', "int rename(const char *from, const char *to)", func(c *call) { c.done(unix.Rename(c.text(0), c.text(1))) }},
	"unlink": {"p", 'i', "int unlink(const char *path)", func(c *call) { c.done(unix.Unlink(c.text(0))) }},
	"mkdir":  {"pi", 'i', "int mkdir(const char *path, mode_t mode)", func(c *call) { c.done(unix.Mkdir(c.text(0), uint32(c.int(1)))) }},
	"rmdir":  {"p", 'i', "int rmdir(const char *path)", func(c *call) { c.done(unix.Rmdir(c.text(0))) }},
	"access": {"pi", 'i', "int access(const char *path, int mode)", func(c *call) { c.done(unix.Access(c.text(0), uint32(c.int(1)))) }},
	"chmod":  {"pi", 'i', "int chmod(const char *path, mode_t mode)", func(c *call) { c.done(unix.Chmod(c.text(0), uint32(c.int(1)))) }},

	"getpid":  {"", 'i', "pid_t getpid(void)", func(c *call) { c.number = int64(unix.Getpid()) }},
	"getppid": {"", 'i', "pid_t getppid(void)", func(c *call) { c.number = int64(unix.Getppid()) }},
	"getuid":  {"", 'i', "uid_t getuid(void)", func(c *call) { c.number = int64(unix.Getuid()) }},
	"geteuid": {"", 'i', "uid_t geteuid(void)", func(c *call) { c.number = int64(unix.Geteuid()) }},
	"getegid": {"", 'i', "gid_t getegid(void)", func(c *call) { c.number = int64(unix.Getegid()) }},
	"getgid":  {"", 'i', "gid_t getgid(void)", func(c *call) { c.number = int64(unix.Getgid()) }},

	"strerror": {"i", 'p', "char *strerror(int errnum)", libStrerror},
	"getenv":   {"p", 'p', "char *getenv(const char *name)", libGetenv},

	"time":          {"p", 'i', "time_t time(time_t *t)", libTime},
	"gettimeofday":  {"pp", 'i', "int gettimeofday(struct timeval *tv, void *tz)", libGettimeofday},
	"clock_gettime": {"ip", 'i', "int clock_gettime(clockid_t clock, struct timespec *ts)", libClockGettime},

	"malloc": {"i", 'p', "void *malloc(size_t size)", func(c *call) { c.allocate(c.args[0].n, 1) }},
	"calloc": {"ii", 'p', "void *calloc(size_t n, size_t size)", func(c *call) { c.allocate(c.args[0].n, c.args[1].n) }},
	"free":   {"p", 0, "void free(void *p)", func(*call) {}}, // the collector's task

	"memcpy":  {"ppi", 'p', "void *memcpy(void *dst, const void *src, size_t n)", libMemcpy},
	"memmove": {"ppi", 'p', "void *memmove(void *dst, const void *src, size_t n)", libMemcpy},
	"memset": {"pii", 'p', "void *memset(void *dst, int c, size_t n)", func(c *call) {
		fillBytes(c.write(0, c.int(2)), byte(c.int(1)))
		c.ptr = c.args[0].p
	}},
	"memcmp": {"ppi", 'i', "int memcmp(const void *a, const void *b, size_t n)", func(c *call) {
		c.number = int64(bytes.Compare(c.read(0, c.int(2)), c.read(1, c.int(2))))
	}},
	"strlen": {"p", 'i', "size_t strlen(const char *s)", func(c *call) { c.number = int64(len(c.text(0))) }},
	"strcmp": {"pp", 'i', "int strcmp(const char *a, const char *b)", func(c *call) {
		c.number = int64(strings.Compare(c.text(0), c.text(1)))
	}},
}

// done sets the result of a function that returns 0 or -1.
func (c *call) done(err error) { c.result(0, err) }

// result sets the result, and errno after an error.
func (c *call) result(n int, err error) {
	if err == nil {
		c.number = int64(n)
		return
	}
	errno, ok := err.(unix.Errno)
	if !ok {
		errno = unix.EINVAL
	}
	c.fail(int(errno))
}

// maxAllocation is the largest piece of memory that malloc makes.
const maxAllocation = 1 << 30

// allocate makes n pieces of memory of that size, of zeros.
func (c *call) allocate(n, size int64) {
	if n < 0 || size < 0 || n > maxAllocation || size > maxAllocation || n*size > maxAllocation {
		c.l.errno = int(unix.ENOMEM)
		return
	}
	c.ptr = pointer{mem: &block{b: make([]byte, n*size)}}
}

// wait does what takes long, and lets others run meanwhile, who may make calls as
// well. f must not use c.
//
// Other calls are made as LuaJIT makes them, with the worker at a standstill: a
// logger that writes its table of lines and empties it then relies on nobody
// coming between.
func (c *call) wait(f func() error) {
	var err error
	saved := *c
	stop := c.t.WaitFor(vm.Blocks, func() { err = f() })
	*c = saved
	c.stop = stop
	c.done(err)
}

func sysOpen(c *call) {
	mode := 0
	if c.n > 2 {
		mode = c.int(2)
	}
	c.result(unix.Open(c.text(0), c.int(1), uint32(mode)))
}

func sysCreat(c *call) {
	c.result(unix.Open(c.text(0), unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, uint32(c.int(1))))
}

func sysRead(c *call) {
	b := c.write(1, c.int(2))
	for {
		n, err := unix.Read(c.int(0), b)
		if err != unix.EINTR {
			c.result(n, err)
			return
		}
	}
}

func sysWrite(c *call) {
	b := c.read(1, c.int(2))
	for {
		n, err := unix.Write(c.int(0), b)
		if err != unix.EINTR {
			c.result(n, err)
			return
		}
	}
}

func sysPread(c *call) {
	c.result(unix.Pread(c.int(0), c.write(1, c.int(2)), c.args[3].n))
}

func sysPwrite(c *call) {
	c.result(unix.Pwrite(c.int(0), c.read(1, c.int(2)), c.args[3].n))
}

// maxIovecs is IOV_MAX.
const maxIovecs = 1024

func sysWritev(c *call) {
	n := c.int(2)
	if n < 0 || n > maxIovecs {
		c.fail(int(unix.EINVAL))
		return
	}
	const size = 16 // of a struct iovec
	c.read(1, n*size)
	vecs := make([][]byte, 0, n)
	cv := conv{t: c.t}
	for i := range n {
		p := c.args[1].p.add(i * size)
		b := cv.access(p, size)
		if k := int(binary.LittleEndian.Uint64(b[8:])); k != 0 {
			vecs = append(vecs, cv.access(p.pointerAt(b), k))
		}
	}
	for {
		n, err := unix.Writev(c.int(0), vecs)
		if err != unix.EINTR {
			c.result(n, err)
			return
		}
	}
}

// flockSize is the size of a struct flock.
const flockSize = 32

func sysFcntl(c *call) {
	fd, cmd := c.int(0), c.int(1)
	switch cmd {
	case unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW:
		if c.n < 3 {
			c.fail(int(unix.EINVAL))
			return
		}
		b := c.write(2, flockSize)
		lock := unix.Flock_t{
			Type: int16(binary.LittleEndian.Uint16(b)), Whence: int16(binary.LittleEndian.Uint16(b[2:])),
			Start: int64(binary.LittleEndian.Uint64(b[8:])), Len: int64(binary.LittleEndian.Uint64(b[16:])),
			Pid: int32(binary.LittleEndian.Uint32(b[24:])),
		}
		set := func() error { return unix.FcntlFlock(uintptr(fd), cmd, &lock) }
		if cmd == unix.F_SETLKW {
			c.wait(set)
		} else {
			c.done(set())
		}
		if cmd == unix.F_GETLK && c.number == 0 {
			putInt(b[:2], uint64(lock.Type))
			putInt(b[2:4], uint64(lock.Whence))
			putInt(b[8:16], uint64(lock.Start))
			putInt(b[16:24], uint64(lock.Len))
			putInt(b[24:28], uint64(lock.Pid))
		}
	default:
		arg := 0
		if c.n > 2 {
			arg = c.int(2)
		}
		switch cmd {
		case unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_GETOWN, unix.F_SETOWN,
			unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ:
			c.result(unix.FcntlInt(uintptr(fd), cmd, arg))
		default: // it might want a pointer
			c.fail(int(unix.EINVAL))
		}
	}
}

// textMemory is a string of C.
func textMemory(s string) *block { return &block{b: append([]byte(s), 0)} }

func libStrerror(c *call) {
	n := c.int(0)
	m := c.l.texts[n]
	if m == nil {
		s := logging.Strerror(unix.Errno(n))
		if s == "Unknown error" {
			s += " " + strconv.Itoa(n)
		}
		m = textMemory(s)
		if len(c.l.texts) < 256 {
			c.l.texts[n] = m
		}
	}
	c.ptr = pointer{mem: m}
}

func libGetenv(c *call) {
	if s, ok := os.LookupEnv(c.text(0)); ok {
		c.ptr = pointer{mem: textMemory(s)}
	}
}

func libTime(c *call) {
	now := time.Now().Unix()
	if !c.isNull(0) {
		putInt(c.write(0, 8), uint64(now))
	}
	c.number = now
}

func libGettimeofday(c *call) {
	now := time.Now()
	if !c.isNull(0) {
		b := c.write(0, 16)
		putInt(b[:8], uint64(now.Unix()))
		putInt(b[8:], uint64(now.Nanosecond()/1000))
	}
}

func libClockGettime(c *call) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(c.int(0)), &ts); err != nil {
		c.done(err)
		return
	}
	b := c.write(1, 16)
	putInt(b[:8], uint64(ts.Sec))
	putInt(b[8:], uint64(ts.Nsec))
}

func libMemcpy(c *call) {
	n := c.int(2)
	dst, src := c.write(0, n), c.read(1, n)
	if n > 0 {
		if a := &c.args[1]; a.isString {
			copyMemory(dst, src, c.args[0].p, pointer{mem: &block{}}, n)
		} else {
			copyMemory(dst, src, c.args[0].p, a.p, n)
		}
	}
	c.ptr = c.args[0].p
}

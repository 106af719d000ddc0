-- A logger that gathers with writev and keeps its lines in C memory.
local ffi = require "ffi"
local bit = require "bit"
local C = ffi.C
ffi.cdef [[
typedef long ssize_t;
typedef int64_t off_t;
struct iovec { void *iov_base; size_t iov_len; };
struct timeval { long tv_sec; long tv_usec; };
struct timespec { long tv_sec; long tv_nsec; };
int open(const char *path, int flags, ...);
int creat(const char *path, unsigned mode);
int close(int fd);
ssize_t read(int fd, void *buf, size_t count);
ssize_t write(int fd, const void *buf, size_t count);
ssize_t pread(int fd, void *buf, size_t count, off_t offset);
ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset);
ssize_t writev(int fd, const struct iovec *iov, int iovcnt);
off_t lseek(int fd, off_t offset, int whence);
int ftruncate(int fd, off_t length);
int fsync(int fd);
int fdatasync(int fd);
int fcntl(int fd, int cmd, ...);
int dup(int fd);
int mkdir(const char *path, unsigned mode);
int rmdir(const char *path);
int access(const char *path, int mode);
int chmod(const char *path, unsigned mode);
int getpid(void);
int getppid(void);
unsigned getuid(void);
char *strerror(int);
char *getenv(const char *);
int gettimeofday(struct timeval *tv, void *tz);
int clock_gettime(int clock, struct timespec *ts);
long time(long *t);
size_t strlen(const char *);
int memcmp(const void *, const void *, size_t);
enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 64, O_TRUNC = 512, O_APPEND = 1024, O_CLOEXEC = 0x80000 };
static const int SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2, F_GETFD = 1, F_SETFD = 2, F_GETFL = 3;
]]
local dir = arg[1] .. "/"
local path = dir .. "v.log"
local fd = C.open(path, bit.bor(C.O_RDWR, C.O_CREAT, C.O_APPEND, C.O_CLOEXEC), ffi.cast("int", 420))
print("open", fd > 2, type(fd))

local iov = ffi.new("struct iovec[?]", 3)
local parts = { "level=", "info", "\n" }
for i, s in ipairs(parts) do
  iov[i - 1].iov_base = ffi.cast("char *", s)
  iov[i - 1].iov_len = #s
end
local n = C.writev(fd, iov, 3)
print("writev", n, tonumber(n), n == 11, n > 0, n < 0)
print("fsync", C.fsync(fd), C.fdatasync(fd))

local line = ffi.new("char[?]", 64)
ffi.copy(line, "buffered line\n")
local len = C.strlen(line)
print("strlen", len, C.write(fd, line, len))
print("part", C.write(fd, line + 9, 5))
print("lseek", C.lseek(fd, 0, C.SEEK_END), C.lseek(fd, 6, C.SEEK_SET), C.lseek(fd, 0, C.SEEK_CUR))
local buf = ffi.new("char[16]")
print("read", C.read(fd, buf, 4), ffi.string(buf, 4), C.read(fd, buf, 16))
print("pread", C.pread(fd, buf, 5, 0), ffi.string(buf, 5))
print("fcntl", bit.band(C.fcntl(fd, C.F_GETFL), C.O_APPEND), C.fcntl(fd, C.F_GETFD), C.fcntl(fd, C.F_SETFD, ffi.cast("int", 0)), C.fcntl(fd, C.F_GETFD))
print("ftruncate", C.ftruncate(fd, 6), C.lseek(fd, 0, C.SEEK_END))
local d = C.dup(fd)
print("dup", d > fd, C.write(d, "via dup\n", 8), C.close(d), C.close(d), ffi.errno())
print("close", C.close(fd))
local f = io.open(path)
print(f:read("*a"))
f:close()

local w = C.creat(dir .. "w", 384)
print("pwrite", C.pwrite(w, "abc", 3, 2LL), C.close(w))
print("access", C.access(dir .. "w", 4), C.access(dir .. "x", 0), ffi.string(C.strerror(ffi.errno())))
print("chmod", C.chmod(dir .. "w", 420), C.mkdir(dir .. "d", 493), C.mkdir(dir .. "d", 493), ffi.errno(), C.rmdir(dir .. "d"), C.rmdir(dir .. "d"), ffi.errno())
print("ids", C.getpid() > 1, C.getppid() > 0, C.getuid() >= 0)
print("getenv", C.getenv("NO_SUCH_VARIABLE") == nil, C.getenv("PATH") ~= nil, #ffi.string(C.getenv("PATH")) > 0)
local tv, ts = ffi.new("struct timeval"), ffi.new("struct timespec")
print("time", C.gettimeofday(tv, nil), C.clock_gettime(0, ts), math.abs(tonumber(tv.tv_sec - ts.tv_sec)) <= 1, C.time(nil) >= tv.tv_sec, tv.tv_usec < 1000000)
print("clock", C.clock_gettime(77, ts), ffi.string(C.strerror(ffi.errno())))
local t = ffi.new("long[1]")
print("time", C.time(t) == t[0])
print("memcmp", C.memcmp("abc", "abc", 3), C.memcmp("b", "a", 1) > 0)
ffi.errno(0)
print("errno", ffi.errno(), C.close(-1), ffi.errno())

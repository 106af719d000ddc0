-- A logger as many have it: open for appending, write(2) a line, errno and strerror.
local ffi = require "ffi"
local bit = require "bit"
local C = ffi.C
ffi.cdef [[
int open(const char *pathname, int flags, int mode);
int close(int fd);
int write(int fd, const void *buf, int count);
char *strerror(int errnum);
int rename(const char *from, const char *to);
int unlink(const char *path);
]]
local bor = bit.bor
local O_WRONLY, O_CREAT, O_EXCL, O_APPEND = 0x0001, 0x0040, 0x0080, 0x0400
local S_IRUSR, S_IWUSR, S_IRGRP, S_IROTH = 0x100, 0x80, 0x20, 0x4
local dir = arg[1] .. "/"

local _M = {}
local mt = { __index = _M }
local function fail() return nil, ffi.string(C.strerror(ffi.errno())) end
function _M.new(path, flags)
  local fd = C.open(path, bor(O_WRONLY, O_CREAT, O_APPEND, flags or 0), bor(S_IRUSR, S_IWUSR, S_IRGRP, S_IROTH))
  if fd == -1 then return fail() end
  return setmetatable({ fd = fd, path = path }, mt)
end
function _M:log(msg)
  local n = C.write(self.fd, msg, #msg)
  if n < 0 then return fail() end
  return n
end
function _M:reopen()
  C.close(self.fd)
  self.fd = C.open(self.path, bor(O_WRONLY, O_CREAT, O_APPEND), 420)
  return self.fd ~= -1
end
function _M:close() return C.close(self.fd) end

local function show(path)
  local f = assert(io.open(path))
  print(path:sub(#dir + 1), f:read("*a"))
  f:close()
end

local log = assert(_M.new(dir .. "a.log"))
print(log.fd > 2, log:log("one\n"), log:log("two\n"), log:log(""))
print(C.rename(dir .. "a.log", dir .. "a.log.1"), log:log("late\n"), log:reopen(), log:log("new\n"))
print(log:close(), log:close(), ffi.errno())
print(log:log("gone\n"))
show(dir .. "a.log")
show(dir .. "a.log.1")
print(_M.new(dir .. "no/such"))
print(_M.new(dir .. "a.log", O_EXCL))
print(_M.new(dir))
print(C.unlink(dir .. "a.log"), C.unlink(dir .. "a.log"), ffi.string(C.strerror(ffi.errno())))
print(pcall(C.write, "x", "y", 1))
print(pcall(function() C.write(1, nil) end))

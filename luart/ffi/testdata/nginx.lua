local ffi = require "ffi"
ffi.cdef[[
intptr_t ngx_hextoi(unsigned char *line, size_t n);
intptr_t ngx_atoi(unsigned char *line, size_t n);
unsigned char *ngx_hex_dump(unsigned char *dst, unsigned char *src, size_t len);
uint32_t ngx_murmur_hash2(unsigned char *data, size_t len);
]]
local C = ffi.C
local function b(s) local p = ffi.new("unsigned char[?]", #s + 1) ffi.copy(p, s) return p, #s end
local out = {}
for _, s in ipairs{"ff", "0", "7FFFFFFFFFFFFFFF", "8000000000000000", "xyz", "12g", "DeadBeef", "123456789", "9223372036854775807", "9223372036854775808", ""} do
  local p, n = b(s)
  out[#out+1] = s .. "=" .. tostring(tonumber(C.ngx_hextoi(p, n))) .. "," .. tostring(tonumber(C.ngx_atoi(p, n)))
end
for _, s in ipairs{"", "a", "ab", "abc", "abcd", "abcde", "hello world", ("x"):rep(100)} do
  local p, n = b(s)
  out[#out+1] = #s .. "=" .. C.ngx_murmur_hash2(p, n)
end
local dst = ffi.new("unsigned char[?]", 20)
local p, n = b("h\0\255i")
local e = C.ngx_hex_dump(dst, p, n)
out[#out+1] = ffi.string(dst, e - dst)
print(table.concat(out, "\n"))

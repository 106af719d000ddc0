-- What each expression gives, or the error that it raises; LuaJIT says the same.
io.stdout:setvbuf("no")
local ffi = require "ffi"
local bit = require "bit"
ffi.cdef [[
typedef struct { int x; char b[8]; } foo;
struct bar { foo f; struct bar *next; enum { A, B } e; bool z; double d; unsigned bf : 3; int bg : 5; };
enum col { RED, GREEN, BLUE = 7 };
static const int K = 7;
struct mixed { uint8_t a; int64_t b; uint16_t c; float d; const char *s; char tail[5]; };
union word { uint32_t u; uint8_t b[4]; struct { uint16_t lo, hi; }; };
struct __attribute__((packed)) tight { char a; int b; };
struct list { struct list *next; int v; };
struct vla { int n; char data[?]; };
enum neg { MINUS = -1, PLUS = 1 };
static const int SHIFTED = (1 << 4) | 3, SIZE = sizeof(struct mixed), COND = 5 > 3 ? 11 : 22;
static const unsigned char WRAP = 300;
int write(int, char *, long);
int open(const char *, int, ...);
char *strerror(int);
size_t strlen(const char *);
int memcmp(const void *, const void *, size_t);
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);
int getpid(void);
]]
local env = setmetatable({ ffi = ffi, C = ffi.C, bit = bit, new = ffi.new, cast = ffi.cast, str = ffi.string }, { __index = _G })
local function try(src)
  local f = assert(loadstring(src, "=e"))
  setfenv(f, env)
  local r = { pcall(f) }
  local n = 0
  for i in pairs(r) do n = math.max(n, i) end
  for i = 1, n do r[i] = tostring(r[i]):gsub("0x%x+", "0xX"):gsub("(%a+) %d+( ?&?>)", "%1 ID%2") end
  print(src, table.concat(r, " | "))
end
for src in io.lines(arg[1]) do
  if src ~= "" then try(src) end
end

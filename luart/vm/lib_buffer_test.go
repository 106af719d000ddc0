package vm

import "testing"

func TestBufferLibrary(t *testing.T) { runLibCases(t, bufferCases) }

// The results are LuaJIT's.
var bufferCases = []libCase{
	{`(function() local b=require"string.buffer".new() return b:put("abc",1,2.5)==b,tostring(b),#b,b:get(2),b:get(0),b:get(1,1),b:get(),b:get(),b:get(5) end)()`, "true\ttrue\tabc12.5\t7\tab\t\tc\t2.5\t\t"},
	{`(function() local b=require"string.buffer".new() b:put("x"):putf("%d-%s",5,"y") return b:tostring(),b:skip(2):tostring(),b:skip(100):tostring(),#b end)()`, "true\tx5-y\t-y\t\t0"},
	{`(function() local b=require"string.buffer".new() b:set("hello") b:put(" w") return b:get(3),b:tostring(),#b:reset(),b.."x","x"..b end)()`, "true\thel\tlo w\t0\tx\tx"},
	{`(function() local b=require"string.buffer".new() b:put({}) end)()`, "false\tt:1: bad argument #1 to 'put' (string/number/__tostring expected, got table)"},
	{`(function() local b=require"string.buffer".new() b:put(b) end)()`, "false\tt:1: bad argument #1 to 'put' (cannot put buffer into itself)"},
	{`(function() local b=require"string.buffer".new() b.put() end)()`, "false\tt:1: bad argument #1 to 'put' (buffer expected, got no value)"},
	{`(function() local b=require"string.buffer".new() b:get(-1) end)()`, "false\tt:1: bad argument #1 to 'get' (number out of range)"},
	{`(function() local b=require"string.buffer".new() b:set(1) end)()`, "false\tt:1: bad argument #1 to 'set' (string expected, got number)"},
	{`(function() local b=require"string.buffer".new() b:putf("%y",1) end)()`, "false\tt:1: invalid option '%y' to 'format'"},
	{`(function() local b=require"string.buffer".new() b:put(setmetatable({},{__tostring=function()return "OBJ" end})) return tostring(b) end)()`, "true\tOBJ"},
	{`__hex(require"string.buffer".encode(true))`, "true\t02"},
	{`__hex(require"string.buffer".encode(1.5))`, "true\t07000000000000f83f"},
	{`__hex(require"string.buffer".encode(-0.0))`, "true\t070000000000000080"},
	{`__hex(require"string.buffer".encode(0/0))`, "true\t07000000000000f8ff"},
	{`__hex(require"string.buffer".encode("abc"))`, "true\t23616263"},
	{`__hex(require"string.buffer".encode(("x"):rep(200)))`, "true\te0087878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"},
	{`__hex(require"string.buffer".encode(("x"):rep(9000))):sub(1,20)`, "true\tff482300007878787878"},
	{`__hex(require"string.buffer".encode({}))`, "true\t08"},
	{`__hex(require"string.buffer".encode({1,2,3}))`, "true\t0c0407000000000000f03f070000000000000040070000000000000840"},
	{`__hex(require"string.buffer".encode({a=1}))`, "true\t0901216107000000000000f03f"},
	{`__hex(require"string.buffer".encode({1,2,a=3}))`, "true\t0d030107000000000000f03f0700000000000000402161070000000000000840"},
	{`__hex(require"string.buffer".encode(1LL))`, "true\t100100000000000000"},
	{`__hex(require"string.buffer".encode(5ULL))`, "true\t110500000000000000"},
	{`__hex(require"string.buffer".encode(3i))`, "true\t1200000000000000000000000000000840"},
	{`__hex(require"string.buffer".encode(nil))`, "true\t00"},
	{`require"string.buffer".encode(print)`, "false\tt:1: cannot serialize 'function'"},
	{`require"string.buffer".encode()`, "false\tt:1: bad argument #1 to 'encode' (value expected)"},
	{`require"string.buffer".decode("")`, "false\tt:1: unexpected end of buffer"},
	{`require"string.buffer".decode("\7")`, "false\tt:1: unexpected end of buffer"},
	{`require"string.buffer".decode("\0\0")`, "false\tt:1: left-over data in buffer"},
	{`require"string.buffer".decode("\9")`, "false\tt:1: unexpected end of buffer"},
	{`require"string.buffer".decode("\x0f\x01")`, "false\tt:1: cannot deserialize dictionary index 2"},
	{`require"string.buffer".decode("\x14")`, "false\tt:1: cannot deserialize tag 0x14"},
	{`require"string.buffer".decode("\x06\1\0\0\0")`, "true\t1"},
	{`require"string.buffer".decode(1)`, "false\tt:1: bad argument #1 to 'decode' (string expected, got number)"},
	{`(function() local B=require"string.buffer" local r=B.decode(B.encode{1,"x",{y=true}}) return r[1],r[2],r[3].y end)()`, "true\t1\tx\ttrue"},
	{`(function() local B=require"string.buffer" local x={} x.x=x B.encode(x) end)()`, "false\tt:1: too deep to serialize"},
	{`(function() local o=require"string.buffer".new({dict={"foo","bar"}}) o:encode({foo=1}) local h=__hex(o:tostring()) return h,o:decode().foo end)()`, "true\t09010f0007000000000000f03f\t1"},
	{`(function() local mt={} local o=require"string.buffer".new{metatable={mt}} o:encode(setmetatable({1},mt)) local h=__hex(o:tostring()) return h,getmetatable(o:decode())==mt end)()`, "true\t0e000c0207000000000000f03f\ttrue"},
	{`(function() local b=require"string.buffer".new() b:encode(1):encode("x") return b:decode(),b:decode(),pcall(b.decode,b) end)()`, "true\t1\tx\tfalse\tunexpected end of buffer"},
}

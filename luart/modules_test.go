package luart

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// runPrinting runs Lua code whose print writes to the body, and returns that.
func runPrinting(t testing.TB, code string) string {
	t.Helper()
	rt, _, _ := newTestRuntime(t)
	r := newFakeRequest()
	const head = `local function print(...) local n, a = select("#", ...), {...} for i = 1, n do a[i] = tostring(a[i]) end ngx.say(table.concat(a, "\t")) end local io = {write = ngx.print, stdout = io.stdout} `
	if rc := run(t, rt, r, PhaseContent, head+code); rc != OK {
		t.Fatalf("%d %q", rc, r.lines)
	}
	return r.sent.String()
}

// TestCJSON compares with what lua-cjson 2.1.0 has printed under LuaJIT.
func TestCJSON(t *testing.T) {
	const script, golden = "testdata/cjson.lua", "testdata/cjson.txt"
	code, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		out, err := exec.Command("luajit", "-e", `package.cpath="/usr/lib/x86_64-linux-gnu/lua/5.1/?.so"`, script).Output()
		if err == nil {
			err = os.WriteFile(golden, out, 0o644)
		}
		if err != nil {
			t.Log(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	// What OpenResty's cjson says instead.
	openresty := map[string]string{
		"Cannot serialise number: must not be NaN or Inf": "Cannot serialise number: must not be NaN or Infinity",
		"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN",
		"false\tbad argument #1 to '?' (expected integer between 1 and 14)": "false\tbad argument #1 to '?' (expected integer between 1 and 16)",
		"cjson\t2.1.0\tuserdata: NULL\tuserdata: NULL":                      "cjson\t2.1.0.11\tuserdata: NULL\tuserdata: NULL",
	}
	got := strings.Split(runPrinting(t, string(code)), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line && got[i] != openresty[line] {
			t.Errorf("line %d\n got %q\nwant %q", i+1, got[min(i, len(got)-1)], line)
		}
	}
}

// TestModules tries the modules that there is no oracle for here.
func TestModules(t *testing.T) {
	for _, tc := range []struct{ name, code, want string }{
		{"cjson comments", `local c = require "cjson.safe"
local function fail(s) ngx.say((select(2, c.decode(s)))) end
fail "{//x\n}" fail '{ "bad \\q": 1}'
ngx.say(c.decode("[0x6.ffp1]")[1], " ", c.decode_allow_comment(true))
ngx.say(c.decode('{//x\r\n"a"/* :, */:/**//*2*/[1]} // end').a[1], " ", c.decode('"// /* */"//c'))
fail "{}/*x" fail "[1/2]" fail "[/*"`, `Expected object key string but found invalid token at character 2
Expected object key string but found invalid escape code at character 8
13.9921875 true
1 // /* */
Expected the end but found unclosed multi-line comment at character 6
Expected comma or array end but found invalid token at character 3
Expected value but found unclosed multi-line comment at character 4
`},
		{"cjson arrays", `local c = require "cjson"
			print(c.encode(c.empty_array), c.encode(setmetatable({}, c.empty_array_mt)), c.encode(setmetatable({1, nil, 3}, c.array_mt)), c.encode(setmetatable({}, c.array_mt)), c.encode({}))
			print(c.encode_empty_table_as_object(false), c.encode({})) c.encode_escape_forward_slash(false) print(c.encode("/"))
			c.decode_array_with_array_mt(true) print(c.encode(c.decode("[]")), getmetatable(c.decode("[]")) == c.array_mt)
			print(c.null == ngx.null, require "cjson".new() ~= c)`, "[]\t[]\t[1,null,3]\t[]\t{}\nfalse\t[]\n\"/\"\n[]\ttrue\ntrue\ttrue\n"},
		{"lrucache", `local lru = require "resty.lrucache" local c = lru.new(2) print(lru.new(0)) c:set("a", 1) c:set("b", 2, 10, 7) print(c:get("b")) print(c:get("a")) c:set("c", 3) print(c:get("b"), c:count(), c:capacity())
			print(table.concat(c:get_keys(), ",")) print(c:delete("a"), c:delete("a"), c:get("a"), c:count()) c:set("t", 5, 0.01) ngx.sleep(1) print(c:get("t")) c:flush_all() print(c:count(), #c:get_keys()) c:set(1, "x") print(c:get(1))`,
			"nil\tsize too small\n2\tnil\t7\n1\tnil\t0\nnil\t2\t2\nc,a\ntrue\tfalse\tnil\t1\nnil\t5\t0\n0\t0\nx\tnil\t0\n"},
		{"digests", `local s = require "resty.string" for _, n in ipairs{"md5", "sha1", "sha224", "sha256", "sha384", "sha512"} do local h = require("resty." .. n):new() print(h:update("a"), h:update("bcd", 2)) print(s.to_hex(h:final()):sub(1, 16)) h:reset() end print(s.atoi("12x"), s.atoi("-3"), #require "resty.random".bytes(5))`,
			"true\ttrue\n900150983cd24fb0\ntrue\ttrue\n81fe8bfe87576c3e\ntrue\ttrue\na76654d8e3550e9a\ntrue\ttrue\n88d4266fd4e6338d\ntrue\ttrue\n1165b3406ff0b52a\ntrue\ttrue\nd8022f2060ad6efd\n-1\t-1\t5\n"},
		{"aes", `local aes, s = require "resty.aes", require "resty.string" local a = aes:new("AKeyForAES") print(s.to_hex(a:encrypt("hello")), a:decrypt(a:encrypt("hello")))
			for _, m in ipairs{"cbc", "ecb", "ctr"} do local x = aes:new("secret", "MySalt!!", aes.cipher(256, m), aes.hash.sha512, 5) print(x:decrypt(x:encrypt("hello world")), x:decrypt("x") == nil) end
			local g = aes:new(("k"):rep(32), nil, aes.cipher(256, "gcm"), {iv = ("i"):rep(12)}) local r = g:encrypt("text", "aad") print(g:decrypt(r[1], r[2], "aad"), g:decrypt(r[1], r[2], "x")) print(aes:new("k", "short"))`,
			"aa9e16011001441050ebacd82fd6d7d2\thello\nhello world\ttrue\nhello world\ttrue\nhello world\tfalse\ntext\tnil\tEVP_DecryptFinal_ex failed\nnil\tsalt must be 8 characters or nil\n"},
		{"others", `local b = require "ngx.base64" print(b.encode_base64url("\255\254a"), b.decode_base64url("__5h"), b.decode_base64url("+")) print(b.encode_base64url(1))
			local p = require "tablepool" local x = p.fetch("t", 1, 1) x.a = 1 p.release("t", x) print(p.fetch("t", 0, 0) == x, x.a) print(require "resty.core".version ~= nil, require "resty.core.base" ~= nil)`,
			"__5h\t\xff\xfea\tnil\tinvalid input\nnil\tmust provide a string\ntrue\tnil\ntrue\ttrue\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := runPrinting(t, tc.code); got != tc.want {
				t.Errorf("\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

func FuzzJSONDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\u00e9",null]}`, `[`, `"\ud83d\ude00"`, `-0x1f`, "\"a\x00"} {
		f.Add(s)
	}
	rt, _, _ := newTestRuntime(f)
	cfg := newJSONConfig()
	f.Fuzz(func(t *testing.T, s string) {
		r := jsonReader{rt: rt, cfg: cfg, st: rt.jsonShared(), s: s}
		r.value(0)
		if r.pos > len(s) {
			t.Errorf("at %d of %d", r.pos, len(s))
		}
	})
}

func BenchmarkModules(b *testing.B) {
	for _, bc := range []struct{ name, code string }{
		{"match", `for i = 1, N do ngx.re.match("hello, 1234 world", [[([a-z]+), (\d+)]], "jo") end`},
		{"find", `for i = 1, N do ngx.re.find("hello, 1234 world", [[\d+]], "jo") end`},
		{"findLong", `local s = ("abc def "):rep(500) .. "x1234" for i = 1, N do ngx.re.find(s, [[\d+]], "jo") end`},
		{"gsub", `for i = 1, N do ngx.re.gsub("hello, 1234 world", [[[a-z]+]], "[$0]", "jo") end`},
		{"encode", `local c, t = require "cjson", {name = "joe", list = {1, 2, 3}, ok = true, n = 1.5} for i = 1, N do c.encode(t) end`},
		{"decode", `local c = require "cjson" for i = 1, N do c.decode('{"name":"joe","list":[1,2,3],"ok":true,"n":1.5}') end`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			rt, _, _ := newTestRuntime(b)
			b.ReportAllocs()
			r := newFakeRequest()
			run(b, rt, r, PhaseContent, strings.ReplaceAll(bc.code, "N", itoa(b.N)))
			if len(r.lines) > 0 {
				b.Fatal(r.lines)
			}
		})
	}
}

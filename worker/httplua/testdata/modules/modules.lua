-- What the bundled modules answer, a line for each call; modules.golden has the lines of the originals: lua-cjson 2.1,
-- lua-resty-string, lua-tablepool, lua-resty-core and lua-resty-lrucache on nginx with LuaJIT.
local out = {}
local function show(v, d)
  d = d or 0
  if type(v) == "table" and d < 4 then
    local keys = {} for k in pairs(v) do keys[#keys+1] = k end
    table.sort(keys, function(a,b) return tostring(a) < tostring(b) end)
    local s = {} for _, k in ipairs(keys) do s[#s+1] = tostring(k) .. "=" .. show(v[k], d+1) end
    return "{" .. table.concat(s, ",") .. "}"
  elseif type(v) == "string" then return string.format("%q", v)
  elseif type(v) == "function" then return "function"
  elseif type(v) == "userdata" then return v == ngx.null and "null" or "userdata"
  elseif type(v) == "table" then return "table" end
  return tostring(v)
end
local n = 0
local function t(name, f, ...)
  n = n + 1
  local function pack(...) return {...}, select("#", ...) end
  local r, m = pack(pcall(f, ...))
  local s = {} for i = 1, m do s[i] = show(r[i]) end
  ngx.say(name, ": ", table.concat(s, " "))
end
local cjson = require "cjson" local safe = require "cjson.safe"
-- cjson decode
for _, s in ipairs{'', ' ', '1', '-0', '1e5', '1E400', '0x10', '01', '-', '+1', '1.', '.5', '1.5e', 'nan', 'NaN', 'Infinity', '-inf', 'true', 'tru', 'null', 'nul', '"a"', '"a', '"\\u0041\\ud834\\udd1e"', '"\\ud834"', '"\\udd1e"', '"\\u12"', '"\\x"', '"\1"', '[]', '[1,]', '[,1]', '[1 2]', '[1', '{}', '{"a":1}', '{"a":1,}', '{"a"}', '{a:1}', '{"a":1 "b":2}', '{"a":', '[1]x', '  [1]  ', '[[[]]]', '{"a":{"b":[1,{"c":null}]}}', '"\\/\\b\\f\\n\\r\\t\\\\\\""', '\239\187\1911', '\0', '[1]\0', '"\0"', '"a\255"', '//', '[1,/*c*/2]', "'a'", '12345678901234567890', '1e308', '-1.7976931348623157e309', '0.1', '123456789012', '1e-7', '[true,false,null]'} do
  t("decode " .. string.format("%q", s), cjson.decode, s) t("safe.decode", safe.decode, s)
end
t("decode nothing", cjson.decode) t("decode nil", cjson.decode, nil) t("decode number", cjson.decode, 12) t("decode table", cjson.decode, {}) t("decode two", cjson.decode, "1", "2")
t("safe nothing", safe.decode) t("safe table", safe.decode, {})
for _, v in ipairs{ {}, {1}, {1,2,3}, {[1]=1,[3]=3}, {[1]=1,[20]=1}, {[1000]=1}, {a=1}, {a=1,[1]=2}, {[0]=1}, {[-1]=1}, {[1.5]=1}, {[true]=1}, "a\"\\/\b\f\n\r\t\1\127\255é", 0, -0, 1, 1.5, 1e15, 1e16, 123456789012345678, 1e300, 0.1, 1/3, 100000000000000, 2^53, -2^31, 1e-5, true, false, print, coroutine.create(function() end), {print}, {a=print}, {{{}}} } do
  t("encode " .. type(v), cjson.encode, v) t("safe.encode", safe.encode, v)
end
t("encode nan", cjson.encode, 0/0) t("encode inf", cjson.encode, 1/0) t("encode -inf", cjson.encode, -1/0)
t("encode nothing", cjson.encode) t("encode nil", cjson.encode, nil) t("encode null", cjson.encode, ngx.null) t("cjson.null", function() return cjson.null == ngx.null, cjson.null end)
t("encode two", cjson.encode, 1, 2)
t("empty_array", function() return cjson.encode({cjson.empty_array, setmetatable({}, cjson.empty_array_mt), setmetatable({}, cjson.array_mt), setmetatable({1,nil,3}, cjson.array_mt), setmetatable({a=1}, cjson.empty_array_mt)}) end)
t("array_mt holes", function() return cjson.encode(setmetatable({[5]=1}, cjson.array_mt)), cjson.encode(setmetatable({a=1}, cjson.array_mt)) end)
for _, f in ipairs{"encode_sparse_array","encode_max_depth","decode_max_depth","encode_number_precision","encode_keep_buffer","encode_invalid_numbers","decode_invalid_numbers","encode_empty_table_as_object","decode_array_with_array_mt","encode_escape_forward_slash","encode_skip_unsupported_value_types","encode_indent","decode_allow_comment"} do
  local c = cjson.new() if c[f] then
  t(f, c[f]) t(f .. " bad", c[f], {}) t(f .. " str", c[f], "x") t(f .. " true", c[f], true) t(f .. " false", c[f], false) t(f .. " 0", c[f], 0) t(f .. " 1", c[f], 1) t(f .. " -1", c[f], -1) t(f .. " 17", c[f], 17) t(f .. " 1.5", c[f], 1.5) t(f .. " on", c[f], "on") t(f .. " null", c[f], "null") t(f .. " off", c[f], "off") t(f .. " two", c[f], 1, 2) t(f.." four", c[f], 1, 2, 3, 4) t(f .. " after", c[f]) end
end
for p = 1, 16 do local c = cjson.new() t("precision " .. p, function() c.encode_number_precision(p) return c.encode({1/3, 1e15/7, 123456789.123456789, 1e20, 1e-10, 5}) end) end
for _, o in ipairs{{true}, {true, 2, 3}, {false, 2, 3}, {false, 0}, {true, 0}, {false, 1, 1}} do local c = cjson.new() t("sparse", function() c.encode_sparse_array(unpack(o)) return c.encode({[1]=1,[2]=2,[5]=5}), c.encode({[1]=1}), pcall(c.encode, {[1]=1,[4]=4}), pcall(c.encode, {[30]=1}) end) end
for d = 1, 4 do local c = cjson.new() t("depth", function() c.encode_max_depth(d) c.decode_max_depth(d) return pcall(c.encode, {{{}}}) end) t("ddepth", c.decode, "[[[]]]") t("ddepth", c.decode, '{"a":{"b":{}}}') end
local c = cjson.new() t("invalid numbers", function() c.encode_invalid_numbers(true) local a = c.encode({1/0, -1/0}) c.encode_invalid_numbers("null") return a, c.encode({1/0, 0/0}) end)
t("decode invalid", function() c.decode_invalid_numbers(true) return c.decode("[0x10, nan, inf, -Infinity, 012]") end) t("decode valid only", function() c.decode_invalid_numbers(false) return pcall(c.decode, "[0x10]") end) t("nan only", function() return pcall(c.decode, "[nan]") end)
t("array_mt decode", function() local c = cjson.new() c.decode_array_with_array_mt(true) local v = c.decode("[[],{}]") return getmetatable(v) == cjson.array_mt, getmetatable(v[1]) == cjson.array_mt, getmetatable(v[2]), c.encode(v) end)
t("empty as array", function() local c = cjson.new() c.encode_empty_table_as_object(false) return c.encode({{}, {a={}}}) end)
t("slash", function() local c = cjson.new() c.encode_escape_forward_slash(false) return c.encode("a/b") end)
t("independent", function() local c = cjson.new() c.encode_max_depth(2) return cjson.encode({{{}}}), pcall(c.encode, {{{}}}) end)
t("names", function() local k = {} for x, v in pairs(cjson) do if x ~= "encode_indent" and x ~= "decode_allow_comment" and x ~= "encode_skip_unsupported_value_types" then k[x] = type(v) end end return k, cjson._NAME, cjson._VERSION end)
t("number key", cjson.encode, {[1]=1, a=2, [2.5]=3}) t("float keys", cjson.encode, {[2.5]=3})
-- resty.string and digests
local str = require "resty.string"
t("to_hex", str.to_hex, "ab\0\255") t("to_hex empty", str.to_hex, "") t("to_hex nil", str.to_hex) t("to_hex num", str.to_hex, 12) t("atoi", str.atoi, "123") t("atoi", str.atoi, "12x") t("atoi", str.atoi, "x") t("atoi", str.atoi, "  -7") t("atoi", str.atoi, "99999999999") t("names", function() local k = {} for x, v in pairs(str) do k[x] = type(v) end return k end)
for _, h in ipairs{"md5", "sha1", "sha224", "sha256", "sha384", "sha512"} do
  local m = require("resty." .. h)
  t(h, function() local o = m:new() local a = o:update("hello") local b = o:update("") local d = o:final() return a, b, str.to_hex(d) end)
  t(h .. " again", function() local o = m:new() o:update("a") o:final() local r = o:reset() o:update("b") return r, str.to_hex(o:final()) end)
  t(h .. " bin", function() local o = m:new() o:update("a\0b\255") return str.to_hex(o:final()) end)
  t(h .. " empty", function() local o = m:new() return str.to_hex(o:final()) end)
  t(h .. " nil", function() local o = m:new() return o:update(nil) end) t(h .. " num", function() local o = m:new() return o:update(12) end)
  t(h .. " len", function() local o = m:new() return o:update("hello", 2), str.to_hex(o:final()) end)
  t(h .. " names", function() local k = {} for x, v in pairs(m) do k[x] = type(v) end return k, m._VERSION ~= nil end)
end
local rnd = require "resty.random"
t("random", function() return #rnd.bytes(5), #rnd.bytes(5, true), #rnd.bytes(0) end) t("random bad", rnd.bytes, -1) t("random nil", rnd.bytes) t("random str", rnd.bytes, "x")
-- aes
local aes = require "resty.aes"
t("aes names", function() local k = {} for x, v in pairs(aes) do k[x] = type(v) end return k end)
t("cipher", function() return aes.cipher(128, "cbc") ~= nil, aes.cipher(128) ~= nil, aes.cipher(256, "ecb") ~= nil, aes.cipher(123, "cbc"), aes.cipher(128, "xyz") end)
local function enc(...) local a, e = aes:new(...) if not a then return a, e end local x, e2 = a:encrypt("hello world") if not x then return x, e2 end
  if type(x) == "table" then return str.to_hex(x[1]), str.to_hex(x[2]), a:decrypt(x[1], x[2]) end
  return str.to_hex(x), a:decrypt(x) end
t("aes default", enc, "secret") t("aes salt", enc, "secret", "saltsalt") t("aes salt short", enc, "secret", "salt")
for _, size in ipairs{128, 192, 256} do for _, mode in ipairs{"cbc", "ecb", "ctr", "ofb", "cfb1", "cfb8", "cfb128"} do local ok, ci = pcall(aes.cipher, size, mode) if ok and ci then t("aes " .. size .. mode, enc, "secret", "saltsalt", ci, aes.hash.sha256, 3) end end end
for _, h in ipairs{"md5", "sha1", "sha224", "sha256", "sha384", "sha512"} do t("aes " .. h, enc, "secret", nil, aes.cipher(256, "cbc"), aes.hash[h], 5) end
t("aes iv", enc, ("k"):rep(16), nil, aes.cipher(128, "cbc"), {iv = ("i"):rep(16)}) t("aes iv method", enc, "k", nil, aes.cipher(128, "cbc"), {iv = ("i"):rep(16), method = function(k) return ("m"):rep(16) end})
t("aes iv short", enc, ("k"):rep(16), nil, aes.cipher(128, "cbc"), {iv = "i"}) t("aes key short", enc, "k", nil, aes.cipher(128, "cbc"), {iv = ("i"):rep(16)})
t("aes gcm", enc, ("k"):rep(32), nil, aes.cipher(256, "gcm"), {iv = ("i"):rep(12)}) t("aes gcm iv", enc, ("k"):rep(32), nil, aes.cipher(256, "gcm"), {iv = ("i"):rep(16)})
t("aes no padding", function() local a = aes:new(("k"):rep(16), nil, aes.cipher(128, "cbc"), {iv = ("i"):rep(16)}, nil, nil, false) return str.to_hex(a:encrypt(("x"):rep(16))), a:encrypt("x") end)
t("aes decrypt bad", function() local a = aes:new("secret") return a:decrypt("x") end) t("aes decrypt bad2", function() local a = aes:new("secret") return a:decrypt(("x"):rep(16)) end) t("aes nil", function() return aes:new() end)
t("decode bad second", cjson.decode, '[{} "\\x"]') t("decode bad key", cjson.decode, '{"a":1 "\\x":2}')
for size = 128, 256, 64 do t("gcm derived " .. size, function() local r = aes:new("secret", "12345678", aes.cipher(size, "gcm"), aes.hash.md5, 3):encrypt("hello world") return require("resty.string").to_hex(r[1] .. r[2]) end) end
t("gcm bad tag", function() local a = aes:new(("k"):rep(32), nil, aes.cipher(256, "gcm"), {iv = ("i"):rep(12)}) return a:decrypt("xxx", ("t"):rep(16)) end)
-- base64, tablepool, table.*
local b64 = require "ngx.base64"
for _, s in ipairs{"", "a", "ab", "abc", "\255\254\253", "??>>"} do t("b64url", b64.encode_base64url, s) end for _, s in ipairs{"", "YQ", "YWI", "_-79", "Y", "Y=", "YQ==", "+/", "a b", "YQ\n"} do t("b64url dec", b64.decode_base64url, s) end t("b64 num", b64.encode_base64url, 5) t("b64 dec num", b64.decode_base64url, 5) t("b64 nil", b64.encode_base64url) t("b64 names", function() local k = {} for x, v in pairs(b64) do if type(v) == "function" then k[x] = 1 end end return k end)
local tp = require "tablepool"
t("tablepool", function() local a = tp.fetch("x", 1, 2) a.k = 1 tp.release("x", a) local b = tp.fetch("x", 0, 0) return a == b, next(b) end) t("tablepool noclear", function() local a = tp.fetch("y", 1, 2) a.k = 1 tp.release("y", a, true) return tp.fetch("y", 0, 0).k end) t("tablepool nil", tp.release, "x") t("tablepool nil2", tp.release, "x", nil)
for _, m in ipairs{"table.new", "table.clear", "table.nkeys", "table.isarray", "table.isempty", "table.clone"} do local ok, f = pcall(require, m) t(m, function() return ok, type(f) end) if ok then t(m .. " nil", f) t(m .. " {}", f, {}) t(m .. " {1,2,a=1}", f, {1, 2, a = 1}) t(m .. " {1,2}", f, {1,2}) t(m .. " holes", f, {[1]=1,[5]=1}) end end
-- lrucache
for _, name in ipairs{"resty.lrucache", "resty.lrucache.pureffi"} do local lru = require(name)
  t(name .. " names", function() local k = {} for x, v in pairs(lru) do k[x] = type(v) end return k end)
  t("new 0", lru.new, 0) t("new -1", lru.new, -1) t("new nil", lru.new)
  t("lru", function() local c = lru.new(2) c:set("a", 1) c:set("b", 2) c:get("a") c:set("c", 3) return c:get("a"), c:get("b"), c:get("c"), c:count(), c:capacity(), c:get_keys(), c:get_keys(1) end)
  t("ttl", function() local c = lru.new(2) c:set("a", 1, 0.01, 7) local v, s, f = c:get("a") ngx.sleep(0.03) return v, s, f, c:get("a") end) t("flags", function() local c = lru.new(2) c:set("a", 1, nil, 2^32 - 1) return c:get("a") end) t("flags bad", function() local c = lru.new(2) c:set("a", 1, nil, -1) return c:get("a") end) t("flags str", function() local c = lru.new(2) c:set("a", 1, nil, "x") return c:get("a") end)
  t("nil value", function() local c = lru.new(2) c:set("a", nil) return c:get("a") end) t("false", function() local c = lru.new(2) c:set("a", false) return c:get("a") end) t("delete", function() local c = lru.new(2) c:set("a", 1) return c:delete("a"), c:get("a"), c:delete("zz"), c:count() end) t("flush", function() local c = lru.new(2) c:set("a", 1) c:flush_all() return c:get("a"), c:count() end)
  t("keys any", function() local c = lru.new(3) local k = {} c:set(k, 1) c:set(1, 2) c:set(1.5, 3) return c:get(k), c:get(1), c:get(1.5) end) t("ttl 0", function() local c = lru.new(3) c:set("a", 1, 0) return c:get("a") end) t("ttl neg", function() local c = lru.new(3) c:set("a", 1, -1) return c:get("a") end) t("get_keys res", function() local c = lru.new(3) c:set("a", 1) c:set("b", 1) local r = {9, 9, 9, 9} return c:get_keys(0, r) end) t("get_keys -1", function() local c = lru.new(3) c:set("a", 1) return c:get_keys(-1) end)
end

package vm

import (
	"runtime"
	"testing"
	"time"
)

// weakCases are expressions that must be true.
const weakSource = `
local function setup(mode)
  local t = setmetatable({}, {__mode = mode})
  for i = 1, 20 do t[i] = {} t["s" .. i] = {} t[{}] = i t[{}] = {} t[function() return i end] = "s" end
  t.n, t.str, t.bool, t[true] = 1, "text", true, "yes"
  return t
end
local function count(t) local n = 0 for k, v in pairs(t) do n = n + 1 end return n end
local function collect(mode)
  local t = setup(mode)
  local key, value = {}, {}
  t[key], t.kept, t[50] = "held key", value, value
  collectgarbage()
  assert(t[key] == "held key" and t.kept == value and t[50] == value, "live entries went away")
  assert(t.n == 1 and t.str == "text" and t.bool == true and t[true] == "yes", "values that are no objects went away")
  for k, v in pairs(t) do t[k] = v end
  t.new = 1
  assert(t.new == 1)
  return count(t)
end
local strong, k, v, kv = collect "", collect "k", collect "v", collect "kv"
assert(strong == 100 + 8, "strong: " .. strong)
assert(k == 40 + 8, "weak keys: " .. k)
assert(v == 40 + 8, "weak values: " .. v)
assert(kv == 8, "weak both: " .. kv)

-- # after the last elements went
local t = setmetatable({}, {__mode = "v"})
for i = 1, 10 do t[i] = i <= 5 and i or {} end
collectgarbage()
assert(#t == 5, #t)

-- a weak table that only a weak table has
local outer = setmetatable({}, {__mode = "v"})
outer.inner = setmetatable({{}}, {__mode = "v"})
collectgarbage() collectgarbage() -- its elements may keep it for one cycle
assert(outer.inner == nil)

-- userdata, threads and values that have __gc
local seen = 0
do
  local u = newproxy(true)
  getmetatable(u).__gc = function() seen = seen + 1 end
  outer.u, outer.co, outer.f = u, coroutine.create(print), function() end
  u = nil
end
collectgarbage() collectgarbage()
assert(outer.u == nil and outer.co == nil and seen == 1, seen)

-- debug.setmetatable, and a table made strong again
local d = {{}}
debug.setmetatable(d, {__mode = "v"})
setmetatable(d, nil)
collectgarbage()
assert(#d == 1)
-- __gc still finds the entries of its userdata in tables with weak keys
local held, seen = setmetatable({}, {__mode = "k"}), {}
local base = newproxy(true)
getmetatable(base).__gc = function(p) seen[#seen + 1] = held[p] end
for i = 1, 3 do held[newproxy(base)] = i end
collectgarbage() collectgarbage()
table.sort(seen)
assert(table.concat(seen, " ") == "1 2 3" and next(held) == nil)
assert(collectgarbage("step") == true and collectgarbage("isrunning"))
collectgarbage("stop") assert(not collectgarbage("isrunning")) collectgarbage("restart")
assert(collectgarbage("setpause", 150) == 200 and collectgarbage("setpause", 200) == 150)
assert(collectgarbage("count") > 10)
`

func TestWeakTables(t *testing.T) {
	m := New()
	f, err := m.Load([]byte(weakSource), "=weak")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.NewThread().Call(f.Value()); err != nil {
		t.Fatal(err)
	}
}

// A cache that only grows is cleared without collectgarbage.
func TestWeakTablesOnTheirOwn(t *testing.T) {
	m := New()
	f, err := m.Load([]byte(`
local cache, big = setmetatable({}, {__mode = "v"}), 0
for i = 1, 3e5 do
  cache[i] = {i, i}
  if i % 1000 == 0 then
    local n = 0
    for _ in pairs(cache) do n = n + 1 end
    big = math.max(big, n)
  end
end
return big`), "=weak")
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.NewThread().Call(f.Value())
	if err != nil {
		t.Fatal(err)
	}
	// A collection is due whenever the tables have doubled, so at 2^18 at the latest.
	if n, _ := r[0].AsNumber(); n > 2.9e5 {
		t.Errorf("%v of 300,000 entries at once", n)
	}
}

// TestDroppedVM: a VM that nobody has any more does not stay in memory.
func TestDroppedVM(t *testing.T) {
	const n = 50
	gone := make(chan struct{}, n)
	for range n {
		m := New()
		f, err := m.Load([]byte(`weak = setmetatable({}, {__mode = "k"}) weak[{}] = 1 p = setmetatable({}, {__gc = print}) io.write("") co = coroutine.wrap(function() coroutine.yield() end) co()`), "=dropped")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.NewThread().Call(f.Value()); err != nil {
			t.Fatal(err)
		}
		runtime.AddCleanup(m, func(gone chan struct{}) { gone <- struct{}{} }, gone)
	}
	deadline := time.After(time.Minute)
	again := time.Tick(10 * time.Millisecond)
	for left := n; left > 0; {
		runtime.GC()
		select {
		case <-gone:
			left--
		case <-again:
		case <-deadline:
			t.Fatalf("%d of %d are left", left, n)
		}
	}
}

package vm

import (
	"runtime"
	"sync"
	"testing"
)

// Threads of one VM run on goroutines of their own; the one that holds the
// baton runs, and a function in Go gives it away in the middle of nested
// coroutines.
func TestBaton(t *testing.T) {
	threads := 1000
	if testing.Short() {
		threads = 200
	}
	m := New()
	var baton sync.Mutex
	m.Globals().SetStr("block", m.NewFunction("block", func(th *Thread) int {
		baton.Unlock()
		runtime.Gosched()
		baton.Lock()
		th.Push(th.Arg(1))
		return 1
	}))
	f, err := m.Load([]byte(`
local n = ...
local function level(d)
  return coroutine.wrap(function(a)
    local sum = block(a)
    if d > 0 then
      local inner = level(d - 1)
      for v in function() return inner(a) end do sum = sum + block(v) if v < 0 then break end end
    end
    coroutine.yield(sum + select(2, pcall(block, d)))
    coroutine.yield(-1)
  end)
end
local total = 0
for i = 1, 3 do total = total + level(3)(n) end
return total`), "=baton")
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, threads)
	run := func(i int) float64 {
		th := m.NewThread()
		r, err := th.Call(f.Value(), Int(i))
		if err != nil {
			t.Error(err)
			return 0
		}
		v, _ := r[0].AsNumber()
		return v
	}
	baton.Lock()
	for i := range want {
		want[i] = run(i)
	}
	baton.Unlock()
	var wg sync.WaitGroup
	for i := range want {
		wg.Go(func() {
			baton.Lock()
			defer baton.Unlock()
			if got := run(i); got != want[i] {
				t.Errorf("thread %d: %v, not %v", i, got, want[i])
			}
		})
	}
	wg.Wait()
}

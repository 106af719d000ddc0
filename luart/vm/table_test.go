package vm

import (
	"math/rand/v2"
	"testing"
)

// checkTable compares a table with a model and looks at its invariants.
func checkTable(t *testing.T, tb *Table, model map[Value]Value) {
	t.Helper()
	seen := 0
	var k Value
	for {
		nk, v, ok, err := tb.Next(k)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if model[nk] != v {
			t.Fatalf("Next gives %v for %v, want %v", v, nk, model[nk])
		}
		seen++
		k = nk
	}
	if seen != len(model) {
		t.Fatalf("traversed %d of %d keys", seen, len(model))
	}
	for k, v := range model {
		if got := tb.Get(k); got != v {
			t.Fatalf("key %v is %v, want %v", k, got, v)
		}
	}
	n := tb.Len()
	if n > 0 && tb.GetInt(n).IsNil() || !tb.GetInt(n+1).IsNil() {
		t.Fatalf("%d is not a border", n)
	}
}

const traverse = `local t, seen = ...
for k, v in pairs(t) do
  seen[k] = v
  if v % 3 == 0 then t[k] = nil else t[k] = v + 1 end
end`

// Tables behave as maps whatever the order of writes; assigning to what is
// traversed loses nothing.
func TestTableAgainstMap(t *testing.T) {
	patterns := []func(r *rand.Rand, i int) int{
		func(r *rand.Rand, i int) int { return 2 * i },
		func(r *rand.Rand, i int) int { return i*i%200 + 1 },
		func(r *rand.Rand, i int) int { return r.IntN(64) - 5 },
		func(r *rand.Rand, i int) int { return 300 - i },
		func(r *rand.Rand, i int) int { return r.IntN(1 << (1 + i%12)) },
		func(r *rand.Rand, i int) int { return i << 20 },
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		tb, model := newTable(r.IntN(2)*r.IntN(20), r.IntN(2)*r.IntN(8)), map[Value]Value{}
		p := patterns[seed%uint64(len(patterns))]
		for i := range 250 {
			k := Int(p(r, i))
			v := Int(i)
			if r.IntN(4) == 0 {
				v = Nil
			}
			if err := tb.Set(k, v); err != nil {
				t.Fatal(err)
			}
			if v.IsNil() {
				delete(model, k)
			} else {
				model[k] = v
			}
			if i%50 == 49 {
				checkTable(t, tb, model)
			}
		}
		m := New()
		f, err := m.Load([]byte(traverse), "=traverse")
		if err != nil {
			t.Fatal(err)
		}
		seen := m.NewTable(0, 0)
		if _, err := m.NewThread().Call(f.Value(), tb.Value(), seen.Value()); err != nil {
			t.Fatal(err)
		}
		for k, v := range model {
			if seen.Get(k) != v {
				t.Fatalf("seed %d: pairs gave %v for %v", seed, seen.Get(k), k)
			}
			if f, _ := v.AsNumber(); int(f)%3 == 0 {
				delete(model, k)
			} else {
				model[k] = Number(f + 1)
			}
		}
		checkTable(t, tb, model)
	}
}

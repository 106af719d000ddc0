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
		visited := 0
		for pos := uint64(0); ; {
			k, v, next := tb.iterate(pos)
			if k.IsNil() {
				break
			}
			visited++
			f, _ := v.AsNumber()
			nv := Number(f + 1)
			if visited%3 == 0 {
				nv = Nil
				delete(model, k)
			} else {
				model[k] = nv
			}
			if err := tb.Set(k, nv); err != nil {
				t.Fatal(err)
			}
			pos = next
		}
		if want := len(model) + visited/3; visited != want {
			t.Fatalf("seed %d: visited %d of %d", seed, visited, want)
		}
		checkTable(t, tb, model)
	}
}

package shm

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func BenchmarkDict(b *testing.B) {
	z := testZone(b, 64<<20)
	d := z.Dict()
	const n = 10_000
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-number-%d", i)
	}
	short, long := Str(text("s", 1, 100)), Str(text("s", 1, 10_000))
	buf := make([]byte, 16<<10)
	fill := func(v Value) {
		for _, k := range keys {
			d.Set(k, v, 0, 0)
		}
	}
	run := func(name string, f func(i int)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				f(i)
			}
		})
	}
	fill(short)
	run("get-hot", func(int) { d.Get(keys[0], buf) })
	run("get-spread", func(i int) { d.Get(keys[i*7919%n], buf) })
	run("get-missing", func(i int) { d.Get(buf[:20], buf) })
	run("set-hot", func(int) { d.Set(keys[0], short, 0, 0) })
	run("set-spread", func(i int) { d.Set(keys[i*7919%n], short, 0, 0) })
	run("set-expires", func(i int) { d.Set(keys[i*7919%n], short, 10_000, 0) })
	fill(Num(1))
	run("incr-hot", func(int) { d.Incr(keys[0], 1) })
	run("incr-spread", func(i int) { d.Incr(keys[i*7919%n], 1) })
	run("push-pop", func(int) { d.RPush([]byte("list"), short); d.LPop([]byte("list"), buf) })
	for _, k := range keys[:2000] {
		d.Set(k, long, 0, 0)
	}
	run("get-10k", func(i int) { d.Get(keys[i*7919%2000], buf) })
	run("set-10k", func(i int) { d.Set(keys[i*7919%2000], long, 0, 0) })
	for i := 0; d.FreeSpace() > 0; i++ {
		if forcible, _ := d.Set(fmt.Appendf(nil, "fill-%d", i), short, 0, 0); forcible {
			break
		}
	}
	run("set-evict", func(i int) { d.Set(le.AppendUint64(buf[:0], uint64(i)), short, 0, 0) })
}

func BenchmarkParallel(b *testing.B) {
	d := testZone(b, 64<<20).Dict()
	for _, hot := range []bool{true, false} {
		b.Run(map[bool]string{true: "incr-hot", false: "incr-spread"}[hot], func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				key := []byte("key-00000000")
				for i := rand.Uint64(); pb.Next(); i++ {
					if !hot {
						le.PutUint64(key[4:], i%4096)
					}
					d.IncrInit(key, 1, 0, 0)
				}
			})
		})
	}
}

// BenchmarkNeighbour tells how long incr takes while another process does nothing but incr on the same key.
func BenchmarkNeighbour(b *testing.B) {
	z := testZone(b, 64<<20)
	d := z.Dict()
	cmd, _ := startChild(b, z, "hot")
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for n := 0.0; n == 0; { // until the other is at work
		v, _, _ := d.Get([]byte("hot"), nil)
		n = v.Num
	}
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		start := time.Now()
		d.IncrInit([]byte("hot"), 1, 0, 0)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	for _, p := range []float64{50, 99, 99.9, 99.99} {
		b.ReportMetric(float64(took[int(float64(len(took)-1)*p/100)]), fmt.Sprintf("ns-p%v", p))
	}
}

var soakOps = flag.Int("shm.soak", 0, "operations of the fragmentation soak, in millions")

// TestSoak keeps a zone full of values whose sizes are spread evenly over the powers from 8 bytes to 8 KiB, and at times over
// other ranges, and tells which share of the zone their keys and values are. `make soak` does the same from Lua, and in nginx.
func TestSoak(t *testing.T) {
	ops := *soakOps * 1_000_000
	if ops == 0 {
		ops = 200_000
	}
	z := testZone(t, 16<<20)
	d := z.Dict()
	rnd := rand.New(rand.NewPCG(1, 7))
	val := make([]byte, 1<<16)
	ranges := [][3]float64{{3, 10, .67}, {3, 3, .25}, {8, 5, .70}, {3, 10, .67}} // the last: what nginx has at the end
	noMemory, forced := 0, 0
	const rounds = 20
	for round := range rounds {
		r := ranges[round%len(ranges)]
		for range ops / rounds {
			key := fmt.Appendf(val[60000:60000], "key%d", rnd.IntN(200_000))
			switch p := rnd.IntN(10); {
			case p == 0:
				d.Delete(key)
			case p == 1:
				d.Get(key, val[:8192])
			default:
				forcible, err := d.Set(key, Str(val[:int(math.Exp2(r[0]+r[1]*rnd.Float64()))]), 0, 0)
				if forcible {
					forced++
				}
				if err == ErrNoMemory {
					noMemory++
				} else if err != nil {
					t.Fatal(err)
				}
			}
		}
		live := liveBytes(t, d)
		share := float64(live) / float64(z.size)
		t.Logf("sizes 2^%v-2^%v: %.1f %% of the zone are keys and values, %d entries, %d forced, %d no memory",
			r[0], r[0]+r[1], share*100, z.Stats().Entries, forced, noMemory)
		if ops >= 1_000_000 && share < r[2] {
			t.Error("that is less than nginx's slab allows")
		}
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
}

func liveBytes(t *testing.T, d *Dict) (n int) {
	keys, err := d.GetKeys(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		v, _, err := d.Get(k, nil)
		if err != nil {
			t.Fatal(err)
		}
		n += len(k) + len(v.Str)
	}
	return n
}

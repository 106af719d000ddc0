package shm

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// exercise runs every operation on a zone that may be damaged; all that is wanted is that it comes back.
func exercise(z *Zone, seed uint64) {
	d := z.Dict()
	rnd := rand.New(rand.NewPCG(seed, 4))
	for i := range 300 {
		k := fmt.Appendf(nil, "s%d", rnd.IntN(40))
		switch rnd.IntN(12) {
		case 0, 1, 2:
			d.Get(k, nil)
		case 3:
			d.Set(k, Str(selfValue(i, 1<<rnd.IntN(10))), int64(rnd.IntN(2)), 0)
		case 4:
			d.Delete(k)
		case 5:
			d.IncrInit(k, 1, 1, 0)
		case 6:
			d.RPush(k, Str(selfValue(i, 1<<rnd.IntN(8))))
		case 7:
			d.LPop(k, nil)
		case 8:
			d.GetKeys(0)
		case 9:
			d.FlushExpired(0)
		case 10:
			d.GetStale(k, nil)
			d.TTL(k)
			d.Expire(k, 1000)
			d.LLen(k)
		case 11:
			d.LPush(fmt.Appendf(nil, "l%d", i%3), Num(1))
		}
	}
}

// FuzzCorrupt overwrites bytes of a zone that is in use. Nothing may crash or hang, and mending must make the zone whole.
func FuzzCorrupt(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 0, 255, 2, 0, 7}, uint64(1))
	f.Add([]byte("\x05\x00\xff\x05\x40\x80\x10\x10\x10"), uint64(2))
	f.Fuzz(func(t *testing.T, damage []byte, seed uint64) {
		z := testZone(t, 16<<10)
		corruptZone(t, z, damage, seed)
	})
}

// corruptZone takes damage three bytes at a time: where (2) and with what to combine it.
func corruptZone(t *testing.T, z *Zone, damage []byte, seed uint64) {
	t.Helper()
	exercise(z, seed)
	for i := 0; i+3 <= len(damage); i += 3 {
		at := hLen + (int(damage[i])<<8|int(damage[i+1]))%(len(z.mem)-hLen)
		z.mem[at] ^= damage[i+2]
	}
	exercise(z, seed+1)
	if err := z.Check(); err != nil && !strings.Contains(err.Error(), "stripe") && !strings.Contains(err.Error(), "zone") {
		t.Fatal(err)
	}
	z.Mend()
	if err := z.Check(); err != nil {
		t.Fatalf("after mending: %v", err)
	}
	exercise(z, seed+2)
	if err := z.Check(); err != nil {
		t.Fatalf("at work after mending: %v", err)
	}
}

// TestCorrupt does for many random damages what the fuzzer does for chosen ones.
func TestCorrupt(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 300
	}
	const part = 100 // of zones that are open at the same time
	for first := 0; first < n; first += part {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			for i := range part {
				seed := uint64(first + i)
				rnd := rand.New(rand.NewPCG(seed, 5))
				damage := make([]byte, 3*(1+rnd.IntN(40)))
				for i := range damage {
					damage[i] = byte(rnd.Uint32())
				}
				z := testZone(t, 8<<10<<rnd.IntN(2))
				corruptZone(t, z, damage, seed)
				if t.Failed() {
					t.Fatal("seed", seed)
				}
			}
		})
	}
}

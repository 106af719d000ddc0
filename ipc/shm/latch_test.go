package shm

import (
	"fmt"
	"testing"
	"time"
)

// TestLatchPlaces: a name has the same latch and counts whoever asks, also when the zone is full and names share.
func TestLatchPlaces(t *testing.T) {
	z, err := Create("latches", 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	const names = 1000
	own := 0
	for i := range names {
		name := fmt.Sprintf("/var/log/%d", i)
		a := z.Latch(name, true)
		b := z.Latch(name, true)
		c := z.Latch(name, false)
		if a.word != b.word || a.word != c.word || a.Counts != b.Counts || a.Counts != c.Counts {
			t.Fatalf("%s has several latches", name)
		}
		if a.Counts != z.counts(0) {
			own++
		}
		a.Counts[3].Add(1)
		if !a.Acquire(time.Second) {
			t.Fatalf("%s: the latch is taken", name)
		}
		a.Release()
	}
	if own != z.places()-1 || own < 100 {
		t.Errorf("%d names have places of their own, of %d places", own, z.places())
	}
	seen, sum := 0, uint64(0)
	z.EachCounts(func(name string, c *Counts) {
		sum += c[3].Load()
		if name != "" {
			seen++
			if c[3].Load() != 1 {
				t.Errorf("%q counts %d", name, c[3].Load())
			}
		}
	})
	if seen != own || sum != names {
		t.Errorf("%d names, %d counted", seen, sum)
	}
	if l := z.Latch("not kept", false); l.Counts != z.counts(0) {
		t.Error("a name that is not kept has counts")
	}
}

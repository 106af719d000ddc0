package shm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func equalValue(a, b Value) bool {
	return a.Type == b.Type && a.Bool == b.Bool && a.Num == b.Num && bytes.Equal(a.Str, b.Str)
}

// text is n bytes that depend on the key and a version.
func text(key string, version, n int) []byte {
	unit := fmt.Sprintf("%s/%d;", key, version)
	return []byte(strings.Repeat(unit, n/len(unit)+1)[:n])
}

// TestSizes stores keys and values of all sizes in zones of several stripes, full most of the time: what is read back is the
// last value or nothing.
func TestSizes(t *testing.T) {
	for _, size := range []int64{64 << 10, 1 << 20, 5 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			z := testZone(t, size)
			d := z.Dict()
			rnd := rand.New(rand.NewPCG(1, uint64(size)))
			last := map[string]Value{}
			var lost, stored int
			for i := range 30_000 {
				n := rnd.IntN(2000)
				key := fmt.Sprintf("%d%s", n, strings.Repeat("k", n*n%311))
				if v, _, err := d.Get([]byte(key), nil); err != nil || v.Type != None && !equalValue(v, last[key]) {
					t.Fatalf("get %q: %v, %v", key, v, err)
				}
				v := Str(text(key, i, 1<<rnd.IntN(13)+rnd.IntN(100)))
				last[key] = v
				switch _, err := d.Set([]byte(key), v, 0, 0); {
				case err == ErrNoMemory:
					lost++
				case err != nil:
					t.Fatal(err)
				default:
					stored++
				}
			}
			if err := z.Check(); err != nil {
				t.Fatal(err)
			}
			if lost > stored/100 {
				t.Errorf("%d of %d not stored", lost, lost+stored)
			}
			if st := z.Stats(); size < 2<<20 && st.UsedBytes*10 < size*7 {
				t.Errorf("full zone uses %d of %d bytes", st.UsedBytes, size)
			}
		})
	}
}

// One value may take nearly all of the zone, whichever stripe it is in, even when the free blocks are scattered singly.
func TestWholeZone(t *testing.T) {
	z := testZone(t, 8<<20)
	d := z.Dict()
	for i := 0; ; i++ {
		if err := d.SafeSet(fmt.Appendf(nil, "%07d", i), Num(1), 0, 0); err == ErrNoMemory {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if free := d.FreeSpace(); free != 0 {
		t.Errorf("no memory with %d bytes free", free)
	}
	n := z.Stats().Entries
	if n < z.lay.blocks-1 {
		t.Errorf("%d small entries in %d blocks", n, z.lay.blocks)
	}
	for i := range n {
		if i%3 != 0 {
			d.Delete(fmt.Appendf(nil, "%07d", i))
		}
	}
	big := text("big", 0, int(d.FreeSpace())*9/10)
	if err := d.SafeSet([]byte("big"), Str(big), 0, 0); err != nil {
		t.Fatalf("%d bytes in %d free: %v", len(big), d.FreeSpace(), err)
	}
	if v, _, err := d.Get([]byte("big"), nil); err != nil || !bytes.Equal(v.Str, big) {
		t.Fatal("the long value is not what was stored", err)
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestForcible(t *testing.T) {
	for _, size := range []int64{16 << 10, 1 << 20, 4 << 20} {
		z := testZone(t, size)
		d := z.Dict()
		i := 0
		for ; ; i++ {
			forcible, err := d.Set(fmt.Appendf(nil, "key-%d", i), Str(text("", i, 100)), 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if forcible {
				break
			}
		}
		if err := d.SafeAdd([]byte("other"), Str(text("", 0, 1000)), 0, 0); err != ErrNoMemory {
			t.Errorf("safe_add in a full zone: %v", err)
		}
		if v, _, _ := d.Get([]byte("key-0"), nil); len(z.stripes) == 1 && v.Type != None {
			t.Errorf("size %d: the oldest entry did not give way", size)
		}
		if forcible, err := d.Set([]byte("huge"), Str(make([]byte, size)), 0, 0); err != ErrNoMemory || forcible {
			t.Errorf("a value as long as the zone: %v, %v", forcible, err)
		}
		if err := z.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrors(t *testing.T) {
	d := testZone(t, 64<<10).Dict()
	k := []byte("k")
	must := func(got, want error) {
		t.Helper()
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	_, err := d.Set(nil, Num(1), 0, 0)
	must(err, ErrEmptyKey)
	_, err = d.Set(make([]byte, 65536), Num(1), 0, 0)
	must(err, ErrLongKey)
	_, err = d.Set(k, Value{}, 0, 0)
	must(err, ErrBadType)
	_, err = d.Replace(k, Num(1), 0, 0)
	must(err, ErrNotFound)
	_, err = d.Incr(k, 1)
	must(err, ErrNotFound)
	_, err = d.TTL(k)
	must(err, ErrNotFound)
	must(d.Expire(k, 1), ErrNotFound)
	_, err = d.Set(k, Bool(true), 0, 0)
	must(err, nil)
	_, err = d.Add(k, Num(1), 0, 0)
	must(err, ErrExists)
	_, err = d.Incr(k, 1)
	must(err, ErrNotNumber)
	_, err = d.LPush(k, Num(1))
	must(err, ErrNotList)
	_, err = d.LPop(k, nil)
	must(err, ErrNotList)
	_, err = d.LLen(k)
	must(err, ErrNotList)
	must(d.Delete(k), nil)
	_, err = d.RPush(k, Num(1))
	must(err, nil)
	_, _, err = d.Get(k, nil)
	must(err, ErrIsList)
	key := bytes.Repeat([]byte("x"), 40000)
	_, err = d.Set(key, Num(7), 0, 9)
	must(err, nil)
	if v, flags, err := d.Get(key, nil); v.Num != 7 || flags != 9 || err != nil {
		t.Error(v, flags, err)
	}
}

// A list of many elements is removed in a bounded time and its memory comes back.
func TestLongList(t *testing.T) {
	z := testZone(t, 1<<20)
	d := z.Dict()
	free := d.FreeSpace()
	n := 0
	for {
		m, err := d.RPush([]byte("l"), Str(text("e", n, n%150)))
		if err == ErrNoMemory {
			break
		}
		if n++; err != nil || m != n {
			t.Fatal(m, n, err)
		}
	}
	d.Delete([]byte("l"))
	if d.FreeSpace() == free {
		t.Error("all of a long list was freed at once")
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
	if err := d.SafeSet([]byte("s"), Str(make([]byte, free*9/10)), 0, 0); err != nil {
		t.Error("the memory of a removed list cannot be used:", err)
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestSlices(t *testing.T) {
	z := testZone(t, 4<<20)
	d := z.Dict()
	now := int64(1000)
	d.Now = func() int64 { return now }
	const n = 20_000
	for i := range n {
		if _, err := d.Set(fmt.Appendf(nil, "%d", i), Num(float64(i)), int64(i%2)*10, 0); err != nil {
			t.Fatal(err)
		}
	}
	count := func(max, want int) {
		t.Helper()
		keys, err := d.GetKeys(max)
		seen := map[string]bool{}
		for _, k := range keys {
			seen[string(k)] = true
		}
		if err != nil || len(keys) != want || len(seen) != want {
			t.Errorf("%d keys, %d different, want %d (%v)", len(keys), len(seen), want, err)
		}
	}
	count(0, n)
	count(1024, 1024)
	now += 20
	count(0, n/2)
	if m, err := d.FlushExpired(100); m != 100 || err != nil {
		t.Error(m, err)
	}
	if m, err := d.FlushExpired(0); m != n/2-100 || err != nil {
		t.Error(m, err)
	}
	d.FlushAll()
	count(0, 0)
	if v, _, stale, err := d.GetStale([]byte("19998"), nil); v.Num != 19998 || !stale || err != nil {
		t.Error(v, stale, err)
	}
	if ttl, err := d.TTL([]byte("19998")); ttl >= 0 || err != nil {
		t.Error(ttl, err)
	}
	if _, err := d.FlushExpired(0); err != nil || z.Stats().Entries != 0 || z.Stats().UsedBytes != 0 {
		t.Error(z.Stats(), err)
	}
	if err := z.Check(); err != nil {
		t.Error(err)
	}
}

func TestGetAllocs(t *testing.T) {
	d := testZone(t, 1<<20).Dict()
	k, buf := []byte("key"), make([]byte, 8192)
	d.Set(k, Str(make([]byte, 5000)), 100000, 0)
	d.Set([]byte("n"), Num(1), 0, 0)
	for name, f := range map[string]func(){
		"get":    func() { d.Get(k, buf) },
		"set":    func() { d.Set(k, Str(buf[:4000]), 0, 0); d.Set(k, Str(buf[:200]), 0, 0) },
		"incr":   func() { d.Incr([]byte("n"), 1); d.IncrInit([]byte("n"), 1, 0, 0) },
		"update": func() { d.Update([]byte("u"), 16, 10, func(v []byte, _ bool) { v[0]++ }) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestUpdate(t *testing.T) {
	z := testZone(t, 64<<10)
	d := z.Dict()
	now := int64(1000)
	d.Now = func() int64 { return now }
	for _, c := range []struct{ keyLen, size int }{{3, 8}, {20, 8}, {60, 16}, {30, 500}} {
		key := bytes.Repeat([]byte("k"), c.keyLen)
		for i := range 5 {
			if i == 4 {
				now += 200
			}
			_, err := d.Update(key, c.size, 100, func(v []byte, found bool) {
				want := byte(i)
				if i == 4 {
					want = 0
				}
				if found != (want > 0) || len(v) != c.size || v[0] != want || v[c.size-1] != want {
					t.Errorf("%+v, time %d: found %v, %d", c, i, found, v)
				}
				v[0]++
				v[c.size-1] = v[0]
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		// What f was doing when it failed is lost, and nothing else.
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			d.Update(key, c.size, 0, func([]byte, bool) { panic("at work") })
		}()
		if v, _, err := d.Get(key, nil); v.Type != None || err != nil {
			t.Error(v, err)
		}
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestModify has a value come, live on and go as its function says.
func TestModify(t *testing.T) {
	z := testZone(t, 64<<10)
	d := z.Dict()
	now := int64(1000)
	d.Now = func() int64 { return now }
	for _, key := range [][]byte{[]byte("k"), bytes.Repeat([]byte("k"), 60)} {
		for i, step := range []struct {
			at, ttl int64
			found   bool
		}{{1000, 100, false}, {1050, Keep, true}, {1150, Keep, false}, {9000, 50, true}, {9010, 0, true}, {99999, Remove, true}, {99999, Remove, false}} {
			now = step.at
			if _, err := d.Modify(key, 90, true, func(v []byte, found bool) int64 {
				if found != step.found || found && v[89] != byte(i) {
					t.Errorf("step %d: found %v, %d", i, found, v[89])
				}
				v[89] = byte(i + 1)
				return step.ttl
			}); err != nil {
				t.Fatal(err)
			}
		}
		if v, _, err := d.Get(key, nil); v.Type != None || err != nil {
			t.Error(v, err)
		}
	}
	// With safe nothing has to go.
	for i := 0; ; i++ {
		_, err := d.Modify(fmt.Appendf(nil, "full%d", i), 200, true, func([]byte, bool) int64 { return 0 })
		if err == ErrNoMemory {
			break
		}
		if err != nil || i > 1000 {
			t.Fatal(i, err)
		}
	}
	if v, _, err := d.Get([]byte("full0"), nil); v.Type != String || err != nil {
		t.Error(v, err)
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
}

// Goroutines of one process are excluded from each other, too.
func TestGoroutines(t *testing.T) {
	z := testZone(t, 2<<20)
	d := z.Dict()
	var wg sync.WaitGroup
	const each = 20_000
	for g := range 4 {
		wg.Go(func() {
			for i := range each {
				if _, _, err := d.IncrInit([]byte("n"), 1, 0, 0); err != nil {
					t.Error(err)
				}
				d.Set(fmt.Appendf(nil, "%d-%d", g, i%999), Str(text("", i, i%300)), 0, 0)
			}
		})
	}
	wg.Wait()
	if v, _, err := d.Get([]byte("n"), nil); v.Num != 4*each || err != nil {
		t.Error(v, err)
	}
	if err := z.Check(); err != nil {
		t.Error(err)
	}
}

func TestCopy(t *testing.T) {
	src := testZone(t, 3<<20)
	d := src.Dict()
	for i := range 3000 {
		d.Set(fmt.Appendf(nil, "s%d", i), Str(text("s", i, 500)), 1_000_000, uint32(i))
	}
	for i := range 50 {
		d.RPush([]byte("list"), Num(float64(i)))
	}
	d.Expire([]byte("list"), 5_000_000)
	d.Set([]byte("gone"), Num(1), 0, 0)
	d.FlushAll()
	d.Expire([]byte("list"), 5_000_000)
	for i := range 3000 {
		d.Expire(fmt.Appendf(nil, "s%d", i), 1_000_000)
	}
	want := src.Stats().Entries
	if v, _, _, _ := d.GetStale([]byte("gone"), nil); v.Type != None {
		want--
	}
	for _, size := range []int64{9 << 20, 3<<20 - 5000, 1 << 20} {
		dst := testZone(t, size)
		n, lost, err := src.CopyTo(dst)
		if err != nil || n+lost != want || size > 3<<20 && lost > 0 || n == 0 {
			t.Errorf("to %d: %d copied, %d lost of %d: %v", size, n, lost, want, err)
		}
		if err := dst.Check(); err != nil {
			t.Error(err)
		}
		got := 0
		for i := range 3000 {
			v, flags, _ := dst.Dict().Get(fmt.Appendf(nil, "s%d", i), nil)
			if v.Type == String && flags == uint32(i) && bytes.Equal(v.Str, text("s", i, 500)) {
				got++
			}
		}
		if got < n-1 {
			t.Errorf("to %d: %d right of %d", size, got, n)
		}
		if size > 3<<20 {
			if n, _ := dst.Dict().LLen([]byte("list")); n != 50 {
				t.Error("list of", n)
			}
			if ttl, _ := dst.Dict().TTL([]byte("list")); ttl < 4_000_000 {
				t.Error("ttl of the list", ttl)
			}
		}
	}
}

func dupFile(t *testing.T, z *Zone) *os.File {
	fd, err := unix.Dup(int(z.File().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "zone")
}

func TestAdopt(t *testing.T) {
	z := testZone(t, 64<<10)
	z.Dict().Set([]byte("k"), Num(5), 0, 0)
	check := func(size int64, note string, want float64) {
		t.Helper()
		a, got, err := Adopt(dupFile(t, z), "test", size)
		if err != nil || !strings.Contains(got, note) || (note == "") != (got == "") {
			t.Fatalf("%q, %v", got, err)
		}
		defer a.Close()
		if v, _, err := a.Dict().Get([]byte("k"), nil); v.Num != want || err != nil || a.Name() != "test" || a.Size() != size {
			t.Error(v, err, a.Name(), a.Size())
		}
	}
	check(64<<10, "", 5)
	check(128<<10, "changes its size from 65536 to 131072: 1 entries copied, 0 do not fit", 5)
	for _, c := range []struct {
		off  int
		err  error
		note string
	}{
		{hVersion, ErrVersion, "layout version: 253, not 2"},
		{hMagic, ErrHeader, "magic"},
		{hSize, ErrHeader, "size"},
		{hBlocks, ErrHeader, "arrangement"},
		{hStripes, ErrHeader, "arrangement"},
		{hReady, ErrHeader, "never finished"},
		{hNameLen + 1, ErrHeader, "a name of"},
	} {
		z.mem[c.off] ^= 0xff
		f := dupFile(t, z)
		if _, err := Attach(f); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.note) {
			t.Errorf("offset %d: %v", c.off, err)
		}
		f.Close()
		check(64<<10, c.note, 0)
		z.mem[c.off] ^= 0xff
	}
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Attach(f); !errors.Is(err, ErrHeader) {
		t.Error(err)
	}
	for _, size := range []int64{0, 8191, 5 << 30} {
		if _, err := Create("x", size); err == nil {
			t.Errorf("size %d is taken", size)
		}
	}
}

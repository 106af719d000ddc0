package shm

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

var waitTime = flag.Duration("shm.waits", 50*time.Millisecond, "how long each case of the test of waits runs")

// waitCase is what 8 processes do.
type waitCase struct {
	Name  string
	Keys  int // that they work on
	Pause int // turns of delay between operations: 1000 are somewhat less than a microsecond
	Time  time.Duration
}

// took are times of operations by their binary logarithm in nanoseconds, but in steps of a quarter.
type took [160]int

func (h *took) add(d time.Duration) {
	n, step := uint64(max(d, 1)), 0
	for n >= 8 {
		n >>= 1
		step += 4
	}
	h[min(step+int(n)&3, len(h)-1)]++
}

// percentile is the upper end of a step.
func (h *took) percentile(p float64) time.Duration {
	sum := 0
	for _, n := range h {
		sum += n
	}
	left := int(float64(sum) * p / 100)
	for i, n := range h {
		if left -= n; left < 0 {
			return time.Duration((5 + i%4) << (i / 4))
		}
	}
	return 0
}

// waitChild works in the zone for the time of its case, once it is told to begin, and prints how long its operations took.
func waitChild(z *Zone) {
	var c waitCase
	if json.Unmarshal([]byte(os.Getenv(envChild+"_CASE")), &c) != nil {
		os.Exit(1)
	}
	keys := make([][]byte, c.Keys)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key %d", i)
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	var h took
	d, n, work := z.Dict(), 0, uint64(1)
	for begin, last := time.Now(), time.Duration(0); last < c.Time; n++ {
		start := time.Since(begin)
		if _, _, err := d.IncrInit(keys[n%c.Keys], 1, 0, 0); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		last = time.Since(begin)
		h.add(last - start)
		delay(&work, c.Pause)
	}
	json.NewEncoder(os.Stdout).Encode(h)
}

// TestWaits tells how long operations of 8 processes on one zone take, waits for its locks and for a processor included.
func TestWaits(t *testing.T) {
	for _, c := range []waitCase{
		{Name: "one key, nothing else", Keys: 1},
		{Name: "one key, every 10 µs", Keys: 1, Pause: 12_000},
		{Name: "1000 keys, nothing else", Keys: 1000},
		{Name: "1000 keys, every 10 µs", Keys: 1000, Pause: 12_000},
	} {
		c.Time = *waitTime
		z := testZone(t, 16<<20)
		all, alone := runWaits(t, z, c, 8), runWaits(t, testZone(t, 16<<20), c, 1)
		n := 0
		for _, k := range all {
			n += k
		}
		t.Logf("%-24s %8d operations, %5.3f %% waited in the kernel; of 8 processes p50 %v, p99 %v, p99.9 %v, p99.99 %v; of one %v, %v, %v, %v", c.Name, n,
			float64(z.Stats().Contended)/float64(n)*100, all.percentile(50), all.percentile(99), all.percentile(99.9), all.percentile(99.99),
			alone.percentile(50), alone.percentile(99), alone.percentile(99.9), alone.percentile(99.99))
		sum := 0.0
		for i := range c.Keys {
			v, _, err := z.Dict().Get(fmt.Appendf(nil, "key %d", i), nil)
			if sum += v.Num; err != nil {
				t.Fatal(err)
			}
		}
		if int(sum) != n {
			t.Errorf("%s: the counters are %v after %d operations", c.Name, sum, n)
		}
		if err := z.Check(); err != nil {
			t.Error(err)
		}
	}
}

func runWaits(t *testing.T, z *Zone, c waitCase, processes int) (all took) {
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	begin, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer begin.Close()
	var outs []*bufio.Reader
	for range processes {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), envChild+"=waits", envChild+"_CASE="+string(text), "GOMAXPROCS=1")
		cmd.ExtraFiles = []*os.File{z.File()}
		cmd.Stdin = begin
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		r := bufio.NewReader(out)
		outs = append(outs, r)
		if line, err := r.ReadString('\n'); line != "ready\n" {
			t.Fatal(line, err)
		}
	}
	tell.Close() // all begin
	for _, r := range outs {
		var h took
		if err := json.NewDecoder(r).Decode(&h); err != nil {
			t.Fatal(err)
		}
		for i, n := range h {
			all[i] += n
		}
	}
	return all
}

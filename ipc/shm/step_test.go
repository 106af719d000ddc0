package shm

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var stepPoints = flag.Int("shm.step", 100, "moments of a single-stepped process to take a copy of the zone at")

// stepChild does random operations in a small zone for ever, on one thread whose number it tells first.
func stepChild(z *Zone) {
	runtime.LockOSThread()
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 6))
	d := z.Dict()
	now := int64(1000)
	d.Now = func() int64 { now++; return now }
	var keys, lists, values [][]byte
	for i := range 100 {
		keys, values = append(keys, fmt.Appendf(nil, "s%d", i)), append(values, selfValue(1, 1<<rnd.IntN(9)))
	}
	for i := range 3 {
		lists = append(lists, fmt.Appendf(nil, "l%d", i))
	}
	buf := make([]byte, 1024)
	for i := 0; ; i++ {
		if i == 3000 { // the zone is full
			fmt.Println(unix.Gettid())
			unix.Read(0, make([]byte, 1)) // until the parent traces the thread
		}
		k, l, v := keys[rnd.IntN(len(keys))], lists[rnd.IntN(len(lists))], Str(values[rnd.IntN(len(values))])
		switch rnd.IntN(12) {
		case 0, 1, 2, 3:
			d.Set(k, v, int64(rnd.IntN(2))*100, 0)
		case 4:
			d.Delete(k)
		case 5, 6:
			d.push(l, v, rnd.IntN(2) == 0)
		case 7, 8:
			d.pop(l, buf, rnd.IntN(2) == 0)
		case 9:
			d.IncrInit([]byte("a number with a key that makes it cross from block to block"), 1, 0, 0)
		case 10:
			d.IncrInit([]byte("n"), 1, 0, 0)
		case 11:
			if rnd.IntN(8) == 0 {
				d.Delete(l)
			}
			d.Get(k, buf)
		}
	}
}

// dump is all that a stripe holds, expired or not.
func dump(z *Zone) map[string]string {
	m := map[string]string{}
	s := &z.stripes[0]
	for ref := s.get(sOldest); ref != 0; {
		e := s.entry(ref)
		val := []byte{byte(e.typ())}
		if e.typ() == List {
			for x := e.u32(lFirst); x != 0; x = le.Uint32(z.at(x)[lNext:]) {
				b := make([]byte, le.Uint32(z.at(x)[lValLen:]))
				p := z.span(x, lData)
				p.read(b)
				val = append(append(val, b...), '|')
			}
		} else {
			b := make([]byte, e.valLen())
			p := z.span(ref, eData)
			p.skip(e.keyLen())
			p.read(b)
			val = append(val, b...)
		}
		m[string(s.appendKey(nil, e))] = string(val)
		ref = e.u32(eNewer)
	}
	return m
}

// between says what is wrong with a mended state in the middle of an operation that leads from one state to another: each key
// must have the value of before or of after, and what the operation did not change must be there, but for one entry.
func between(before, mid, after map[string]string) error {
	for k, v := range mid {
		if b, ok := before[k]; ok && b == v {
			continue
		}
		if a, ok := after[k]; !ok || a != v {
			return fmt.Errorf("%q has value %q, before %q, after %q", k, v, before[k], after[k])
		}
	}
	lost := 0
	for k := range after {
		_, had := before[k]
		if _, has := mid[k]; had && !has {
			lost++
		}
	}
	if lost > 1 {
		return fmt.Errorf("%d entries lost: before %q, then %q, after %q", lost, before, mid, after)
	}
	return nil
}

// traceChild starts a process that works in the zone and returns what runs it for one instruction. The caller stays on its
// thread.
func traceChild(t *testing.T, z *Zone) (step func()) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envChild+"=step", "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	cmd.ExtraFiles = []*os.File{z.File()}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line := make([]byte, 16)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	tid, err := strconv.Atoi(string(bytes.TrimSpace(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	// On one processor the two threads hand over to each other fastest.
	var cpus, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		t.Fatal(err)
	}
	for i := 0; one.Count() == 0; i++ {
		if cpus.IsSet(i) {
			one.Set(i)
		}
	}
	if err := errors.Join(unix.SchedSetaffinity(0, &one), unix.SchedSetaffinity(tid, &one)); err != nil {
		t.Fatal(err)
	}
	if err := unix.PtraceSeize(tid); err != nil {
		t.Skip("this system does not let a process trace its child:", err)
	}
	if err := unix.PtraceInterrupt(tid); err != nil {
		t.Fatal(err)
	}
	// Raw system calls: millions of short ones that the scheduler need not hear of.
	wait := func() {
		var st unix.WaitStatus
		_, _, e := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(tid), uintptr(unsafe.Pointer(&st)), unix.WALL, 0, 0, 0)
		if e != 0 || !st.Stopped() {
			t.Fatalf("wait: %v, %#x", e, st)
		}
	}
	wait()
	in.Write([]byte("x"))
	return func() {
		if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SINGLESTEP, uintptr(tid), 0, 0, 0, 0); e != 0 {
			t.Fatal(e)
		}
		wait()
	}
}

// TestStep runs a process instruction by instruction and after each that changed the zone under the lock takes a copy, as if
// the process had been killed there; the copy is mended and checked.
func TestStep(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	z, copied := testZone(t, 8<<10), testZone(t, 8<<10)
	copied.seed = z.seed
	step := traceChild(t, z)
	var before map[string]string
	var mids []map[string]string
	last := make([]byte, len(z.mem))
	ops, points, steps := 0, 0, 0
	for points < *stepPoints {
		step()
		held := atomic.LoadUint64(z.stripes[0].lock) != 0
		steps++
		switch {
		case held && before == nil:
			before = dump(z)
		case !held && before != nil:
			after := dump(z)
			for _, mid := range mids {
				if err := between(before, mid, after); err != nil {
					t.Fatal(err)
				}
			}
			before, mids = nil, mids[:0]
			ops++
		case held && !bytes.Equal(last, z.mem):
			copy(last, z.mem)
			copy(copied.mem, last)
			copied.stripes[0].mend()
			copied.stripes[0].release()
			if err := copied.Check(); err != nil {
				t.Fatal(err)
			}
			mids = append(mids, dump(copied))
			points++
		}
	}
	t.Logf("%d operations, %d points, %d steps, %+v", ops, points, steps, z.Stats())
}

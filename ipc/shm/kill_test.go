package shm

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var killCount = flag.Int("shm.kill", 20, "how many processes that work in a zone to kill")

const envChild = "PERILUNE_TEST_SHM"

func TestMain(m *testing.M) {
	if mode := os.Getenv(envChild); mode != "" {
		child(mode)
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// child works in the zone of descriptor 3 until it is killed.
func child(mode string) {
	z, err := Attach(os.NewFile(3, "zone"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if mode == "hold" {
		z.stripes[0].acquire()
		fmt.Println("held")
		select {}
	}
	switch d := z.Dict(); mode {
	case "step":
		stepChild(z)
	case "waits":
		waitChild(z)
		return
	case "hot":
		fmt.Println("hot")
		for {
			d.IncrInit([]byte("hot"), 1, 0, 0)
		}
	}
	seed, _ := strconv.ParseUint(mode, 10, 64)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for {
		if err := randomOp(z.Dict(), rnd); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// Values say which key they belong to and that they are whole: the key's number, repeated.
func selfValue(n, size int) []byte {
	unit := fmt.Appendf(nil, "%d.", n)
	return bytes.Repeat(unit, size/len(unit)+1)
}

func checkSelf(n int, v []byte) error {
	unit := fmt.Appendf(nil, "%d.", n)
	if len(v)%len(unit) != 0 || !bytes.Equal(v, bytes.Repeat(unit, len(v)/len(unit))) {
		return fmt.Errorf("the value of %d is torn: %.60q", n, v)
	}
	return nil
}

// randomOp does something and says what is wrong with what it sees.
func randomOp(d *Dict, rnd *rand.Rand) error {
	n := rnd.IntN(3000)
	str, list, num := fmt.Appendf(nil, "s%d", n), fmt.Appendf(nil, "l%d", n%50), fmt.Appendf(nil, "n%d", n%50)
	var err error
	var v Value
	switch op := rnd.IntN(40); {
	case op < 10:
		if v, _, err = d.Get(str, nil); err == nil && v.Type == String {
			err = checkSelf(n, v.Str)
		}
	case op < 20:
		_, err = d.Set(str, Str(selfValue(n, 1<<rnd.IntN(11))), int64(rnd.IntN(3))*20, 0)
	case op < 23:
		err = d.Delete(str)
	case op < 27:
		_, _, err = d.IncrInit(num, 1, 0, 0)
	case op < 33:
		_, err = d.push(list, Str(selfValue(n%50, 1<<rnd.IntN(8))), op%2 == 0)
	case op < 37:
		if v, err = d.pop(list, nil, op%2 == 0); err == nil && v.Type == String {
			err = checkSelf(n%50, v.Str)
		}
	case op < 38:
		_, err = d.FlushExpired(20)
	case op < 39:
		_, err = d.GetKeys(100)
	case n < 30:
		err = d.FlushAll()
	}
	if err == ErrNoMemory {
		err = nil
	}
	return err
}

func startChild(t testing.TB, z *Zone, mode string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envChild+"="+mode, "GOMAXPROCS=1")
	cmd.ExtraFiles = []*os.File{z.File()}
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// TestKill kills processes at random moments of their work, lets the master or the neighbours find it, and then walks the
// zone. -shm.kill=10000 runs it longer.
func TestKill(t *testing.T) {
	for _, size := range []int64{256 << 10, 4 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { testKill(t, size) })
	}
}

func testKill(t *testing.T, size int64) {
	const workers = 8
	z := testZone(t, size)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	type worker struct {
		cmd *exec.Cmd
		out *bytes.Buffer
	}
	var w [workers]worker
	seed := 0
	start := func(i int) {
		seed++
		w[i].cmd, w[i].out = startChild(t, z, strconv.Itoa(seed))
	}
	for i := range w {
		start(i)
	}
	for kills := range *killCount {
		// The parent works, too, between the kills.
		for range rnd.IntN(2000) {
			if err := randomOp(z.Dict(), rnd); err != nil {
				t.Fatal(err)
			}
		}
		i := rnd.IntN(workers)
		for range 1000 { // rather one that holds a lock
			o, _ := ownerIn(atomic.LoadUint64(z.stripes[kills%len(z.stripes)].lock))
			if j := slices.IndexFunc(w[:], func(w worker) bool { return w.cmd.Process.Pid == o.PID }); j >= 0 {
				i = j
				break
			}
		}
		o, err := OwnerOf(w[i].cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		w[i].cmd.Process.Signal(unix.SIGKILL)
		w[i].cmd.Wait()
		if w[i].out.Len() > 0 {
			t.Fatalf("%s", w[i].out)
		}
		if kills%2 == 0 {
			z.ReleaseDead(o)
		}
		if kills%16 == 0 {
			if err := z.Check(); err != nil {
				t.Fatalf("after %d kills: %v", kills, err)
			}
		}
		start(i)
	}
	for i := range w {
		w[i].cmd.Process.Kill()
		w[i].cmd.Wait()
		if w[i].out.Len() > 0 {
			t.Errorf("%s", w[i].out)
		}
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", z.Stats())
}

// A lock whose holder is killed passes to who waits for it in milliseconds, also while the holder is a zombie.
func TestHeal(t *testing.T) {
	z := testZone(t, 64<<10)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envChild+"=hold")
	cmd.ExtraFiles = []*os.File{z.File()}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if n := z.ReleaseDead(Owner{PID: cmd.Process.Pid, Start: 1}); n != 0 {
		t.Error("the lock of another start of the process was broken")
	}
	var took atomic.Int64
	done := make(chan error)
	go func() {
		_, err := z.Dict().Set([]byte("k"), Num(1), 0, 0)
		took.Store(time.Now().UnixNano())
		done <- err
	}()
	for z.Stats().Contended == 0 { // until the other waits
		runtime.Gosched()
	}
	killed := time.Now()
	cmd.Process.Kill()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Log("healed after", time.Unix(0, took.Load()).Sub(killed))
	if z.Stats().Mended != 1 {
		t.Error(z.Stats())
	}
	cmd.Wait()
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
}

// Every lock word is healed that is no living process's.
func TestDeadWords(t *testing.T) {
	z := testZone(t, 64<<10)
	for _, w := range []uint64{waiting, 1 << 40, 2, Owner{PID: 1, Start: 1 << 30}.word(), Owner{PID: pidMask}.word(), ^uint64(0),
		Owner{PID: os.Getpid(), Start: Self().Start + 1}.word()} {
		atomic.StoreUint64(z.stripes[0].lock, w)
		if _, err := z.Dict().Set([]byte("k"), Num(1), 0, 0); err != nil {
			t.Errorf("%#x: %v", w, err)
		}
	}
	if !alive(Self().word()) {
		t.Error("this process is dead")
	}
}

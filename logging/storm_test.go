package logging

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The storm: processes with several writers each write lines of any length to
// one file, which is renamed and opened anew all the time, while processes are
// killed and started again. A writer says on its standard output which lines
// have been acknowledged. PERILUNE_LOG_STORM=1 runs it in full.

const stormWriters = 4 // in each process

// stormSize is the length of line n of a writer: mostly short, up to 256 KiB.
func stormSize(r *rand.Rand) int {
	switch r.IntN(100) {
	case 0:
		return 1 + r.IntN(256<<10)
	case 1, 2, 3, 4:
		return 1 + r.IntN(16<<10)
	}
	return 1 + r.IntN(300)
}

// childStorm writes count lines with each of its writers. The acknowledgement
// of a line goes to standard output, which is a file: the writer's name and the
// number, in one write.
func childStorm(path, name, count string) {
	f := sharedFile(path)
	f.SetSync()
	total, _ := strconv.Atoi(count)
	go func() {
		var b [1]byte
		for {
			if _, err := io.ReadFull(os.Stdin, b[:]); err != nil {
				return
			}
			if err := f.Reopen(); err != nil {
				panic(err)
			}
		}
	}()
	var wg sync.WaitGroup
	for i := range stormWriters {
		wg.Go(func() {
			writer := name + "." + strconv.Itoa(i)
			r := rand.New(rand.NewPCG(uint64(len(name)), crc64(writer)))
			filler := bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz0123456789"), 256<<10/36+1)
			var line, ack []byte
			for n := range total {
				line = fmt.Appendf(line[:0], "%s %d ", writer, n)
				line = append(line, filler[:stormSize(r)]...)
				line = append(line, ' ')
				line = fmt.Appendf(line, "%x\n", crc32.ChecksumIEEE(line))
				if _, err := f.Write(line); err != nil {
					panic(err)
				}
				ack = fmt.Appendf(ack[:0], "%s %d\n", writer, n)
				if _, err := os.Stdout.Write(ack); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
}

func crc64(s string) uint64 { return uint64(crc32.ChecksumIEEE([]byte(s))) }

// stormCheck takes account of the lines of rotated files, one file after another.
type stormCheck struct {
	t          *testing.T
	next       map[string]int // of each writer
	killed     sync.Map       // names of processes
	lines, cut int
	bytes      int64
	empty      int
}

func (c *stormCheck) wasKilled(process string) bool {
	_, ok := c.killed.Load(process)
	return ok
}

// file checks a file that nobody writes to any more.
func (c *stormCheck) file(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.bytes += int64(len(data))
	for line := range bytes.Lines(data) {
		c.line(bytes.TrimSuffix(line, []byte("\n")))
	}
}

func (c *stormCheck) line(body []byte) {
	if len(body) == 0 {
		c.empty++
		return
	}
	writer, rest, _ := strings.Cut(string(body[:min(len(body), 100)]), " ")
	number, _, _ := strings.Cut(rest, " ")
	at := bytes.LastIndexByte(body, ' ') + 1
	if strconv.FormatUint(uint64(crc32.ChecksumIEEE(body[:at])), 16) != string(body[at:]) {
		// Half a line: of a process that was killed, and of that line alone.
		process, _, ok := strings.Cut(writer, ".")
		if (ok && !c.wasKilled(process)) || bytes.Count(body, []byte(" ")) > 2 {
			c.t.Errorf("torn or glued: %.60q … %.60q, %d bytes", body, body[max(0, len(body)-60):], len(body))
		}
		c.cut++
		return
	}
	n, err := strconv.Atoi(number)
	if err != nil || n != c.next[writer] {
		c.t.Errorf("writer %s: line %s, want %d", writer, number, c.next[writer])
	}
	c.next[writer] = n + 1
	c.lines++
}

// stormProcess is one that runs, was killed, or has ended.
type stormProcess struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
}

// TestStorm is what the package promises.
func TestStorm(t *testing.T) {
	processes, count, every, killEvery := 4, 4000, 20*time.Millisecond, 60*time.Millisecond
	if os.Getenv("PERILUNE_LOG_STORM") != "" {
		processes, count, every, killEvery = 8, 50_000, 100*time.Millisecond, time.Second
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	acks, err := os.Create(filepath.Join(dir, "acks"))
	if err != nil {
		t.Fatal(err)
	}
	defer acks.Close()
	started := 0
	start := func() *stormProcess {
		p := &stormProcess{name: fmt.Sprintf("p%d", started), ended: make(chan struct{})}
		started++
		p.cmd = selfCommand("storm", path, p.name, strconv.Itoa(count))
		out, err := os.OpenFile(acks.Name(), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		p.cmd.Stdout, p.cmd.Stderr = out, os.Stderr
		if p.stdin, err = p.cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { _ = p.cmd.Wait(); close(p.ended) }()
		return p
	}
	check := &stormCheck{t: t, next: map[string]int{}}
	var running []*stormProcess
	for range processes {
		running = append(running, start())
	}
	var rotated []string
	rotations, kills := 0, 0
	toCheck, checked := make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(checked)
		for file := range toCheck {
			check.file(file)
			_ = os.Remove(file)
		}
	}()
	begin, lastKill := time.Now(), time.Now()
	for len(running) > 0 {
		time.Sleep(every)
		alive := running[:0]
		for _, p := range running {
			select {
			case <-p.ended:
				if !p.cmd.ProcessState.Success() && !check.wasKilled(p.name) {
					t.Fatalf("process %s: %v", p.name, p.cmd.ProcessState)
				}
			default:
				alive = append(alive, p)
			}
		}
		running = alive
		if len(running) == 0 && (rotations < 3 || kills == 0) {
			running = append(running, start()) // it was over too soon to be a storm
		}
		if len(running) > 0 && time.Since(lastKill) >= killEvery && kills < started-1 && (kills < 4 || count > 4000) {
			lastKill = time.Now()
			p := running[rand.IntN(len(running))]
			check.killed.Store(p.name, true)
			kills++
			_ = p.cmd.Process.Kill()
			if kills < processes {
				running = append(running, start())
			}
		}
		old := fmt.Sprintf("%s.%05d", path, rotations)
		if err := os.Rename(path, old); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				continue // nobody has opened it yet
			}
			t.Fatal(err)
		}
		rotations++
		rotated = append(rotated, old)
		for _, p := range running {
			_, _ = p.stdin.Write([]byte("r")) // it may have been killed
		}
		// Each process has reopened when two more renames have gone by, as
		// a rule; what is sure is that nobody has the file open any more.
		for len(rotated) > 0 && unused(t, rotated[0], running) {
			toCheck <- rotated[0]
			rotated = rotated[1:]
		}
	}
	for _, p := range append(rotated, path) {
		if _, err := os.Stat(p); err == nil {
			toCheck <- p
		}
	}
	close(toCheck)
	<-checked
	check.acks(acks.Name(), started, count)
	t.Logf("%d processes, %d of them killed, %d rotations in %.1f s: %d whole lines, %d MiB, %d lines cut by a kill, %d empty",
		started, kills, rotations, time.Since(begin).Seconds(), check.lines, check.bytes>>20, check.cut, check.empty)
	if rotations < 3 || kills == 0 {
		t.Errorf("%d rotations and %d kills are no storm", rotations, kills)
	}
	if check.cut > kills*stormWriters || check.empty > 0 {
		t.Errorf("%d lines cut by %d kills, %d empty lines", check.cut, kills, check.empty)
	}
}

// unused reports whether none of the processes has the file open.
func unused(t *testing.T, path string, running []*stormProcess) bool {
	want, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range running {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
		for _, fd := range fds {
			if st, err := os.Stat(fd); err == nil && os.SameFile(st, want) {
				return false
			}
		}
	}
	return true
}

// acks compares what is in the files with what was acknowledged: of a killed
// writer one line more may be there than it came to tell.
func (c *stormCheck) acks(path string, processes, count int) {
	data, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	acked := map[string]int{}
	for line := range strings.Lines(string(data)) {
		writer, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(number)
		acked[writer] = max(acked[writer], n+1)
	}
	total := 0
	for i := range processes {
		name := fmt.Sprintf("p%d", i)
		for k := range stormWriters {
			writer := name + "." + strconv.Itoa(k)
			have, said := c.next[writer], acked[writer]
			total += said
			if have != said && (!c.wasKilled(name) || have != said+1) {
				c.t.Errorf("writer %s: %d lines in the files, %d acknowledged", writer, have, said)
			}
			if !c.wasKilled(name) && said != count {
				c.t.Errorf("writer %s has ended after %d lines", writer, said)
			}
		}
	}
	c.t.Logf("%d lines acknowledged", total)
}

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lockedBuffer takes what a process writes while the test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type process struct{ pid, parent int }

func (p process) cmdline() string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	return strings.TrimRight(strings.ReplaceAll(string(b), "\x00", " "), " ")
}

// descendants returns the processes below pid, zombies among them.
func descendants(pid int) []process {
	children := make(map[int][]int)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		p, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if fields := statFields(p); len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], p)
		}
	}
	var all []process
	var add func(parent int)
	add = func(parent int) {
		for _, c := range children[parent] {
			all = append(all, process{c, parent})
			add(c)
		}
	}
	add(pid)
	return all
}

// statFields returns /proc/PID/stat from the state on.
func statFields(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The name before it may hold anything, spaces and parentheses too.
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// workers returns the living worker processes of the master.
func (s *server) workers() []int {
	var pids []int
	for _, p := range descendants(s.pid) {
		if f := statFields(p.pid); p.parent == s.pid && len(f) > 0 && f[0] != "Z" &&
			strings.Contains(p.cmdline(), "worker process") {
			pids = append(pids, p.pid)
		}
	}
	sort.Ints(pids)
	return pids
}

// newWorkers waits until there are n workers and none of them is among old.
func (s *server) newWorkers(n int, old []int) []int {
	s.t.Helper()
	isOld := make(map[int]bool)
	for _, pid := range old {
		isOld[pid] = true
	}
	var pids []int
	s.waitFor(fmt.Sprintf("%d new workers", n), func() bool {
		pids = s.workers()
		for _, pid := range pids {
			if isOld[pid] {
				return false
			}
		}
		return len(pids) == n
	})
	return pids
}

// waitExit waits until a process has ended; it may then be a zombie.
func waitExit(pid int, d time.Duration) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return pollFor(d, fd)
}

// pollFor waits until one of the descriptors is readable.
func pollFor(d time.Duration, fds ...int) bool {
	deadline := time.Now().Add(d)
	set := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		set[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	for {
		n, err := unix.Poll(set, int(max(0, time.Until(deadline).Milliseconds())))
		if err == unix.EINTR {
			continue
		}
		return n > 0
	}
}

// openFiles returns what the descriptors of a process refer to, sorted, with
// the numbers that differ from run to run taken out.
func openFiles(t testing.TB, pid int) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		if kind, _, ok := strings.Cut(target, ":["); ok {
			target = kind
		}
		files = append(files, target)
	}
	sort.Strings(files)
	return files
}

// waitFor waits until the condition holds. It looks again whenever the server
// has written to its logs or to the pid file, and when the master has ended.
func (s *server) waitFor(what string, cond func() bool) {
	s.t.Helper()
	if !s.waitUntil(patience, cond) {
		s.t.Fatalf("waited in vain for %s\nstandard error:\n%s", what, s.stderr.String())
	}
}

func (s *server) waitUntil(d time.Duration, cond func() bool) bool {
	s.t.Helper()
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		s.t.Fatal(err)
	}
	defer unix.Close(watch)
	const events = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM
	if _, err := unix.InotifyAddWatch(watch, s.path("logs"), events); err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(d)
	for {
		if cond() {
			return true
		}
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		// Not everything that a condition looks at is followed by a line in
		// a log: the end of a process is seen a little before, or without it.
		pollFor(min(left, 100*time.Millisecond), watch)
		var events [4096]byte
		unix.Read(watch, events[:])
		if f := statFields(s.pid); s.pid != 0 && (f == nil || f[0] == "Z") {
			return cond()
		}
	}
}

// waitLog waits until a text is in the error log behind the offset and returns
// the offset behind its line.
func (s *server) waitLog(from int, text string) int {
	s.t.Helper()
	end := 0
	s.waitFor(fmt.Sprintf("%q in the error log", text), func() bool {
		log := s.readFile("logs/error.log")
		at := strings.Index(log[min(from, len(log)):], text)
		if at < 0 {
			return false
		}
		end = from + at + len(text)
		if nl := strings.IndexByte(log[end:], '\n'); nl >= 0 {
			end += nl + 1
		}
		return true
	})
	return end
}

// logSize returns the offset behind the last line of the error log.
func (s *server) logSize() int { return len(s.readFile("logs/error.log")) }

package logging

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBufferOfASlowFile fills a buffer whose file, a FIFO, takes nothing: nobody waits, what finds no room is lost,
// counted and told, and the rest comes in its order, also when the buffer is given up meanwhile.
func TestBufferOfASlowFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var files Files
	f, err := files.Use(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Int64
	b := files.NewBuffer(f, 64<<10, 0, func(err error) {
		if err != unix.ENOBUFS {
			t.Error(err)
		}
		told.Add(1)
	})
	filler := strings.Repeat("x", 1000)
	n := 0
	for ; f.Lost() == 0; n++ {
		if _, err := b.Write(fmt.Appendf(nil, "%d %s\n", n, filler)); err != nil {
			t.Fatal(err)
		}
	}
	if bytes := n * 1000; bytes < maxQueue || bytes > 2*maxQueue {
		t.Errorf("%d bytes had room", bytes)
	}
	dropped := make(chan error)
	go func() {
		err := files.DropBuffer(b)
		files.Drop(f)
		dropped <- err
	}()
	if err := <-dropped; err != nil {
		t.Error(err)
	}
	if f.FD() < 0 {
		t.Error("the file is closed before its lines are written")
	}
	in := bufio.NewReader(r)
	got, last := 0, -1
	for got < n-int(f.Lost()) {
		if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d lines: %v", got, err)
		}
		number, text, _ := strings.Cut(line, " ")
		var k int
		if _, err := fmt.Sscan(number, &k); err != nil || text != filler+"\n" || k <= last {
			t.Fatalf("torn or out of order after %d: %.20q", last, line)
		}
		last = k
		got++
	}
	for end := time.Now().Add(time.Minute); (f.FD() >= 0 || told.Load() == 0) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	c := f.Counters()
	if f.FD() >= 0 || told.Load() == 0 || c.Errors.Full == 0 || c.LastError != unix.ENOBUFS || int(c.Lines+c.Lost) != n {
		t.Errorf("descriptor %d, told %d times, %d lines, %+v", f.FD(), told.Load(), n, c)
	}
}

// TestFlushNow: the caller gets the error of what the buffer held, and whoever writes meanwhile is not lost.
func TestFlushNow(t *testing.T) {
	var files Files
	full, err := files.Use("/dev/full", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := files.NewBuffer(full, 1<<10, 0, func(error) { t.Error("the failure was told, too") })
	if err := b.FlushNow(); err != nil {
		t.Error(err)
	}
	_, _ = b.Write([]byte("line\n"))
	if err := b.FlushNow(); err != unix.ENOSPC {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	f, err := files.Use(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	b = files.NewBuffer(f, 100, time.Millisecond, nil)
	for i := range 1000 {
		if _, err := b.Write(fmt.Appendf(nil, "%d\n", i)); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			if err := b.FlushNow(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := files.DropBuffer(b); err != nil {
		t.Error(err)
	}
	files.Drain(time.Minute)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for line := range strings.Lines(string(text)) {
		if line != fmt.Sprintf("%d\n", i) {
			t.Fatalf("line %d is %q", i, line)
		}
		i++
	}
	if i != 1000 {
		t.Errorf("%d lines", i)
	}
	files.CloseAll()
}

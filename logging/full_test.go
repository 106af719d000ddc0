package logging

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// childFill writes lines to a full disk until it hears that it may stop, and
// tells how many were written and how many its file counts as lost.
func childFill(path string) {
	f := sharedFile(path)
	f.SetSync()
	stop := make(chan struct{})
	go func() { _, _ = io.ReadAll(os.Stdin); close(stop) }()
	fmt.Println("ready")
	wrote, failed := 0, 0
	for n := 0; ; n++ {
		select {
		case <-stop:
			c := f.Counters()
			fmt.Println(wrote, failed, c.Lines, c.Lost, n)
			return
		default:
		}
		line := fmt.Appendf(nil, "%d:%06d:%s:end\n", os.Getpid(), n, strings.Repeat("x", 1+n*37%5000))
		if _, err := f.Write(line); err != nil {
			failed++
		} else {
			wrote++
		}
	}
}

// A line of childFill, whole but for its newline perhaps, and what a full disk
// can leave of one: a cut at any byte, and the newline that closes it off once
// there is room again.
var (
	wholeLine = regexp.MustCompile(`^\d+:\d{6}:x+:end\n?$`)
	halfLine  = regexp.MustCompile(`^\d+(:(\d{0,6}|\d{6}:(x*|x+:(e|en)?)))?\n?$`)
)

// TestFullDiskOfMany: several processes fill a disk of 1 MiB that is emptied
// again and again. Each line that was acknowledged is there, what was lost is
// counted, and no half line is glued to another, of whichever process.
func TestFullDiskOfMany(t *testing.T) {
	dir := smallDisk(t, "1m")
	path := filepath.Join(dir, "a.log")
	type filler struct {
		cmd   *exec.Cmd
		stdin io.WriteCloser
		out   *bytes.Buffer
	}
	var fillers []filler
	for range 3 {
		f := filler{cmd: selfCommand("fill", path), out: &bytes.Buffer{}}
		f.cmd.Stdout, f.cmd.Stderr = f.out, os.Stderr
		var err error
		if f.stdin, err = f.cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := f.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		fillers = append(fillers, f)
	}
	// The disk is emptied as copytruncate does it: what is in the file is
	// taken and the file cut to nothing. That loses what comes between the
	// two, which is why lines are counted while nobody can write: the disk is full.
	whole, half := 0, 0
	take := func() {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			switch {
			case wholeLine.Match(line):
				whole++
			case len(line) == 1:
				// The newline for a half line that was taken away meanwhile.
			case halfLine.Match(line):
				half++
			default:
				t.Errorf("glued: %.40q … %.40q", line, line[max(0, len(line)-40):])
			}
		}
	}
	full := func() bool {
		var st unix.Statfs_t
		return unix.Statfs(dir, &st) == nil && st.Bfree == 0
	}
	for range 20 {
		for !full() {
		}
		for _, f := range fillers {
			_ = f.cmd.Process.Signal(unix.SIGSTOP)
		}
		for _, f := range fillers {
			waitStopped(f.cmd.Process.Pid)
		}
		take()
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		for _, f := range fillers {
			_ = f.cmd.Process.Signal(unix.SIGCONT)
		}
	}
	wrote, lost := 0, 0
	for _, f := range fillers {
		f.stdin.Close()
		if err := f.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		var w, fl, lines, l, all int
		fmt.Sscanf(strings.TrimPrefix(f.out.String(), "ready\n"), "%d %d %d %d %d", &w, &fl, &lines, &l, &all)
		if w != lines || fl != l || w+fl != all || all == 0 {
			t.Errorf("%d written and %d failed of %d, but %d and %d are counted", w, fl, all, lines, l)
		}
		wrote, lost = wrote+w, lost+fl
	}
	take()
	if whole != wrote {
		t.Errorf("%d whole lines in the file, %d acknowledged", whole, wrote)
	}
	if lost == 0 || half == 0 {
		t.Errorf("%d lines lost and %d halves: the disk was not full in earnest", lost, half)
	}
	t.Logf("%d lines acknowledged and whole, %d lost and counted, %d half lines, none glued", wrote, lost, half)
}

// TestFullDiskLacksNewline: a line that the disk had room for but for its
// newline is there once, and the next line ends it.
func TestFullDiskLacksNewline(t *testing.T) {
	dir := smallDisk(t, "8k")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(filepath.Join(dir, "a.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.SetSync()
	long := strings.Repeat("x", 4096) + "\n"
	if _, err := f.Write([]byte(long)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("next\n")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != long+"next\n" {
		t.Errorf("%d bytes, ending in %.20q", len(data), data[max(0, len(data)-20):])
	}
	if c := f.Counters(); c.Lines != 2 || c.Lost != 0 {
		t.Errorf("counters %+v", c)
	}
}

// waitStopped waits until all threads of a process stand still.
func waitStopped(pid int) {
	for {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		running := false
		for _, task := range tasks {
			b, err := os.ReadFile(task)
			if err != nil {
				continue
			}
			state := b[bytes.LastIndexByte(b, ')')+2]
			running = running || (state != 'T' && state != 'Z')
		}
		if !running {
			return
		}
	}
}

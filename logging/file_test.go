package logging

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"perilune/ipc/shm"
)

// The test binary is also the writer processes of its tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		args := os.Args[3:]
		switch os.Args[2] {
		case "console":
			childConsole(args[0])
		case "write":
			childWrite(args[0], args[1], args[2])
		case "storm":
			childStorm(args[0], args[1], args[2])
		case "long":
			childLong(args[0])
		case "fill":
			childFill(args[0])
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func selfCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{"child"}, args...)...)
	// Under the race detector a process sleeps for a second before it exits.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = []*os.File{latches().File()}
	return cmd
}

func runSelf(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := selfCommand(args...)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, &stderr)
	}
	return stderr.String()
}

// latches is the zone that the processes of the tests share.
var latches = sync.OnceValue(func() *shm.Zone {
	z, err := shm.Create("latches", 64<<10)
	if err != nil {
		panic(err)
	}
	return z
})

// sharedFile opens a log in a child as a worker has it.
func sharedFile(path string) *File {
	z, err := shm.Attach(os.NewFile(3, "latches"))
	if err != nil {
		panic(err)
	}
	var files Files
	files.Share(z)
	f, err := files.Use(path, 0)
	if err != nil {
		panic(err)
	}
	return f
}

// appendLine makes line n of a writer: who, which, filler, checksum.
func appendLine(dst []byte, writer string, n int) []byte {
	start := len(dst)
	dst = append(dst, writer...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, ' ')
	size := []int{1, 150, 300, 5000}[n%4]
	if n%500 == 0 {
		size = 100_000
	}
	for range size {
		dst = append(dst, byte('a'+n%26))
	}
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(crc32.ChecksumIEEE(dst[start:])), 16)
	return append(dst, '\n')
}

// checkLines fails on any line that is torn, missing, doubled or out of its
// writer's order, of count lines for each of the writers.
func checkLines(t *testing.T, data []byte, writers, count int) {
	t.Helper()
	next := make(map[string]int)
	for line := range bytes.Lines(data) {
		body, ok := bytes.CutSuffix(line, []byte("\n"))
		if !ok {
			t.Fatalf("the last line is torn: %.100q", line)
		}
		at := bytes.LastIndexByte(body, ' ') + 1
		if sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body[:at])), 16); sum != string(body[at:]) {
			t.Fatalf("torn line: %.100q… %d bytes", line, len(line))
		}
		writer, rest, _ := strings.Cut(string(body), " ")
		number, _, _ := strings.Cut(rest, " ")
		if n, err := strconv.Atoi(number); err != nil || n != next[writer] {
			t.Fatalf("writer %s: line %s, want %d", writer, number, next[writer])
		}
		next[writer]++
	}
	if len(next) != writers {
		t.Errorf("lines of %d writers, want %d", len(next), writers)
	}
	for writer, n := range next {
		if n != count {
			t.Errorf("writer %s: %d lines, want %d", writer, n, count)
		}
	}
}

// childWrite writes count lines to the file. It reopens it for each byte that
// it reads from its standard input, as a worker would for a signal.
func childWrite(path, writer, count string) {
	f := sharedFile(path)
	f.SetSync()
	reopened := make(chan error, 1)
	go func() {
		var b [1]byte
		for {
			if _, err := io.ReadFull(os.Stdin, b[:]); err != nil {
				reopened <- nil
				return
			}
			if err := f.Reopen(); err != nil {
				reopened <- err
				return
			}
		}
	}()
	os.Stdout.WriteString("r")
	var line []byte
	total, _ := strconv.Atoi(count)
	for n := range total {
		line = appendLine(line[:0], writer, n)
		if _, err := f.Write(line); err != nil {
			panic(err)
		}
	}
	os.Stdout.Close() // tells the test that all lines are written
	if err := <-reopened; err != nil {
		panic(err)
	}
}

type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr bytes.Buffer
}

// startWriters starts processes that write to path and waits until all are at it.
func startWriters(t *testing.T, path string, n, count int) []*child {
	t.Helper()
	var children []*child
	for i := range n {
		c := &child{cmd: selfCommand("write", path, fmt.Sprintf("w%d", i), strconv.Itoa(count))}
		c.cmd.Stderr = &c.stderr
		var err error
		if c.stdin, err = c.cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if c.stdout, err = c.cmd.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		if err := c.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, c)
	}
	for _, c := range children {
		if _, err := io.ReadFull(c.stdout, make([]byte, 1)); err != nil {
			t.Fatalf("a writer did not start: %v: %s", err, &c.stderr)
		}
	}
	return children
}

func (c *child) finish(t *testing.T) {
	t.Helper()
	c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("writer: %v: %s", err, &c.stderr)
	}
}

func TestManyProcessesOneFile(t *testing.T) {
	writers, count := 8, 3000
	if testing.Short() {
		count = 600
	}
	path := filepath.Join(t.TempDir(), "access.log")
	for _, c := range startWriters(t, path, writers, count) {
		c.finish(t)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkLines(t, data, writers, count)
}

func TestRenameAndReopenLoseNothing(t *testing.T) {
	writers, count := 4, 6000
	if testing.Short() {
		count = 2000
	}
	path := filepath.Join(t.TempDir(), "access.log")
	children := startWriters(t, path, writers, count)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, c := range children {
		wg.Go(func() { io.Copy(io.Discard, c.stdout) }) // until its lines are written
	}
	go func() { wg.Wait(); close(done) }()

	var rotated []string
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		// The next rotation comes when something has been written since
		// the last one, so that none of the old files is empty by haste.
		if st, err := os.Stat(path); err != nil || st.Size() < 200_000 {
			continue
		}
		old := fmt.Sprintf("%s.%04d", path, len(rotated))
		if err := os.Rename(path, old); err != nil {
			t.Fatal(err)
		}
		rotated = append(rotated, old)
		for _, c := range children {
			if _, err := c.stdin.Write([]byte("r")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range children {
		c.finish(t)
	}
	if len(rotated) < 3 {
		t.Errorf("only %d rotations", len(rotated))
	}
	t.Logf("%d rotations", len(rotated))
	// A writer may be a rotation behind another, so that the order holds for
	// each writer over the files but a whole file is not older than the next.
	var data []byte
	for _, p := range append(rotated, path) {
		b, err := os.ReadFile(p)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		data = append(data, b...)
	}
	checkLines(t, data, writers, count)
}

func TestReopenAndReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.SetSync()
	fd := f.FD()
	write := func(s string) {
		if _, err := f.Write([]byte(s)); err != nil {
			t.Error(err)
		}
	}
	write("1\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("2\n")
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write("3\n")

	other, err := unix.Open(filepath.Join(dir, "b.log"), openFlags, openMode)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Replace(other); err != nil {
		t.Fatal(err)
	}
	write("4\n")
	if f.FD() != fd {
		t.Errorf("the descriptor went from %d to %d", fd, f.FD())
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor would be inherited: flags %d, %v", flags, err)
	}
	if _, err := unix.FcntlInt(uintptr(other), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the replacing descriptor is still open: %v", err)
	}
	for name, want := range map[string]string{"a.log.1": "1\n2\n", "a.log": "3\n", "b.log": "4\n"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	if c := f.Counters(); c.Lines != 4 || c.Bytes != 8 || c.Reopens != 2 || c.Lost != 0 {
		t.Errorf("counters %+v", c)
	}
}

func TestReopenFailureKeepsTheOldFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var files Files
	f := files.Open(filepath.Join(dir, "a.log"))
	if err := files.OpenAll(); err != nil {
		t.Fatal(err)
	}
	defer files.CloseAll()
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	want := `open() "` + f.Path() + `" failed (2: No such file or directory)`
	if err := files.ReopenAll(-1); err == nil || err.Error() != want || !errors.Is(err, unix.ENOENT) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := f.Write([]byte("still\n")); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(dir + ".old/a.log"); string(b) != "still\n" {
		t.Errorf("the old file has %q", b)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	var files Files
	a, b := files.Open(dir+"/a.log"), files.Open(dir+"/b.log")
	if files.Open(dir+"/a.log") != a || a == b || len(files.All()) != 2 {
		t.Error("one path is not one file")
	}
	before, stderr := files.UsesStderr(), files.Stderr()
	if before || files.Stderr() != stderr || !files.UsesStderr() {
		t.Error("standard error is not one file, asked for or not")
	}
	missing := files.Open(dir + "/none/c.log")
	want := `open() "` + missing.Path() + `" failed (2: No such file or directory)`
	if err := files.OpenAll(); err == nil || err.Error() != want {
		t.Errorf("OpenAll: %v", err)
	}
	if a.FD() != -1 || b.FD() != -1 {
		t.Error("files stay open after a failure")
	}
	if _, err := a.Write([]byte("x\n")); err != unix.EBADF || a.Counters().Lost != 1 {
		t.Errorf("a line to a file that is not open: %v, %+v", err, a.Counters())
	}
	if err := os.Mkdir(dir+"/none", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := files.OpenAll(); err != nil {
		t.Fatal(err)
	}
	if err := b.Attach(0); err == nil {
		t.Error("an open file takes an inherited descriptor")
	}
	mode := os.FileMode(0o400)
	if os.Getuid() != 0 {
		mode = 0o640 // only root can open it otherwise
	}
	if err := os.Chmod(dir+"/b.log", mode); err != nil {
		t.Fatal(err)
	}
	if err := files.ReopenAll(os.Getuid()); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(dir + "/b.log"); err != nil || st.Mode().Perm() != mode|0o600 {
		t.Errorf("b.log: %v, %v", st.Mode(), err)
	}
	a.Write([]byte("y\n"))
	if c := a.Counters(); c.Lines != 1 || c.Lost != 1 || c.Reopens != 1 || c.LastError != unix.EBADF || c.Errors != (Errors{Other: 1}) {
		t.Errorf("counters %+v", c)
	}
	files.CloseAll()
	if a.FD() != -1 {
		t.Error("CloseAll leaves a file open")
	}
}

// TestFullDisk fills a small file system: the counters must account for each
// line, and the half line left behind must not be glued to a whole one.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	f, err := OpenFile(dir + "/a.log")
	if err != nil {
		t.Fatal(err)
	}
	f.SetSync()
	defer f.Close()
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	var written, failed int
	write := func(n int) error {
		line := append(bytes.Repeat([]byte{'x'}, 2999), '\n')
		line[0] = byte('A' + n%26)
		_, err := f.Write(line)
		if err != nil {
			failed++
		} else {
			written++
		}
		return err
	}
	for n := range 100 {
		write(n)
	}
	if failed == 0 {
		t.Fatal("the file system did not fill up")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := write(100); err != nil {
		t.Fatalf("after space was made: %v", err)
	}
	c := f.Counters()
	if c.Lines != uint64(written) || c.Lost != uint64(failed) || c.LastError != unix.ENOSPC {
		t.Errorf("%d written, %d failed, counters %+v", written, failed, c)
	}
	data, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	whole, half := 0, 0
	for line := range bytes.Lines(data) {
		if len(line) == 3000 {
			whole++
		} else {
			half++
		}
	}
	if whole != written || half > 1 {
		t.Errorf("%d whole lines and %d others in the file, %d were acknowledged", whole, half, written)
	}
	if want := uint64(failed) * 3000; c.LostBytes != want {
		t.Errorf("%d bytes counted as lost, want %d", c.LostBytes, want)
	}
}

func TestPipeAndClosedFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	f := NewFile("pipe", fd)
	f.SetSync()
	if _, err := f.Write([]byte("line\n")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	if n, _ := r.Read(b); string(b[:n]) != "line\n" {
		t.Errorf("read %q", b[:n])
	}
	r.Close()
	// The Go runtime swallows the SIGPIPE; the error is what is left of it.
	if _, err := f.Write([]byte("line\n")); err != unix.EPIPE {
		t.Errorf("no reader: %v", err)
	}
	f.Close()
	if c := f.Counters(); c.Lines != 1 || c.Lost != 1 {
		t.Errorf("counters %+v", c)
	}
}

// TestUseAndDrop: a file is closed when its last user has dropped it, and one of the
// configuration never.
func TestUseAndDrop(t *testing.T) {
	files := &Files{}
	path := filepath.Join(t.TempDir(), "log")
	f, err := files.Use(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	g, err := files.Use(path, 0)
	if err != nil || g != f {
		t.Fatalf("%p, %p, %v", f, g, err)
	}
	files.Drop(f)
	if _, err := g.Write([]byte("line\n")); err != nil {
		t.Error(err)
	}
	files.Drop(g)
	if g.FD() >= 0 || len(files.All()) != 0 {
		t.Errorf("still there: %d, %v", g.FD(), files.All())
	}
	c := files.Open(path)
	if err := files.OpenAll(); err != nil {
		t.Fatal(err)
	}
	if u, err := files.Use(path, 0); err != nil || u != c {
		t.Fatal(u, err)
	}
	files.Drop(c)
	if c.FD() < 0 {
		t.Error("a file of the configuration is closed")
	}
	files.CloseAll()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Error(st, err)
	}
}

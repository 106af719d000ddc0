package ipc

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T) (*Conn, *Conn) {
	t.Helper()
	a, f, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewConn(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func openFDs(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestConnCarriesMessages(t *testing.T) {
	a, b := pair(t)
	for _, m := range samples {
		if len(m.Paths) > 0 || m.Type == Reopen {
			continue
		}
		if err := a.Send(&m); err != nil {
			t.Fatal(err)
		}
		got, fds, err := b.Recv()
		if err != nil || len(fds) != 0 || !reflect.DeepEqual(got, m) {
			t.Fatalf("got %+v, %v, %v; want %+v", got, fds, err, m)
		}
	}
}

func TestConnPassesDescriptors(t *testing.T) {
	a, b := pair(t)
	dir := t.TempDir()
	var fds []int
	var paths []string
	for i := range MaxFiles {
		p := filepath.Join(dir, string(rune('0'+i)))
		f, err := os.Create(p)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fds, paths = append(fds, int(f.Fd())), append(paths, p)
	}
	if err := a.Send(&Message{Type: Reopen, Paths: paths}, fds...); err != nil {
		t.Fatal(err)
	}
	m, got, err := b.Recv()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(got)
	if len(got) != len(fds) {
		t.Fatalf("%d descriptors came, %d were sent", len(got), len(fds))
	}
	for i, fd := range got {
		if _, err := unix.Write(fd, []byte(m.Paths[i])); err != nil {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not close-on-exec (%v)", i, err)
		}
		if b, _ := os.ReadFile(paths[i]); string(b) != paths[i] {
			t.Errorf("file %s got %q", paths[i], b)
		}
	}
}

func TestConnClosesDescriptorsOfABadMessage(t *testing.T) {
	a, b := pair(t)
	before := openFDs(t)
	if err := a.Send(&Message{Type: Reopen, Paths: []string{"one", "two"}}, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Recv(); err == nil {
		t.Fatal("a Reopen with too few descriptors was accepted")
	}
	if after := openFDs(t); after != before {
		t.Fatalf("%d descriptors before, %d after", before, after)
	}
}

func TestConnEOF(t *testing.T) {
	a, b := pair(t)
	if err := a.Send(&Message{Type: Quit}); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if m, _, err := b.Recv(); err != nil || m.Type != Quit {
		t.Fatalf("got %v, %v: what was sent before the end must arrive", m, err)
	}
	if _, _, err := b.Recv(); err != io.EOF {
		t.Fatalf("got %v, want EOF", err)
	}
	if err := b.Send(&Message{Type: Ready}); err == nil || errors.Is(err, ErrFull) {
		t.Fatalf("Send to a closed peer: %v", err)
	}
}

func TestSendNeverBlocks(t *testing.T) {
	a, _ := pair(t)
	for range 100000 {
		err := a.Send(&Message{Type: Beat})
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the socket never filled up")
}

func TestCloseEndsRecv(t *testing.T) {
	a, _ := pair(t)
	done := make(chan error)
	go func() {
		_, _, err := a.Recv()
		done <- err
	}()
	a.Close()
	if err := <-done; err == nil {
		t.Fatal("Recv returned without an error")
	}
}

func TestNewConnRefusesOtherDescriptors(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := NewConn(int(f.Fd())); err == nil {
		t.Fatal("a file was accepted")
	}
}

package ipc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHandover(t *testing.T) {
	before := openFDs(t)
	old, err := NewHandover()
	if err != nil {
		t.Fatal(err)
	}
	next, err := OpenHandover(old.Files())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var names []string
	var fds []int
	for i := range 3 * MaxFiles {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		names, fds = append(names, f.Name()), append(fds, int(f.Fd()))
	}
	// An attempt that nobody has read.
	if err := old.Give(names[:2], fds[:2], "old", time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := next.Answer("no"); err != nil {
		t.Fatal(err)
	}
	if got := old.Answers(); !slices.Equal(got, []string{"no"}) {
		t.Fatalf("answers %q", got)
	}
	done := make(chan error)
	go func() { done <- old.Give(names, fds, "state", time.Now().Add(time.Minute)) }()
	gotNames, gotFDs, state, err := next.Take(time.Now().Add(time.Minute))
	if err != nil || state != "state" || !slices.Equal(gotNames, names) || len(gotFDs) != len(fds) {
		t.Fatalf("took %d names, %d descriptors, %q, %v", len(gotNames), len(gotFDs), state, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, fd := range gotFDs {
		if to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil || to != names[i] {
			t.Errorf("descriptor %d is %s, %v", i, to, err)
		}
	}
	closeAll(gotFDs)
	if err := old.Give(names[:1], fds[:1], "", time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	left, leftFDs := next.Left()
	closeAll(leftFDs)
	if !slices.Equal(left, names[:1]) || len(leftFDs) != 1 {
		t.Errorf("left: %q, %d descriptors", left, len(leftFDs))
	}
	old.Close()
	next.Close()
	if after := openFDs(t); after != before+len(fds) {
		t.Errorf("%d descriptors before, %d after", before, after-len(fds))
	}
}

func TestHandoverIsInterrupted(t *testing.T) {
	h, err := NewHandover()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var names []string
	var fds []int
	for range 20 * MaxFiles {
		names, fds = append(names, strings.Repeat("x", 1000)), append(fds, 0)
	}
	done := make(chan error)
	go func() { done <- h.Give(names, fds, "", time.Now().Add(time.Hour)) }()
	select {
	case err := <-done:
		if !errors.Is(err, unix.ETOOMANYREFS) {
			t.Fatalf("everything went into the socket: %v", err)
		}
		return
	case <-time.After(50 * time.Millisecond):
	}
	h.Interrupt()
	if err := <-done; errors.Is(err, unix.ETOOMANYREFS) {
		return
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if got := h.Answers(); len(got) != 0 {
		t.Fatalf("answers %q", got)
	}
	if _, _, _, err := h.Take(time.Now()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("something was left: %v", err)
	}
}

package vm

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFileSharedWhileBlocked lets a second thread write to a file while the
// first one is in a system call, as a host that gives the baton away does.
func TestFileSharedWhileBlocked(t *testing.T) {
	m := newTestVM(t)
	path := filepath.Join(t.TempDir(), "log")
	runLua(t, m, "t", `f = io.open("`+path+`", "w"); f:setvbuf("no")`)
	body := runLua(t, m, "t", `return function(s) f:write(s, "\n") end`)[0]
	baton := make(chan struct{}, 1)
	entered := make(chan struct{}, 1)
	done := make(chan error)
	m.Block = func(_ *Thread, _ Blocking, f func()) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		baton <- struct{}{}
		f()
		<-baton
		return nil
	}
	start := func(s string) {
		th := m.NewThread()
		go func() {
			<-baton
			_, err := th.Call(body, String(s))
			baton <- struct{}{}
			done <- err
		}()
	}
	start("first")
	start("second")
	baton <- struct{}{}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	<-entered
	m.Block = nil
	runLua(t, m, "t", `f:close()`)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The text and the newline of one thread may have those of the other between.
	if len(b) != len("first\nsecond\n") {
		t.Fatalf("file holds %q", b)
	}
}

// TestFlushFiles shows that data of files that were never closed is not lost.
func TestFlushFiles(t *testing.T) {
	m := newTestVM(t)
	path := filepath.Join(t.TempDir(), "out")
	runLua(t, m, "t", `f = io.open("`+path+`", "w"); f:write("kept")`)
	if b, err := os.ReadFile(path); err != nil || len(b) != 0 {
		t.Fatalf("before: %q, %v", b, err)
	}
	m.FlushFiles()
	if b, err := os.ReadFile(path); err != nil || string(b) != "kept" {
		t.Fatalf("after: %q, %v", b, err)
	}
}

// TestAppendWholeStrings shows that a string is never torn between two writes,
// so that lines of several processes that append to one file stay whole.
func TestAppendWholeStrings(t *testing.T) {
	m := newTestVM(t)
	path := filepath.Join(t.TempDir(), "log")
	runLua(t, m, "t", `f = io.open("`+path+`", "a")`)
	var sizes []int64
	m.Block = func(_ *Thread, _ Blocking, f func()) error {
		f()
		if st, err := os.Stat(path); err != nil {
			t.Error(err)
		} else {
			sizes = append(sizes, st.Size())
		}
		return nil
	}
	runLua(t, m, "t", `
		f:write("one\n") f:flush()
		f:write(("x"):rep(3000) .. "\n") f:write(("y"):rep(3000) .. "\n")
		f:write(("z"):rep(10000) .. "\n") f:close()`)
	want := []int64{4, 3005, 6006, 16007, 16007} // the last one is the close
	if !slices.Equal(sizes, want) {
		t.Fatalf("sizes after each call: %v, want %v", sizes, want)
	}
}

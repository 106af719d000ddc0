package logging

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// childLong writes lines of 8 MiB until it is killed.
func childLong(path string) {
	f := sharedFile(path)
	f.SetSync()
	line := append(bytes.Repeat([]byte("L"), 8<<20), '\n')
	for {
		if _, err := f.Write(line); err != nil {
			panic(err)
		}
	}
}

// TestKilledInMidLine kills a process in the middle of a long line, which the
// kernel cuts then, while this process writes short ones: none of them is
// behind the half line.
func TestKilledInMidLine(t *testing.T) {
	rounds := 12
	if os.Getenv("PERILUNE_LOG_STORM") != "" {
		rounds = 200
	}
	dir := t.TempDir()
	cut, written := 0, 0
	for round := 0; round < rounds || cut == 0 && round < 1000; round++ {
		path := filepath.Join(dir, strconv.Itoa(round))
		var files Files
		files.Share(latches())
		f, err := files.Use(path, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.SetSync()
		c := selfCommand("long", path)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for st, err := os.Stat(path); err != nil || st.Size() == 0; st, err = os.Stat(path) {
		}
		time.AfterFunc(time.Duration(round%10)*time.Millisecond, func() { _ = c.Process.Kill() })
		done := make(chan struct{})
		go func() { _ = c.Wait(); close(done) }()
		want := 0
		for after := 0; after < 20; want++ {
			select {
			case <-done:
				after++
			default:
			}
			if _, err := f.Write([]byte("short " + strconv.Itoa(want) + "\n")); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		next := 0
		for line := range bytes.Lines(data) {
			text := strings.TrimLeft(string(line[max(0, len(line)-100):]), "L")
			switch {
			case line[0] == 'L' && text == "\n":
				if len(line) != 8<<20+1 {
					cut++
				}
			case line[0] == 's' && string(line) == "short "+strconv.Itoa(next)+"\n":
				next++
			default:
				t.Errorf("glued or out of order: %.20q … %q", line, text)
			}
		}
		if next != want {
			t.Errorf("%d short lines, %d acknowledged", next, want)
		}
		written += want
		_ = f.Close()
		_ = os.Remove(path)
	}
	t.Logf("%d lines cut in %d rounds, %d short lines beside them", cut, rounds, written)
	if cut == 0 {
		t.Error("no line was cut: the test has shown nothing")
	}
}

package logging

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkWrite is a line of an access log, BenchmarkBareWrite the system call alone.
func BenchmarkWrite(b *testing.B) {
	f, line := benchFile(b)
	for b.Loop() {
		_, _ = f.Write(line)
	}
}

func BenchmarkBareWrite(b *testing.B) {
	f, line := benchFile(b)
	for b.Loop() {
		_, _ = unix.Write(f.FD(), line)
	}
}

func benchFile(b *testing.B) (*File, []byte) {
	var files Files
	files.Share(latches())
	f, err := files.Use(b.TempDir()+"/a.log", 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	f.SetSync()
	return f, append(bytes.Repeat([]byte("x"), 199), '\n')
}

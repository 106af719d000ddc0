package logging

import (
	"bytes"
	"compress/gzip"
	"slices"
	"sync"
	"time"
)

// Buffer holds lines of one log back, to write many at once, and never a part
// of one. A line that does not fit is written behind those before it. What the
// buffer holds is lost if the process is killed.
type Buffer struct {
	file  *File
	every time.Duration // 0: only when it is full

	size  int
	level int

	mu    sync.Mutex
	buf   []byte // made by the first line
	lines int
	timer *time.Timer

	zip *gzip.Writer
	out bytes.Buffer
}

// Buffer gives the file a buffer of that size, which all lines of Log go
// through from then on. Lines older than every are written even so, 0 is never;
// level is that of gzip, 0 without. It reports false if the file has another
// kind of buffer.
func (fs *Files) Buffer(f *File, size int, every time.Duration, level int) bool {
	if b := f.buffer; b != nil {
		return b.size == size && b.every == every && b.level == level
	}
	f.buffer = fs.NewBuffer(f, size, every)
	f.buffer.level = level
	return true
}

// NewBuffer returns a buffer for lines to the file that is flushed when the buffers
// of access logs are. Other lines to the file do not go through it.
func (fs *Files) NewBuffer(f *File, size int, every time.Duration) *Buffer {
	b := &Buffer{file: f, size: size, every: every}
	fs.mu.Lock()
	fs.buffers = append(fs.buffers[:len(fs.buffers):len(fs.buffers)], b)
	fs.mu.Unlock()
	return b
}

// DropBuffer flushes a buffer that nobody needs any more and forgets it.
func (fs *Files) DropBuffer(b *Buffer) {
	b.Flush()
	fs.mu.Lock()
	fs.buffers = slices.DeleteFunc(slices.Clone(fs.buffers), func(o *Buffer) bool { return o == b })
	fs.mu.Unlock()
}

// Log is Write, through the buffer if the file has one.
func (f *File) Log(line []byte) (int, error) {
	if f.buffer != nil {
		return f.buffer.Write(line)
	}
	return f.Write(line)
}

// Write appends one line.
func (b *Buffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf == nil {
		b.buf = make([]byte, 0, b.size)
		if b.level != 0 {
			b.zip, _ = gzip.NewWriterLevel(&b.out, b.level) // fails for levels above 9 only
		}
	}
	if len(b.buf)+len(line) > b.size {
		b.flush()
		if len(line) > b.size {
			b.write(line, 1)
			return len(line), nil
		}
	}
	if b.lines == 0 && b.every > 0 {
		if b.timer == nil {
			b.timer = time.AfterFunc(b.every, b.Flush)
		} else {
			b.timer.Reset(b.every)
		}
	}
	b.buf = append(b.buf, line...)
	b.lines++
	return len(line), nil
}

// Flush writes what the buffer holds.
func (b *Buffer) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
}

func (b *Buffer) flush() {
	if b.lines == 0 {
		return
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	b.write(b.buf, b.lines)
	b.buf, b.lines = b.buf[:0], 0
}

// write writes lines, as a member of a gzip file of their own if so asked. The
// file counts and reports what fails.
func (b *Buffer) write(p []byte, n int) {
	if b.zip == nil {
		_, _ = b.file.WriteLines(p, n)
		return
	}
	b.out.Reset()
	b.zip.Reset(&b.out)
	_, _ = b.zip.Write(p) // into memory
	_ = b.zip.Close()
	_, _ = b.file.WriteBlock(b.out.Bytes(), n)
}

package logging

import (
	"bytes"
	"compress/gzip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Buffer holds lines of one log back, to write many at once, and never a part
// of one. A line that does not fit is written behind those before it. What the
// buffer holds is lost if the process is killed.
//
// Who writes a line never waits for the file: a goroutine writes what is full, or
// too old.
type Buffer struct {
	file    *File
	every   time.Duration // 0: only when it is full
	onError func(error)

	size  int
	level int

	mu      sync.Mutex
	buf     []byte // made by the first line
	lines   int
	timer   *time.Timer
	full    []piece // to be written, in their order
	waiting int     // bytes of them
	spare   []byte
	idle    chan struct{} // closed when a writer is done; nil while there is none

	// Of the writer.
	zip *gzip.Writer
	out bytes.Buffer
}

// piece is a full buffer.
type piece struct {
	buf   []byte
	lines int
}

// Buffer gives the file a buffer of that size, which all lines of Log go
// through from then on. Lines older than every are written even so, 0 is never;
// level is that of gzip, 0 without. It reports false if the file has another
// kind of buffer.
func (fs *Files) Buffer(f *File, size int, every time.Duration, level int) bool {
	if b := f.buffer; b != nil {
		return b.size == size && b.every == every && b.level == level
	}
	f.buffer = fs.NewBuffer(f, size, every, nil)
	f.buffer.level = level
	return true
}

// NewBuffer returns a buffer for lines to the file that is flushed when the buffers
// of access logs are. Other lines to the file do not go through it. onError, if
// there is one, is told in any goroutine of writes that have failed but for those
// of FlushNow.
func (fs *Files) NewBuffer(f *File, size int, every time.Duration, onError func(error)) *Buffer {
	b := &Buffer{file: f, size: size, every: every, onError: onError}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.users++
	fs.buffers = append(fs.buffers[:len(fs.buffers):len(fs.buffers)], b)
	return b
}

// DropBuffer flushes a buffer that nobody needs any more and forgets it. The file
// is not closed before that is done.
func (fs *Files) DropBuffer(b *Buffer) error {
	err := b.FlushNow()
	fs.mu.Lock()
	fs.buffers = slices.DeleteFunc(slices.Clone(fs.buffers), func(o *Buffer) bool { return o == b })
	fs.mu.Unlock()
	b.mu.Lock()
	idle := b.idle
	b.mu.Unlock()
	if idle == nil {
		fs.Drop(b.file)
		return err
	}
	go func() {
		<-idle
		fs.Drop(b.file)
	}()
	return err
}

// Log is Write, through the buffer if the file has one.
func (f *File) Log(line []byte) (int, error) {
	if f.buffer != nil {
		return f.buffer.Write(line)
	}
	return f.Write(line)
}

// Buffered reports whether Log never waits.
func (f *File) Buffered() bool { return f.buffer != nil }

// Write appends one line.
func (b *Buffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.buf)+len(line) > b.size {
		b.flush()
	}
	if b.buf == nil {
		b.buf, b.spare = b.spare, nil
	}
	if b.buf == nil {
		b.buf = make([]byte, 0, b.size)
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
	if len(b.buf) > b.size {
		b.flush() // a line of more than that is a piece of its own
	}
	return len(line), nil
}

// Flush has what the buffer holds written soon.
func (b *Buffer) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
}

// flush gives what the buffer holds to the writer. The buffer is locked.
func (b *Buffer) flush() {
	p := b.take()
	if p.lines == 0 {
		return
	}
	if b.waiting > 0 && b.waiting+len(p.buf) > maxQueue {
		b.file.account(p.buf, p.buf, p.lines, unix.ENOBUFS)
		go b.lost(unix.ENOBUFS)
		b.keep(p.buf)
		return
	}
	b.full = append(b.full, p)
	b.waiting += len(p.buf)
	if b.idle == nil {
		b.idle = make(chan struct{})
		go b.work()
	}
}

// lost tells of a failure.
func (b *Buffer) lost(err error) {
	if err == unix.ENOBUFS {
		b.file.complain(err) // the others have been told of
	}
	if b.onError != nil {
		b.onError(err)
	}
}

// take empties the buffer. It is locked.
func (b *Buffer) take() piece {
	p := piece{b.buf, b.lines}
	if p.lines == 0 {
		return p
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	b.buf, b.lines = nil, 0
	return p
}

// keep keeps the memory of a piece for another. The buffer is locked.
func (b *Buffer) keep(buf []byte) {
	if b.spare == nil && cap(buf) <= b.size {
		b.spare = buf[:0]
	}
}

// work writes what is full.
func (b *Buffer) work() {
	b.mu.Lock()
	for len(b.full) > 0 {
		p := b.full[0]
		b.full = slices.Delete(b.full, 0, 1)
		b.mu.Unlock()
		if err := b.write(p, true); err != nil {
			b.lost(err)
		}
		b.mu.Lock()
		b.waiting -= len(p.buf)
		b.keep(p.buf)
	}
	b.done()
	b.mu.Unlock()
}

func (b *Buffer) done() {
	close(b.idle)
	b.idle = nil
}

// FlushNow writes what the buffer holds in the goroutine of the caller, who gets
// the error. What is being written goes first; if that takes long, the rest is left
// to the writer as well.
func (b *Buffer) FlushNow() error {
	b.wait(patience)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle != nil {
		b.flush()
		return nil
	}
	p := b.take()
	if p.lines == 0 {
		return nil
	}
	b.idle = make(chan struct{})
	b.mu.Unlock()
	err := b.write(p, false)
	b.mu.Lock()
	b.keep(p.buf)
	if len(b.full) > 0 {
		go b.work()
	} else {
		b.done()
	}
	return err
}

// wait waits, d at most, until what was full is written.
func (b *Buffer) wait(d time.Duration) {
	b.mu.Lock()
	idle := b.idle
	b.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// write writes lines, as a member of a gzip file of their own if so asked. The
// file counts and reports what fails.
func (b *Buffer) write(p piece, patient bool) error {
	if b.level == 0 {
		_, err := b.file.writeLines(p.buf, p.lines, patient)
		return err
	}
	if b.zip == nil {
		b.zip, _ = gzip.NewWriterLevel(&b.out, b.level) // fails for levels above 9 only
	}
	b.out.Reset()
	b.zip.Reset(&b.out)
	_, _ = b.zip.Write(p.buf) // into memory
	_ = b.zip.Close()
	_, err := b.file.WriteBlock(b.out.Bytes(), p.lines)
	return err
}

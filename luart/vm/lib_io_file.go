package vm

import (
	"bufio"
	"errors"
	"io"
	"math"
	"os"
	osexec "os/exec"
	"sync"
	"syscall"
	"unsafe"
	"weak"
)

// ioFile is a Lua file: C's FILE with one position for reading and writing. The
// mutex is held while an operation runs, because another thread of the VM may
// use the file while this one blocks in a system call.
type ioFile struct {
	mu   sync.Mutex
	user *Thread // of the operation that runs, nil if the host does
	stop error   // the user has been ended meanwhile
	m    *VM
	f    *os.File // nil when closed
	r    *bufio.Reader
	w    *bufio.Writer
	cmd  *osexec.Cmd // of popen
	std  bool        // cannot be closed
	mode bufferMode
	// readOnly files refuse to be written to, which the system would only say
	// when the buffer is flushed.
	readOnly bool
}

type bufferMode uint8

const (
	bufferFull bufferMode = iota
	bufferLine
	bufferNone
)

const ioBuffer = 4096

// rawFile does the system calls of an ioFile where they may block.
type rawFile struct{ *ioFile }

func (f rawFile) Read(b []byte) (n int, err error) {
	if f.stop != nil {
		return 0, f.stop
	}
	f.block(func() { n, err = f.f.Read(b) })
	return n, err
}

func (f rawFile) Write(b []byte) (n int, err error) {
	if f.stop != nil {
		return 0, f.stop
	}
	f.block(func() { n, err = f.f.Write(b) })
	return n, err
}

// block makes a system call of the operation that runs: a program's pipe is
// waited for as a rule, a file is not. The standard files are the host's as well,
// who cannot wait for a thread.
func (f *ioFile) block(call func()) {
	if f.std {
		call()
		return
	}
	how := MayBlock
	if f.cmd != nil {
		how = Blocks
	}
	if err := f.m.block(f.user, how, call); err != nil {
		f.stop = err
	}
}

// with runs an operation of a thread, once the file is free. The error is a
// *threadStop if the thread has been ended meanwhile.
func (f *ioFile) with(t *Thread, operation func() error) error {
	if !f.mu.TryLock() {
		if err := f.m.block(t, WaitsForThread, f.mu.Lock); err != nil {
			f.mu.Unlock()
			return err
		}
	}
	f.user = t
	err := f.use(operation)
	if stop := f.unlock(); stop != nil {
		return stop
	}
	return err
}

func (f *ioFile) use(operation func() error) error {
	if f.f == nil {
		return os.ErrClosed // while it was waited for
	}
	return operation()
}

func (f *ioFile) unlock() (stop error) {
	stop = f.stop
	f.user, f.stop = nil, nil
	f.mu.Unlock()
	return stop
}

// reader prepares for reading.
func (f *ioFile) reader() (*bufio.Reader, error) {
	if f.w != nil && f.w.Buffered() > 0 {
		if err := f.flush(); err != nil {
			return nil, err
		}
	}
	if f.r == nil {
		f.r = bufio.NewReaderSize(rawFile{f}, ioBuffer)
	}
	return f.r, nil
}

// unread moves the file's position back over what was read ahead.
func (f *ioFile) unread() {
	if f.r != nil && f.r.Buffered() > 0 {
		// Pipes have no position to correct.
		if _, err := f.f.Seek(int64(-f.r.Buffered()), io.SeekCurrent); err == nil {
			f.r.Reset(rawFile{f})
		}
	}
}

func (f *ioFile) write(s string) error {
	if f.readOnly {
		return syscall.EBADF
	}
	f.unread()
	if f.mode == bufferNone {
		_, err := io.WriteString(rawFile{f}, s)
		return err
	}
	if f.w == nil {
		f.w = bufio.NewWriterSize(rawFile{f}, ioBuffer)
	}
	// A string is not torn: what does not fit comes after what is buffered, and
	// what never fits is one write of its own.
	if len(s) > f.w.Available() {
		if err := f.flush(); err != nil {
			return err
		}
		if len(s) > ioBuffer {
			_, err := rawFile{f}.Write(unsafe.Slice(unsafe.StringData(s), len(s)))
			return err
		}
	}
	if f.w.Buffered() == 0 {
		f.m.io.dirty[weak.Make(f)] = struct{}{}
	}
	if _, err := f.w.WriteString(s); err != nil {
		f.w.Reset(rawFile{f}) // drop it, as C does; the error is reported now
		return err
	}
	if f.mode == bufferLine {
		for i := len(s) - 1; i >= 0; i-- {
			if s[i] == '\n' {
				return f.flush()
			}
		}
	}
	return nil
}

func (f *ioFile) flush() error {
	if f.w == nil {
		return nil
	}
	delete(f.m.io.dirty, weak.Make(f))
	err := f.w.Flush()
	if err != nil {
		f.w.Reset(rawFile{f})
	}
	return err
}

// close closes the file; for a process it waits for its end.
func (f *ioFile) close() error {
	err := f.flush()
	f.block(func() {
		if cerr := f.f.Close(); err == nil {
			err = cerr
		}
		if f.cmd != nil {
			var exit *osexec.ExitError
			if werr := f.cmd.Wait(); !errors.As(werr, &exit) && err == nil {
				err = werr
			}
		}
	})
	f.f, f.r, f.w = nil, nil, nil
	return err
}

// abandon closes a file that nobody uses. Errors have nowhere to go, and a program
// is not waited for here.
func (f *ioFile) abandon() {
	if f.cmd == nil {
		_ = f.close()
		return
	}
	_ = f.flush()
	file, cmd := f.f, f.cmd
	f.f, f.r, f.w = nil, nil, nil
	go func() {
		_ = file.Close()
		_ = cmd.Wait()
	}()
}

func (f *ioFile) seek(off int64, whence int) (pos int64, err error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	if f.r != nil {
		if whence == io.SeekCurrent {
			off -= int64(f.r.Buffered())
		}
		f.r.Reset(rawFile{f})
	}
	return f.f.Seek(off, whence)
}

// grown is Thread.grown, but fails with ENOMEM: the file is locked.
func (f *ioFile) grown(b []byte, n int) ([]byte, error) {
	need := len(b) + n
	if need <= cap(b) {
		return b, nil
	}
	size := max(need, 2*cap(b))
	if need > maxString || size >= longString && !f.m.fits(size) {
		return b, syscall.ENOMEM
	}
	return append(make([]byte, 0, size), b...), nil
}

// readLine appends a line; ok is false at the end of the file.
func (f *ioFile) readLine(dst []byte, keep bool) (line []byte, ok bool, err error) {
	r, err := f.reader()
	if err != nil {
		return dst, false, err
	}
	for f.stop == nil {
		b, err := r.ReadSlice('\n')
		room, nomem := f.grown(dst, len(b))
		if nomem != nil {
			return dst, false, nomem
		}
		dst = append(room, b...)
		switch {
		case err == nil:
			if !keep {
				dst = dst[:len(dst)-1]
			}
			return dst, true, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return dst, len(dst) > 0, nil
		default:
			return dst, false, err
		}
	}
	return dst, false, f.stop
}

// readAll appends what is left.
func (f *ioFile) readAll(dst []byte) ([]byte, error) {
	r, err := f.reader()
	if err != nil {
		return dst, err
	}
	for f.stop == nil {
		if cap(dst)-len(dst) < 512 {
			if dst, err = f.grown(dst, 512); err != nil {
				return dst, err
			}
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
	return dst, f.stop
}

// readBytes appends up to n bytes; ok is false at the end of the file.
func (f *ioFile) readBytes(dst []byte, n int) (b []byte, ok bool, err error) {
	r, err := f.reader()
	if err != nil {
		return dst, false, err
	}
	if n == 0 {
		_, err := r.Peek(1)
		if errors.Is(err, io.EOF) {
			err = nil
			return dst, false, err
		}
		return dst, err == nil, err
	}
	for n > 0 && f.stop == nil {
		part := min(n, 1<<16)
		from := len(dst)
		if dst, err = f.grown(dst, part); err != nil {
			return dst, false, err
		}
		dst = dst[:from+part]
		got, err := io.ReadFull(r, dst[from:])
		dst = dst[:from+got]
		n -= got
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return dst, len(dst) > 0, nil
		case err != nil:
			return dst, false, err
		}
	}
	return dst, true, nil
}

// readNumber reads as scanf("%lf") does: the longest text that can begin a
// number is consumed.
func (f *ioFile) readNumber() (x float64, ok bool, err error) {
	r, err := f.reader()
	if err != nil {
		return 0, false, err
	}
	var buf [200]byte
	b := buf[:0]
	peek := func() byte {
		c, err := r.Peek(1)
		if err != nil {
			return 0
		}
		return c[0]
	}
	take := func() {
		c, _ := r.ReadByte() // was there a moment ago
		if len(b) < len(buf) {
			b = append(b, c)
		}
	}
	for isSpace(peek()) {
		_, _ = r.Discard(1)
	}
	if c := peek(); c == '-' || c == '+' {
		take()
	}
	word := func(w string) bool {
		for i := range len(w) {
			if peek()|0x20 != w[i] {
				return false
			}
			take()
		}
		return true
	}
	hex := false
	switch peek() | 0x20 {
	case 'n':
		return math.NaN(), word("nan"), nil
	case 'i':
		sign := 1
		if len(b) > 0 && b[0] == '-' {
			sign = -1
		}
		return math.Inf(sign), word("inf") && (peek()|0x20 != 'i' || word("inity")), nil
	}
	if peek() == '0' {
		take()
		if peek()|0x20 == 'x' {
			hex = true
			take()
		}
	}
	digits := func() {
		for c := peek(); isDigit(c) || hex && hexDigit(c) >= 0; c = peek() {
			take()
		}
	}
	digits()
	if peek() == '.' {
		take()
		digits()
	}
	if c := peek() | 0x20; len(b) > 0 && (hex && c == 'p' || !hex && c == 'e') {
		mantissa := len(b)
		take()
		if c := peek(); c == '-' || c == '+' {
			take()
		}
		hex = false
		at := len(b)
		if digits(); len(b) == at {
			b = b[:mantissa]
		}
	}
	x, ok = ParseNumber(string(b))
	return x, ok, nil
}

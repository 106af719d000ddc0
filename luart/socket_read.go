package luart

import (
	"bytes"
	"fmt"
	"io"
	"unsafe"

	"perilune/luart/vm"
)

// readable prepares the reading from a socket; false says that an error has been
// pushed.
func (s *tcpSocket) readable(t *vm.Thread, c *Ctx) bool {
	if s == nil || s.conn == nil || s.readClosed {
		s.logClosed(c, "receive")
		fail(t, "closed")
		return false
	}
	if !s.check(t, c, opConnect|opRead) {
		return false
	}
	c.debugTimeout("lua tcp socket read", timeout(s.readTimeout, c.socketSettings().ReadTimeout))
	return true
}

func tcpReceive(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		return raise(t, "expecting 1 or 2 arguments (including the object), but got %d", n)
	}
	s := tcpOf(t)
	if !s.readable(t, c) {
		return 2
	}
	c.debug("lua tcp socket calling receive() method")
	what := t.Arg(2)
	if size, ok := what.ToNumberCoerced(); n == 2 && ok {
		switch {
		case size < 0:
			return argError(t, 2, "bad number argument")
		case size < 1:
			t.PushString("")
			return 1
		}
		v, err := s.readSize(t, c, int(size))
		return s.received(t, c, v, err)
	}
	pattern, ok := "*l", true
	if n == 2 {
		pattern, ok = what.AsString()
	}
	switch {
	case !ok:
		return argError(t, 2, "bad argument")
	case pattern == "*l":
		v, err := s.readLine(t, c)
		return s.received(t, c, v, err)
	case pattern == "*a":
		v, err := s.readAll(t, c)
		return s.received(t, c, v, err)
	case len(pattern) != 2 || pattern[0] != '*':
		return argError(t, 2, "bad pattern argument: "+pattern)
	}
	return argError(t, 2, "bad pattern argument")
}

func tcpReceiveAny(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 2 {
		return raise(t, "expecting 2 arguments (including the object), but got %d", n)
	}
	s := tcpOf(t)
	if !s.readable(t, c) {
		return 2
	}
	size, ok := t.Arg(2).ToNumberCoerced()
	if !ok || size < 1 {
		return argError(t, 2, "bad max argument")
	}
	if l := c.logger(c.rt); l.LogEnabled(LevelDebug) {
		logText(l, LevelDebug, fmt.Sprintf("lua tcp socket calling receiveany() method to read at most %.0f bytes", size))
	}
	c.debug("lua tcp socket read any")
	var err error
	if s.pos == s.last {
		err = s.fill(t, c)
	}
	v := vm.Bytes(s.take(int(min(size, float64(s.last-s.pos)))))
	return s.received(t, c, v, err)
}

// read reads from the connection into p.
func (s *tcpSocket) read(t *vm.Thread, c *Ctx, p []byte) (int, error) {
	if s.eof {
		return 0, io.EOF
	}
	m, err := c.beginWait(t, s)
	if err != nil {
		return 0, err
	}
	conn := s.conn
	conn.reading = true
	n, err := conn.Read(p, timeout(s.readTimeout, c.socketSettings().ReadTimeout))
	conn.reading = false
	if killed := c.endWait(m); killed != nil {
		return 0, killed
	}
	switch {
	case err != io.EOF:
	case s.kind == socketReqRaw && c.settings.CheckClientAbort:
		err = ErrClientAborted
	default:
		s.eof = true
	}
	return n, err
}

// fill reads into the buffer behind what is in it, which it may move.
func (s *tcpSocket) fill(t *vm.Thread, c *Ctx) error {
	switch {
	case s.buf == nil:
		s.buf = c.rt.sockets.getBuffer(c.socketSettings().BufferSize)
	case s.pos == s.last:
		s.pos, s.last = 0, 0
	case s.last == len(s.buf) && s.pos > 0:
		s.last = copy(s.buf, s.buf[s.pos:s.last])
		s.pos = 0
	case s.last == len(s.buf):
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	n, err := s.read(t, c, s.buf[s.last:])
	s.last += n
	return err
}

// take returns the next n bytes of the buffer.
func (s *tcpSocket) take(n int) []byte {
	b := s.buf[s.pos : s.pos+n]
	s.pos += n
	return b
}

// received makes a string of what has come in one piece. Lines of protocols come again and again.
func received(c *Ctx, b []byte) vm.Value {
	return c.rt.vm.Part(unsafe.String(unsafe.SliceData(b), len(b)))
}

// result makes a string of what has been gathered. A large one needs no copy: it is
// the string from now on.
func (s *tcpSocket) result(acc []byte) vm.Value {
	if len(acc) > maxKept && len(acc) > cap(acc)/2 {
		s.acc = nil
		return vm.String(unsafe.String(unsafe.SliceData(acc), len(acc)))
	}
	v := vm.Bytes(acc)
	if s.acc = acc[:0]; cap(acc) > maxKept {
		s.acc = nil
	}
	return v
}

// maxKept bounds the memory that a socket keeps for further results.
const maxKept = 32 << 10

// grow makes room for at least one more byte, at most max. What has come already says
// how much is worth the memory.
func grow(acc []byte, max int) []byte {
	room := min(max, 8<<10+len(acc))
	if cap(acc)-len(acc) >= min(max, 4<<10) {
		return acc
	}
	grown := make([]byte, len(acc), len(acc)+room)
	copy(grown, acc)
	return grown
}

func (s *tcpSocket) readSize(t *vm.Thread, c *Ctx, n int) (vm.Value, error) {
	if s.last-s.pos >= n {
		return received(c, s.take(n)), nil
	}
	if s.pos == s.last && n <= c.socketSettings().BufferSize {
		// Most answers come in one piece.
		if err := s.fill(t, c); err != nil {
			return s.result(nil), err
		}
		if s.last-s.pos >= n {
			return received(c, s.take(n)), nil
		}
	}
	acc := append(s.acc[:0], s.take(s.last-s.pos)...)
	for len(acc) < n {
		need := n - len(acc)
		if need < len(s.buf) {
			if err := s.fill(t, c); err != nil {
				return s.result(acc), err
			}
			acc = append(acc, s.take(min(need, s.last-s.pos))...)
			continue
		}
		acc = grow(acc, need)
		k, err := s.read(t, c, acc[len(acc):min(cap(acc), n)])
		acc = acc[:len(acc)+k]
		if err != nil {
			return s.result(acc), err
		}
	}
	return s.result(acc), nil
}

// readLine reads up to a newline. All carriage returns are dropped, as in ngx_lua.
func (s *tcpSocket) readLine(t *vm.Thread, c *Ctx) (vm.Value, error) {
	c.debug("lua tcp socket read line")
	acc := s.acc[:0]
	for {
		if s.pos < s.last {
			b := s.buf[s.pos:s.last]
			end := bytes.IndexByte(b, '\n')
			if end >= 0 {
				b = b[:end]
				s.pos++
			}
			s.pos += len(b)
			if end >= 0 && len(acc) == 0 {
				line := bytes.TrimSuffix(b, cr)
				if bytes.IndexByte(line, '\r') < 0 {
					return received(c, line), nil
				}
			}
			acc = appendWithout(acc, b, '\r')
			if end >= 0 {
				return s.result(acc), nil
			}
		}
		if err := s.fill(t, c); err != nil {
			return s.result(acc), err
		}
	}
}

var cr = []byte("\r")

// appendWithout appends b without that byte.
func appendWithout(dst, b []byte, drop byte) []byte {
	for {
		i := bytes.IndexByte(b, drop)
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(dst, b[:i]...)
		b = b[i+1:]
	}
}

// readAll reads until the peer closes.
func (s *tcpSocket) readAll(t *vm.Thread, c *Ctx) (vm.Value, error) {
	c.debug("lua tcp socket read all")
	acc := append(s.acc[:0], s.take(s.last-s.pos)...)
	for {
		acc = grow(acc, 1<<30)
		n, err := s.read(t, c, acc[len(acc):cap(acc)])
		acc = acc[:len(acc)+n]
		if err == io.EOF {
			return s.result(acc), nil
		}
		if err != nil {
			return s.result(acc), err
		}
	}
}

// maxBuffers bounds the buffers that are kept for further sockets.
const maxBuffers = 256

func (x *sockets) getBuffer(size int) []byte {
	for n := len(x.free); n > 0; n = len(x.free) {
		b := x.free[n-1]
		x.free = x.free[:n-1]
		if len(b) == size {
			return b
		}
	}
	return make([]byte, max(size, 1))
}

func (x *sockets) putBuffer(b []byte) {
	if len(b) > 0 && len(b) <= maxKept && len(x.free) < maxBuffers {
		x.free = append(x.free, b)
	}
}

package http

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/worker/loop"
)

// StatusError is an error that has a status: what a handler returns after it.
type StatusError int

func (e StatusError) Error() string { return "HTTP status " + strconv.Itoa(int(e)) }

// StatusOf returns the status that an error stands for: what a handler returns
// when a function of Request has failed.
func StatusOf(err error) int {
	var e StatusError
	if errors.As(err, &e) {
		return int(e)
	}
	return Error
}

// requestBody is the body of a request as far as it has been read.
type requestBody struct {
	read    bool   // ReadBody has been called
	whole   bool   // it has succeeded, and there was a body, if only an empty one
	unread  bool   // reading has failed, so that the rest is not known
	mem     []byte // what is in memory
	pooled  []byte // the buffer that mem begins in, if it is the server's
	file    int    // descriptor + 1
	path    string
	keep    bool // the file outlives the request
	size    int64
	rest    int64 // bytes to come, without chunked coding
	decoder ChunkedDecoder
}

// BodyBytes returns the body if it is in memory; nil if there is none or it is
// in a file.
func (r *Request) BodyBytes() []byte {
	r = r.bodyOwner()
	if r.body.file != 0 {
		return nil
	}
	return r.body.mem
}

// BodyFile returns the path of the file that the body was written to, "" if it
// is in memory.
func (r *Request) BodyFile() string { return r.bodyOwner().body.path }

// BodySize returns the size of the body that ReadBody has read.
func (r *Request) BodySize() int64 { return r.bodyOwner().body.size }

// BodyRead reports whether ReadBody has been called.
func (r *Request) BodyRead() bool { return r.bodyOwner().body.read }

// continueExpected sends 100 Continue to a client that waits for it.
func (r *Request) continueExpected() error {
	if r.engine.expectTested || !r.HeadersIn.Expect100 || r.HTTPVersion < 1001 {
		return nil
	}
	r.engine.expectTested = true
	const text = "HTTP/1.1 100 Continue\r\n\r\n"
	if n, err := r.Conn.FD.Write([]byte(text)); err != nil || n != len(text) {
		// The socket has no room for 25 bytes: it is of no use.
		r.Conn.errored = true
		return StatusError(500)
	}
	return nil
}

// ReadBody reads the whole body, in memory as far as client_body_buffer_size
// goes and into a file beyond that. It parks as long as the client is slow. The
// error carries the status to return; afterwards nothing more is read.
func (r *Request) ReadBody() error {
	if r.Parent != nil {
		return nil // it has what the parent has read
	}
	b := &r.body
	if b.read || r.engine.discarding {
		return nil
	}
	b.read = true
	if err := r.continueExpected(); err != nil {
		return err
	}
	in := &r.HeadersIn
	if in.ContentLengthN < 0 && !in.Chunked {
		return nil
	}
	b.unread = true
	if err := r.readBody(); err != nil {
		if in.Chunked {
			in.ContentLengthN = b.size // as far as is known
		}
		return err
	}
	b.unread, b.whole = false, true
	in.ContentLengthN = b.size
	if r.Loc.ClientBodyInFileOnly.V != BodyFileOff && b.file == 0 {
		if err := r.spill(); err != nil {
			return err
		}
	}
	// The body has been read to its end; only a further request follows.
	r.engine.lingering = false
	return nil
}

func (r *Request) readBody() error {
	c := r.Conn
	in := &r.HeadersIn
	b := &r.body
	b.rest = in.ContentLengthN
	if !in.Chunked && b.rest <= int64(c.last-c.pos) {
		// All of it has come with the header, whose buffer stays as it is as
		// long as the request lives.
		end := c.pos + int(b.rest)
		b.mem = c.buf[c.pos:end:end]
		b.size, b.rest = b.rest, 0
		c.pos = end
		r.BytesIn += b.size
		return nil
	}
	if c.pos < c.last {
		n, err := r.takeBody(c.buf[c.pos:c.last])
		c.pos += n
		r.BytesIn += int64(n)
		if err != nil {
			return err
		}
	}
	if r.bodyDone() {
		return nil
	}
	size := int(r.Loc.ClientBodyBufferSize.V)
	if !in.Chunked && b.rest < int64(size+size/4) {
		// All of the body in one buffer of its size, read into directly.
		return r.readSized()
	}
	buf := c.Server.buffers.get(size)
	defer c.Server.buffers.put(buf)
	for !r.bodyDone() {
		want := buf
		if left := r.bodyLeft(); left < int64(len(buf)) {
			want = buf[:left]
		}
		n, err := r.receive(want)
		if err != nil {
			return err
		}
		used, err := r.takeBody(want[:n])
		if err != nil {
			return err
		}
		if used < n {
			r.giveBack(want[used:n])
			r.BytesIn -= int64(n - used)
		}
	}
	return nil
}

// bodyLeft is how many bytes can be read without reading beyond the body.
func (r *Request) bodyLeft() int64 {
	if r.HeadersIn.Chunked {
		// More than the least that must come may belong to the next request,
		// and is given back; but a byte at a time would be slow.
		return int64(r.Loc.ClientBodyBufferSize.V)
	}
	return r.body.rest
}

func (r *Request) bodyDone() bool {
	if r.HeadersIn.Chunked {
		return r.body.decoder.Done()
	}
	return r.body.rest == 0
}

// readSized reads what is left of a body that fits in memory.
func (r *Request) readSized() error {
	b := &r.body
	have := len(b.mem)
	r.growBody(int(b.rest))
	buf := b.mem[have : have+int(b.rest)]
	for len(buf) > 0 {
		n, err := r.receive(buf)
		if err != nil {
			return err
		}
		buf = buf[n:]
		b.mem = b.mem[:len(b.mem)+n]
		b.rest -= int64(n)
		b.size += int64(n)
	}
	return nil
}

// growBody makes room in memory for n more bytes.
func (r *Request) growBody(n int) {
	b := &r.body
	if cap(b.mem)-len(b.mem) >= n {
		return
	}
	size := int(r.Loc.ClientBodyBufferSize.V)
	size += size / 4
	if b.pooled == nil && len(b.mem)+n <= size {
		b.pooled = r.Server.buffers.get(size)
		b.mem = append(b.pooled[:0], b.mem...)
		return
	}
	mem := make([]byte, len(b.mem), max(len(b.mem)+n, 2*len(b.mem)))
	copy(mem, b.mem)
	b.mem = mem
}

// giveBack keeps bytes that were read beyond the body for the next request.
// The header buffer is used up, but the request still has views of it.
func (r *Request) giveBack(rest []byte) {
	c := r.Conn
	if len(rest) > len(c.buf)-c.last {
		r.engine.old = append(r.engine.old, c.buf)
		c.buf = c.Server.buffers.get(max(len(rest), int(r.Srv.LargeClientHeaderBuffers.V.Size)))
		c.pos, c.last = 0, 0
	}
	c.last += copy(c.buf[c.last:], rest)
}

// receive waits for bytes of the body.
func (r *Request) receive(buf []byte) (int, error) {
	c := r.Conn
	for {
		n, err := 0, loop.ErrAgain
		if c.FD.Readable {
			n, err = c.FD.Read(buf)
		}
		switch {
		case errors.Is(err, loop.ErrAgain):
			if err := c.FD.WaitRead(r.Loc.ClientBodyTimeout.V); err != nil {
				if errors.Is(err, loop.ErrTimeout) {
					c.timedout = true
					return 0, StatusError(408)
				}
				if err == errBodyLeft {
					return 0, StatusError(400)
				}
				c.errored = true
				return 0, StatusError(400)
			}
		case err != nil:
			r.LogErr(logging.Info, err, "recv() failed")
			c.errored = true
			return 0, StatusError(400)
		case n == 0:
			r.Log(logging.Info, "client prematurely closed connection")
			c.errored = true
			return 0, StatusError(400)
		default:
			r.BytesIn += int64(n)
			return n, nil
		}
	}
}

// takeBody stores bytes of the body and returns how many of p belong to it.
func (r *Request) takeBody(p []byte) (int, error) {
	b := &r.body
	if !r.HeadersIn.Chunked {
		n := int(min(int64(len(p)), b.rest))
		b.rest -= int64(n)
		return n, r.storeBody(p[:n])
	}
	used := 0
	for used < len(p) && !b.decoder.Done() {
		data, n, err := b.decoder.Next(p[used:])
		if err != nil {
			r.Log(logging.Error, "client sent invalid chunked body")
			return used, StatusError(400)
		}
		used += n
		limit := r.Loc.ClientMaxBodySize.V
		if limit > 0 && b.size+int64(len(data)) > limit {
			r.Log(logging.Error, "client intended to send too large chunked body: %d+%d bytes", b.size, len(data))
			r.engine.lingering = true
			return used, StatusError(413)
		}
		if err := r.storeBody(data); err != nil {
			return used, err
		}
		if n == 0 {
			break
		}
	}
	return used, nil
}

func (r *Request) storeBody(p []byte) error {
	b := &r.body
	if len(p) == 0 {
		return nil
	}
	if b.file == 0 && len(b.mem)+len(p) > r.maxInMemory() {
		if err := r.spill(); err != nil {
			return err
		}
	}
	b.size += int64(len(p))
	if b.file != 0 {
		return r.writeBody(p)
	}
	r.growBody(len(p))
	b.mem = append(b.mem, p...)
	return nil
}

// maxInMemory is the size up to which the body stays in memory.
func (r *Request) maxInMemory() int {
	size := int(r.Loc.ClientBodyBufferSize.V)
	if !r.HeadersIn.Chunked {
		size += size / 4
	}
	// What came with the header is in memory already.
	return max(size, len(r.Conn.buf))
}

// spill moves the body to a file.
func (r *Request) spill() error {
	b := &r.body
	level := logging.Warn
	if r.Loc.ClientBodyInFileOnly.V != BodyFileOff {
		level = logging.Notice
	}
	fd, name, err := r.Server.tempFile(&r.Loc.ClientBodyTempPath.V)
	if err != nil {
		r.Log(logging.Crit, "%v", err)
		return StatusError(500)
	}
	b.file, b.path = fd+1, name
	b.keep = r.Loc.ClientBodyInFileOnly.V == BodyFileOn
	if !r.bodyFileSilent && (!r.BodyFileQuiet || level == logging.Warn) {
		r.Log(level, "a client request body is buffered to a temporary file %s", name)
	}
	mem := b.mem
	b.mem = nil
	return r.writeBody(mem)
}

func (r *Request) writeBody(p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(r.body.file-1, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			r.LogErr(logging.Crit, err, "write() \""+r.body.path+"\" failed")
			return StatusError(500)
		}
		p = p[n:]
	}
	return nil
}

// name is the path of the file with a number. The last digits of the number
// make the names of the levels of directories.
func (t *TempPath) name(number uint64) (dir, path string) {
	file := fmt.Sprintf("%010d", number)
	dir = t.Dir
	end := len(file)
	for _, n := range t.Levels {
		dir += "/" + file[end-n:end]
		end -= n
	}
	return dir, dir + "/" + file
}

// tempFile makes a new file.
func (s *Server) tempFile(t *TempPath) (int, string, error) {
	for {
		s.tempNumber++
		dir, name := t.name(s.tempNumber)
		fd, err := unix.Open(name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		switch {
		case err == nil:
			return fd, name, nil
		case errors.Is(err, unix.EEXIST):
			// Another worker's, or left over: try elsewhere.
			s.tempNumber += 1 + uint64(time.Now().UnixNano()%1000)
		case errors.Is(err, unix.ENOENT):
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return 0, "", fmt.Errorf("mkdir() \"%s\" failed %s", dir, logging.ErrnoText(err))
			}
		default:
			return 0, "", fmt.Errorf("open() \"%s\" failed %s", name, logging.ErrnoText(err))
		}
	}
}

func (r *Request) releaseBody() {
	b := &r.body
	if b.file != 0 {
		_ = unix.Close(b.file - 1)
		if !b.keep {
			_ = unix.Unlink(b.path)
		}
	}
	if b.pooled != nil {
		r.Server.buffers.put(b.pooled)
	}
	r.body = requestBody{}
}

// DiscardBody has the body read and thrown away: now what is there, the rest
// when the response has been sent.
func (r *Request) DiscardBody() error {
	if r != r.Main || r.engine.discarding || r.body.read {
		return nil
	}
	if err := r.continueExpected(); err != nil {
		return err
	}
	in := &r.HeadersIn
	if in.ContentLengthN <= 0 && !in.Chunked {
		return nil
	}
	r.engine.discarding = true
	r.body.rest = in.ContentLengthN
	_, err := r.discard()
	return err
}

// discard throws away what can be read at once and reports whether the body
// has ended.
func (r *Request) discard() (bool, error) {
	c := r.Conn
	if c.pos < c.last {
		n, err := r.skipBody(c.buf[c.pos:c.last])
		c.pos += n
		if err != nil {
			return false, err
		}
	}
	var scrap [4096]byte
	for !r.bodyDone() {
		if !c.FD.Readable {
			return false, nil
		}
		want := scrap[:]
		if !r.HeadersIn.Chunked && r.body.rest < int64(len(want)) {
			want = want[:r.body.rest]
		}
		n, err := c.FD.Read(want)
		switch {
		case errors.Is(err, loop.ErrAgain):
			return false, nil
		case err != nil || n == 0:
			// The response may still get through to a client that has only
			// ended its sending.
			r.engine.discarding = false
			r.body.unread = true
			if err != nil {
				c.errored = true
			}
			return true, nil
		}
		used, err := r.skipBody(want[:n])
		if err != nil {
			return false, err
		}
		if used < n {
			r.giveBack(want[used:n])
		}
	}
	r.engine.discarding = false
	r.body.read = true
	if r.HeadersIn.Chunked {
		r.HeadersIn.ContentLengthN = 0 // $content_length, as nginx has it
	}
	r.engine.lingering = false
	return true, nil
}

func (r *Request) skipBody(p []byte) (int, error) {
	b := &r.body
	if !r.HeadersIn.Chunked {
		n := int(min(int64(len(p)), b.rest))
		b.rest -= int64(n)
		return n, nil
	}
	used := 0
	for used < len(p) && !b.decoder.Done() {
		_, n, err := b.decoder.Next(p[used:])
		if err != nil {
			r.Log(logging.Error, "client sent invalid chunked body")
			r.engine.discarding = false
			r.body.unread = true
			b.read = true // not to be tried again for the error page
			return used, StatusError(400)
		}
		used += n
		if n == 0 {
			break
		}
	}
	return used, nil
}

// discardRest reads, after the response, what is left of a body that is not
// wanted, so that the connection can serve another request. It reports whether
// the connection lives.
func (r *Request) discardRest() bool {
	c := r.Conn
	lc := r.Loc
	end := r.Server.loop.NowMsec() + lc.LingeringTime.V.Milliseconds()
	c.lingerEnd = end
	for {
		done, err := r.discard()
		if err != nil {
			r.closeRequest(0)
			return false
		}
		if done {
			c.lingerEnd = 0
			return true
		}
		left := time.Duration(end-r.Server.loop.NowMsec()) * time.Millisecond
		if left <= 0 {
			r.closeRequest(0)
			return false
		}
		if err := c.FD.WaitRead(min(left, lc.LingeringTimeout.V)); err != nil {
			c.timedout = errors.Is(err, loop.ErrTimeout)
			r.closeRequest(0)
			return false
		}
	}
}

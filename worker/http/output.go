package http

import (
	"errors"

	"perilune/logging"
	"perilune/worker/loop"
)

// outBufferSize is the size of the buffer that a response's header, and small
// pieces of its body, are put together in.
const outBufferSize = 4096

// errClosed is the error of all output after the connection has failed.
var errClosed = errors.New("connection is closed")

// output is what is held back of a response.
type output struct {
	buf    []byte // bytes to send before anything else
	pooled []byte // the server's buffer that buf begins in
	last   bool   // the end of the response has been handed in
	// The handler sends the end of a file itself, which is then left in rest.
	detached bool
	rest     Buf
	vec      [3][]byte
}

// outBuf makes sure that there is a buffer.
func (r *Request) outBuf() *output {
	o := &r.out
	if o.pooled == nil {
		o.pooled = r.Server.buffers.get(outBufferSize)
		o.buf = o.pooled[:0]
	}
	return o
}

func (r *Request) releaseOut() {
	if r.out.pooled != nil {
		r.Server.buffers.put(r.out.pooled)
	}
	r.out = output{}
}

// SendHeader sends the response's header through the filters. The bytes leave
// together with the first ones of the body.
func (r *Request) SendHeader() error {
	if r.HeaderSent {
		r.Log(logging.Alert, "header already sent")
		return StatusError(500)
	}
	if r.ErrStatus != 0 {
		r.HeadersOut.Status = r.ErrStatus
		r.HeadersOut.StatusLine = ""
	}
	return r.MainConf.headerFilter(r)
}

// Write sends bytes of the body through the filters, after the header if that
// has not been sent. They have been copied or sent when it returns; it parks
// while the client does not take them.
func (r *Request) Write(p []byte) error {
	if !r.HeaderSent {
		if err := r.SendHeader(); err != nil {
			return err
		}
	}
	if len(p) == 0 {
		return nil
	}
	return r.output(Buf{Data: p})
}

// SendFile sends a part of a file as Write does bytes.
func (r *Request) SendFile(fd int, off, n int64) error {
	if !r.HeaderSent {
		if err := r.SendHeader(); err != nil {
			return err
		}
	}
	if n == 0 {
		return nil
	}
	return r.output(Buf{File: fd, Off: off, FileLen: n})
}

// Flush sends what is held back. All output parks under back-pressure, so when
// Flush has returned, whether asked to wait or not, the kernel has it all.
func (r *Request) Flush(bool) error { return r.output(Buf{Flush: true}) }

// Finish ends the response; it sends the header if need be.
func (r *Request) Finish() error {
	if !r.HeaderSent {
		if err := r.SendHeader(); err != nil {
			return err
		}
	}
	if r.out.last {
		return nil
	}
	return r.output(Buf{Last: true})
}

// SendResponse answers with a status and a body in memory, as the return
// directive does. It returns what a handler returns.
func (r *Request) SendResponse(status int, contentType string, body []byte) int {
	if err := r.DiscardBody(); err != nil {
		return StatusOf(err)
	}
	r.HeadersOut.Status = status
	r.HeadersOut.ContentLengthN = int64(len(body))
	if contentType != "" {
		r.HeadersOut.ContentType = contentType
	} else {
		r.SetContentType()
	}
	if r.SendHeader() != nil {
		return Error
	}
	if r.HeaderOnly {
		return OK
	}
	if r.output(Buf{Data: body, Last: true}) != nil {
		return Error
	}
	return OK
}

// output hands a piece of the body to the filters. When one of them fails the connection is of no more use, as in nginx:
// the client would take what it has got for the whole.
func (r *Request) output(b Buf) error {
	err := r.MainConf.bodyFilter(r, b)
	if err != nil {
		r.Conn.errored = true
	}
	return err
}

// writeFilter is the last of the body filters: it frames chunks, gathers small
// pieces and sends large ones.
func writeFilter(r *Request, b Buf) error {
	if r.Conn.errored {
		return errClosed
	}
	o := r.outBuf()
	if o.last {
		return nil // nothing follows the end
	}
	if b.Last && len(r.filters.trailers) > 0 && r.Chunked && !r.HeaderOnly {
		return r.writeTrailers(b)
	}
	size := int64(len(b.Data)) + b.FileLen
	if r.HeaderOnly {
		b.Data, b.FileLen, size = nil, 0, 0
	}
	chunked := r.Chunked && !r.HeaderOnly
	tail := ""
	if chunked {
		if size > 0 {
			o.buf = AppendChunkSize(o.buf, int(size))
			tail = "\r\n"
		}
		if b.Last && size > 0 {
			tail = "\r\n" + lastChunk
		} else if b.Last {
			tail = lastChunk
		}
	}
	o.last = b.Last
	var err error
	switch {
	case b.FileLen > 0:
		err = r.writeFile(b)
	case len(o.buf)+len(b.Data)+len(tail) <= cap(o.buf):
		o.buf = append(o.buf, b.Data...)
	default:
		return r.writeLarge(b.Data, tail)
	}
	if err != nil {
		return err
	}
	o.buf = append(o.buf, tail...)
	if b.Last || b.Flush || b.Recycled || int64(len(o.buf)) >= r.Loc.PostponeOutput.V {
		return r.flushOut()
	}
	return nil
}

// writeTrailers ends a chunked body with headers behind it.
func (r *Request) writeTrailers(b Buf) error {
	b.Last = false
	if len(b.Data) > 0 || b.FileLen > 0 {
		if err := writeFilter(r, b); err != nil {
			return err
		}
	}
	o := &r.out
	o.last = true
	o.buf = append(o.buf, "0\r\n"...)
	for _, t := range r.filters.trailers {
		o.buf = appendField(o.buf, t.Name, t.Value)
	}
	o.buf = append(o.buf, "\r\n"...)
	return r.flushOut()
}

// writeLarge sends what is held back, and data that does not fit in with it,
// in one system call.
func (r *Request) writeLarge(data []byte, tail string) error {
	o := &r.out
	o.vec = [3][]byte{o.buf, data, tails[tail]}
	err := r.Conn.writeVec(r, o.vec[:])
	o.vec = [3][]byte{}
	o.buf = o.buf[:0]
	return err
}

// tails are what may follow the data of a chunk.
var tails = map[string][]byte{
	"\r\n":             []byte("\r\n"),
	lastChunk:          []byte(lastChunk),
	"\r\n" + lastChunk: []byte("\r\n" + lastChunk),
}

// flushOut sends what is held back.
func (r *Request) flushOut() error {
	o := &r.out
	if len(o.buf) == 0 {
		return nil
	}
	err := r.Conn.writeAll(r, o.buf)
	o.buf = o.buf[:0]
	return err
}

// writeAll sends all of p, parking while the socket is full.
func (c *Conn) writeAll(r *Request, p []byte) error {
	if c.errored {
		return errClosed
	}
	for {
		now := len(p)
		if r.Main.limited() {
			room, err := c.throttle(r.Main)
			if err != nil {
				return err
			}
			now = int(min(int64(now), room))
		}
		n, err := c.FD.Write(p[:now])
		c.sent(r, n)
		if n == len(p) {
			return nil
		}
		p = p[max(n, 0):]
		if n == now {
			continue
		}
		if err = c.canWrite(r, err); err != nil {
			return err
		}
	}
}

// writeVec sends all of the buffers, which it changes.
func (c *Conn) writeVec(r *Request, bufs [][]byte) error {
	if c.errored {
		return errClosed
	}
	if r.Main.limited() {
		for _, b := range bufs {
			if len(b) == 0 {
				continue
			}
			if err := c.writeAll(r, b); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		n, err := c.FD.Writev(bufs)
		c.sent(r, n)
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if len(bufs) == 0 {
			return nil
		}
		bufs[0] = bufs[0][n:]
		if err = c.canWrite(r, err); err != nil {
			return err
		}
	}
}

func (c *Conn) sent(r *Request, n int) {
	c.BytesOut += int64(n)
	r.Main.BytesOut += int64(n)
	if r.Main.limited() {
		r.Main.filters.limit.sent(r.Main, int64(n))
	}
}

// canWrite waits for room in the socket after a write that was not complete,
// err being what the write said.
func (c *Conn) canWrite(r *Request, err error) error {
	if err != nil && !errors.Is(err, loop.ErrAgain) {
		return c.sendFailed(r, err)
	}
	return c.waitWrite(r)
}

// writeFile sends what is held back and then a part of a file.
func (r *Request) writeFile(b Buf) error {
	c := r.Conn
	o := &r.out
	if room := int64(cap(o.buf) - len(o.buf) - len("\r\n"+lastChunk)); b.FileLen <= room {
		// A small file leaves together with the header.
		n, errno := readFile(b.File, o.buf[len(o.buf):len(o.buf)+int(b.FileLen)], b.Off)
		if errno == 0 && int64(n) == b.FileLen {
			o.buf = o.buf[:len(o.buf)+n]
			return nil
		}
	}
	if r.Loc.TCPNopush.V && !c.corked {
		c.cork(true)
	}
	if err := r.flushOut(); err != nil {
		return err
	}
	if o.detached && b.Last && !r.Chunked && !r.limited() {
		o.rest = b
		return nil
	}
	return c.sendfile(r, b)
}

package http

import (
	"errors"
	"io"
	"time"

	"perilune/logging"
	"perilune/worker/loop"
)

// What modules need that read the body of a request themselves, piece by piece, or speak
// a protocol of their own with the client.

// Errors of OpenBody and TakeOver.
var (
	ErrBodyExists    = errors.New("request body already exists")
	ErrBodyDiscarded = errors.New("request body discarded")
	ErrNoBody        = errors.New("no body")
	ErrExpect        = errors.New("test expect failed")
	ErrBodyPending   = errors.New("pending request body reading in some other thread")
)

// OpenBody gives the reading of the body to the caller: ReadBody finds none afterwards.
// The body must not be chunked.
func (r *Request) OpenBody() error {
	b := &r.body
	switch {
	case b.read:
		return ErrBodyExists
	case r.engine.discarding:
		return ErrBodyDiscarded
	case r.HeadersIn.ContentLengthN <= 0:
		return ErrNoBody
	}
	if r.continueExpected() != nil {
		return ErrExpect
	}
	b.read, b.unread = true, true
	b.rest = r.HeadersIn.ContentLengthN
	return nil
}

// ReadOpenBody reads a piece of a body that was opened. The end is io.EOF; a client that
// goes away before that gives io.ErrUnexpectedEOF.
func (r *Request) ReadOpenBody(p []byte, timeout time.Duration) (int, error) {
	b := &r.body
	if b.rest == 0 {
		return 0, io.EOF
	}
	n, err := r.readClient(p[:min(int64(len(p)), b.rest)], timeout)
	b.rest -= int64(n)
	r.BytesIn += int64(n)
	if b.rest == 0 {
		b.unread = false
		r.engine.lingering = false
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TakeOver gives the connection to the caller, until the request ends. Nothing that is
// written to the response is sent any more.
func (r *Request) TakeOver() error {
	b := &r.body
	if b.unread && b.rest > 0 {
		return ErrBodyPending
	}
	if err := r.flushOut(); err != nil {
		return err
	}
	b.read = true
	r.HeaderSent, r.KeepAlive = true, false
	r.engine.lingering = true
	r.out.last = true
	return nil
}

// ReadClient reads from a connection that was taken over.
func (r *Request) ReadClient(p []byte, timeout time.Duration) (int, error) {
	return r.readClient(p, timeout)
}

// readClient reads what came with the header first.
func (r *Request) readClient(p []byte, timeout time.Duration) (int, error) {
	c := r.Conn
	if c.pos < c.last {
		n := copy(p, c.buf[c.pos:c.last])
		c.pos += n
		return n, nil
	}
	for {
		n, err := 0, loop.ErrAgain
		if c.FD.Readable {
			n, err = c.FD.Read(p)
		}
		switch {
		case errors.Is(err, loop.ErrAgain):
			if err := c.FD.WaitRead(timeout); err != nil {
				return 0, err
			}
		case err != nil:
			r.LogErr(logging.Info, err, "recv() failed")
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// WriteClient writes all of p to a connection that was taken over.
func (r *Request) WriteClient(p []byte, timeout time.Duration) (int, error) {
	c := r.Conn
	for done := 0; ; {
		n, err := c.FD.Write(p[done:])
		c.sent(r, n)
		done += n
		switch {
		case done == len(p):
			return done, nil
		case err == nil || errors.Is(err, loop.ErrAgain):
			if err := c.FD.WaitWrite(timeout); err != nil {
				c.errored = true
				return done, err
			}
		default:
			r.LogErr(logging.Info, err, "send() failed")
			c.errored = true
			return done, err
		}
	}
}

// SetNodelay has what is sent to the client leave at once.
func (c *Conn) SetNodelay() {
	if !c.nodelay {
		c.setNodelay()
	}
}

// errBodyLeft ends the reading of a body that nobody wants any more.
var errBodyLeft = errors.New("request body is not wanted any more")

// LeaveBody ends a ReadBody that waits, with an error; the connection can still be
// answered on, and is closed then.
func (r *Request) LeaveBody() { r.Conn.FD.CancelRead(errBodyLeft) }

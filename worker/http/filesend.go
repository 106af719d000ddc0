package http

import (
	"errors"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/worker/loop"
)

// fileSend sends the rest of a file, the end of a response, as the client takes it: from the loop's events, so that no
// goroutine waits for each piece.
type fileSend struct {
	r        *Request
	file     staticFile
	off, end int64
	timer    loop.Timer // of send_timeout
	over     bool
}

// sendLast sends the file that r.out.rest is a part of, and closes it. It returns what the handler returns.
func (r *Request) sendLast(f *staticFile) int {
	b := &r.out.rest
	s := &fileSend{r: r, file: *f, off: b.Off, end: b.Off + b.FileLen}
	f.release()
	done, err := s.send()
	if done || err != nil {
		s.file.close()
		return sent(err)
	}
	s.timer.Init(s.timeout)
	r.Conn.sending = s
	r.Retain()
	s.wait()
	return Done
}

// send sends what the socket takes, or as much as one turn of the loop should.
func (s *fileSend) send() (done bool, err error) {
	c := s.r.Conn
	most := s.off + s.r.sendfileChunk()
	for s.off < s.end {
		if s.off >= most {
			c.Server.loop.NextTurn(s.goOn)
			return false, nil
		}
		n, again, err := c.sendfileOnce(s.r, s.file.fd, &s.off, int(min(s.end, most)-s.off))
		if err != nil {
			return false, err
		}
		c.sent(s.r, n)
		if again {
			return false, nil
		}
	}
	return true, nil
}

// wait gives the client time, unless it is only the others' turn.
func (s *fileSend) wait() {
	if c := s.r.Conn; !c.FD.Writable {
		c.Server.loop.SetTimer(&s.timer, s.r.Loc.SendTimeout.V)
	}
}

// goOn sends more; for the loop.
func (s *fileSend) goOn() {
	if s.over {
		return
	}
	switch done, err := s.send(); {
	case err != nil:
		s.finish(err)
	case done:
		s.finish(nil)
	default:
		s.wait()
	}
}

func (s *fileSend) timeout() { s.finish(s.r.Conn.sendTimedOut(s.r)) }

// finish ends the response.
func (s *fileSend) finish(err error) {
	r := s.r
	s.over = true
	r.Conn.sending = nil
	r.Loop().DropTimer(&s.timer)
	s.file.close()
	r.Finalize(sent(err))
}

// sendfileChunk is how much of a file is sent in one turn of the loop.
func (r *Request) sendfileChunk() int64 {
	if chunk := r.Loc.SendfileMaxChunk.V; chunk != 0 {
		return chunk
	}
	return maxSendfile
}

// maxSendfile is how much one sendfile(2) may be asked for.
const maxSendfile = 1 << 30

// sendfileOnce sends a piece of a file; again says that the socket has no room for more.
func (c *Conn) sendfileOnce(r *Request, fd int, off *int64, n int) (done int, again bool, err error) {
	for {
		done, errno := sendFile(c.FD.Sysfd, fd, off, n)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			c.FD.Writable = false
			return 0, true, nil
		case errno != 0:
			return 0, false, c.sendFailed(r, errno)
		case done == 0:
			r.Log(logging.Alert, "sendfile() reported that the file was truncated at %d", *off)
			c.errored = true
			return 0, false, errClosed
		}
		return done, false, nil
	}
}

// sendfile sends a part of a file and parks while the socket is full.
func (c *Conn) sendfile(r *Request, b Buf) error {
	chunk := r.sendfileChunk()
	off, end := b.Off, b.Off+b.FileLen
	for off < end {
		now := min(end-off, chunk)
		if r.Main.limited() {
			room, err := c.throttle(r.Main)
			if err != nil {
				return err
			}
			now = min(now, room)
		}
		n, again, err := c.sendfileOnce(r, b.File, &off, int(now))
		if err != nil {
			return err
		}
		c.sent(r, n)
		switch {
		case again:
			if err := c.waitWrite(r); err != nil {
				return err
			}
		case off < end && int64(n) == chunk:
			c.nextTurn() // a fast client must not keep others waiting
		}
	}
	return nil
}

// nextTurn lets the loop look at all other descriptors once.
func (c *Conn) nextTurn() {
	var w loop.Waiter
	l := c.Server.loop
	l.NextTurn(func() { l.Wake(&w, nil) })
	_ = l.Park(&w, 0)
}

// sendFailed is for an error of a write to the client.
func (c *Conn) sendFailed(r *Request, err error) error {
	c.errored = true
	lv := logging.Info
	if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.ETIMEDOUT) && !errors.Is(err, unix.ENOTCONN) {
		lv = logging.Alert
	}
	r.LogErr(lv, err, "writev() failed")
	return errClosed
}

// sendTimedOut is for a client that takes nothing for send_timeout.
func (c *Conn) sendTimedOut(r *Request) error {
	c.timedout, c.errored = true, true
	r.LogErr(logging.Info, unix.ETIMEDOUT, "client timed out")
	return errClosed
}

// waitWrite waits for room in the socket.
func (c *Conn) waitWrite(r *Request) error {
	if !r.clientStalls() {
		c.errored = true
		return errClosed
	}
	if r.Main.OnWait != nil {
		r.Main.OnWait(false)
	}
	c.writing = true
	err := c.FD.WaitWrite(r.Main.Loc.SendTimeout.V)
	c.writing = false
	switch {
	case err == nil:
		return nil
	case errors.Is(err, loop.ErrTimeout):
		return c.sendTimedOut(r)
	}
	c.errored = true
	return errClosed
}

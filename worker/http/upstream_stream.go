package http

import (
	"errors"

	"perilune/worker/loop"
)

// bodyStream is a client's body that is passed on while it comes.
type bodyStream struct {
	on     bool
	chunks bool   // its length is not known
	buf    []byte // what is read into
	out    []byte // of frame and buf: to be sent
	tail   string // behind out
	frame  []byte // memory for the size of a chunk
	ended  bool   // all has been read

	sending bool // sendRest is at work
	sent    loop.Waiter
}

// readStream reads the body, or begins to. 0 is fine.
func (u *upstreamRequest) readStream() int {
	r, pc := u.r, u.conf
	in := &r.HeadersIn
	if pc.requestBuf.V || pc.body.V != nil || !pc.passBody.V || in.Chunked && pc.version.V < 1001 {
		if err := r.ReadBody(); err != nil {
			return StatusOf(err)
		}
		return 0
	}
	more, err := r.beginStream()
	if err != nil {
		return StatusOf(err)
	}
	u.stream.on = more
	u.stream.chunks = more && in.Chunked
	return 0
}

// streamHead appends what has come of the body already to the head.
func (u *upstreamRequest) streamHead() {
	s := &u.stream
	if mem := u.r.body.mem; len(mem) > 0 {
		if s.chunks {
			u.head = AppendChunkSize(u.head, len(mem))
		}
		u.head = append(u.head, mem...)
		if s.chunks {
			u.head = append(u.head, "\r\n"...)
		}
	}
	u.clientBody = false
}

// errClientBody says that the client has to send more of its body first.
var errClientBody = errors.New("the body has not come yet")

// sendStream sends what the client has sent, as much as the socket takes. The error is a StatusError if the body is at fault.
func (u *upstreamRequest) sendStream() error {
	s := &u.stream
	for {
		for len(s.out)+len(s.tail) > 0 {
			vec := [2][]byte{s.out, []byte(s.tail)}
			n, err := u.conn.FD.Writev(vec[:])
			if n > 0 {
				u.wire += int64(n)
				k := min(n, len(s.out))
				s.out, s.tail = s.out[k:], s.tail[n-k:]
			}
			if err != nil {
				return err
			}
		}
		if s.ended {
			return nil
		}
		if s.buf == nil {
			s.buf = u.r.Server.buffers.get(int(u.r.Loc.ClientBodyBufferSize.V))
		}
		const room = 20 // for the size of a chunk
		data, done, err := u.r.readPart(s.buf[room:])
		if err == loop.ErrAgain {
			return errClientBody
		}
		if err != nil {
			return err
		}
		s.ended = done
		s.out = data
		if s.chunks {
			if s.tail = ""; len(data) > 0 {
				s.frame = AppendChunkSize(s.frame[:0], len(data))
				begin := room - len(s.frame)
				copy(s.buf[begin:], s.frame)
				s.out, s.tail = s.buf[begin:room+len(data)], "\r\n"
			}
			if done {
				s.tail += lastChunk
			}
		}
	}
}

// awaitClient waits for more of the body, or of the answer.
func (u *upstreamRequest) awaitClient() error {
	c := u.r.Conn
	u.conn.OnIdle(func() { c.FD.CancelRead(errReadable) })
	err := c.FD.WaitRead(u.r.Loc.ClientBodyTimeout.V)
	u.conn.OnIdle(nil)
	if errors.Is(err, loop.ErrTimeout) {
		c.timedout = true
		return StatusError(408)
	}
	return err
}

// sendRest goes on with the body while the answer is already being passed on.
func (u *upstreamRequest) sendRest() {
	conn, s := u.conn, &u.stream
	s.sending = true
	u.r.Loop().Go(func() {
		for u.conn == conn && !u.complete && u.sendPiece() {
		}
		s.sending = false
		u.r.Loop().Wake(&s.sent, nil)
	})
}

// sendPiece sends what there is, and waits for more. If it cannot be sent the answer may be good all the same; if it is the
// client's fault that is the end.
func (u *upstreamRequest) sendPiece() bool {
	c, conn := u.r.Conn, u.conn
	rc := 0
	starved, fail := u.sendMore(&rc)
	var err error
	switch {
	case fail == failFinal:
		err = StatusError(rc)
	case fail != 0:
		return false
	case u.complete:
		return true
	case !starved:
		return conn.FD.WaitWrite(u.timeouts.send) == nil
	default:
		err = c.FD.WaitRead(u.r.Loc.ClientBodyTimeout.V)
		c.timedout = c.timedout || errors.Is(err, loop.ErrTimeout)
	}
	if err != nil && u.conn == conn {
		u.broken(errUpstream)
		u.r.Loop().Wake(&u.pipe.waiter, errAborted)
	}
	return err == nil
}

// stopSending ends what sendRest does.
func (u *upstreamRequest) stopSending() {
	for u.stream.sending {
		u.r.Conn.FD.CancelRead(errAborted)
		_ = u.r.Loop().Park(&u.stream.sent, 0)
	}
}

func (s *bodyStream) release(srv *Server) {
	if s.buf != nil {
		srv.buffers.put(s.buf)
	}
	*s = bodyStream{frame: s.frame}
}

package http

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/worker/loop"
)

// relay is what is in memory of a body on its way to the client: while one buffer is written the other is filled.
type relay struct {
	fill   []byte // nil until there is something to read
	filled int
	spare  []byte
	err    error // of reading; io.EOF
	total  int64 // of the body, as it was read

	decoder ChunkedDecoder
	rest    int64 // bytes to come; -1: until the end of the connection
}

func (b *relay) release(s *Server) {
	for _, buf := range [][]byte{b.fill, b.spare} {
		if buf != nil {
			s.buffers.put(buf)
		}
	}
	*b = relay{}
}

// passBody passes the body on to the client.
func (u *upstreamRequest) passBody() int {
	r := u.r
	b := &u.relay
	data := u.buf[u.pos:u.last]
	b.rest = u.length
	b.total = int64(len(data))
	if u.bodyless() && !u.version9 {
		b.rest = 0
	}
	u.action("reading upstream")
	if u.buffering {
		u.conn.OnIdle(u.readAhead)
	} else if !r.Conn.nodelay && r.Loc.TCPNodelay.V {
		r.Conn.setNodelay()
	}
	for {
		last, err := u.passData(data)
		if err != nil || last {
			return u.bodyPassed(err)
		}
		if data, err = u.moreData(); err != nil {
			return u.bodyPassed(err)
		}
	}
}

var errUpstream = errors.New("the response is not complete") // it has been logged

// bodyPassed ends the response.
func (u *upstreamRequest) bodyPassed(err error) int {
	r := u.r
	if u.state().length == 0 {
		u.state().length = u.relay.total
	}
	rc := OK
	switch {
	case u.aborted:
		rc = StatusClientClosedRequest
	case err == errUpstream:
		r.KeepAlive = false
		_ = r.Flush(false)
		rc = Error
	case err != nil && err != io.EOF:
		rc = Error
	}
	return u.finalize(rc)
}

// passData passes on what has been read. It reports whether that was the last of it.
func (u *upstreamRequest) passData(data []byte) (last bool, err error) {
	b := &u.relay
	if u.chunked && !u.bodyless() {
		return u.passChunks(data)
	}
	keep := true
	switch {
	case b.rest < 0:
		if len(data) > 0 {
			err = u.write(data, false)
		}
		return false, err
	case int64(len(data)) > b.rest:
		u.r.Log(logging.Warn, "upstream sent more data than specified in \"Content-Length\" header")
		data = data[:b.rest]
		keep = false
	}
	b.rest -= int64(len(data))
	if b.rest > 0 {
		return false, u.write(data, false)
	}
	u.bodyOver(keep)
	return true, u.write(data, true)
}

// errChunks is the error of a chunked body that is none.
var errChunks = errors.New("invalid chunked response")

// passChunks is passData for a chunked body: what has been read goes on in one piece, the framing taken out in place.
func (u *upstreamRequest) passChunks(data []byte) (last bool, err error) {
	d := &u.relay.decoder
	whole := data[:0]
	for len(data) > 0 && !d.Done() {
		part, n, err := d.Next(data)
		if err != nil {
			u.r.Log(logging.Error, "upstream sent invalid chunked response")
			return false, errChunks
		}
		data = data[n:]
		if len(whole) == 0 {
			whole = part
		} else {
			whole = append(whole, part...)
		}
	}
	if !d.Done() {
		return false, u.write(whole, false)
	}
	if len(data) > 0 {
		u.r.Log(logging.Warn, "upstream sent data after final chunk")
	}
	u.bodyOver(len(data) == 0)
	return true, u.write(whole, true)
}

// bodyOver gives the connection back: the body is complete.
func (u *upstreamRequest) bodyOver(keep bool) {
	u.state().length = u.relay.total
	u.release(keep && u.relay.filled == 0 && u.relay.err == nil)
}

// write passes a piece of the body through the filters.
func (u *upstreamRequest) write(data []byte, last bool) error {
	if len(data) == 0 && !last && u.buffering {
		return nil
	}
	return u.r.output(Buf{Data: data, Last: last, Flush: !u.buffering})
}

// relaySize is how much is read at a time.
func (u *upstreamRequest) relaySize() int {
	if !u.buffering {
		return int(u.conf.bufferSize.V)
	}
	bufs := u.conf.buffers.V
	return int(int64(bufs.Num) * bufs.Size / 2)
}

// readAhead reads what there is, as far as there is room.
func (u *upstreamRequest) readAhead() {
	b := &u.relay
	if u.conn == nil {
		return
	}
	if b.fill == nil {
		b.fill = u.r.Server.buffers.get(u.relaySize())
	}
	for b.err == nil && b.filled < len(b.fill) && u.conn.FD.Readable {
		n, err := u.conn.FD.Read(b.fill[b.filled:])
		switch {
		case err == loop.ErrAgain:
			return
		case err != nil:
			b.err = err
		case n == 0:
			b.err = io.EOF
		}
		b.filled += n
		b.total += int64(n)
		u.state().received += int64(n)
	}
}

// moreData waits until there is something to pass on.
func (u *upstreamRequest) moreData() ([]byte, error) {
	r := u.r
	b := &u.relay
	for b.filled == 0 {
		u.readAhead()
		if b.filled > 0 {
			break
		}
		if b.err != nil {
			return nil, u.bodyEnd()
		}
		switch err := u.conn.FD.WaitRead(u.conf.readTimeout.V); {
		case u.aborted:
			return nil, errAborted
		case errors.Is(err, loop.ErrTimeout):
			r.LogErr(logging.Error, unix.ETIMEDOUT, "upstream timed out")
			return nil, errUpstream
		case err != nil:
			return nil, errUpstream
		}
	}
	data := b.fill[:b.filled]
	b.fill, b.spare, b.filled = b.spare, b.fill, 0
	return data, nil
}

// bodyEnd acts on the end of the connection: an error, or the regular end of a body of no known length, which is io.EOF.
func (u *upstreamRequest) bodyEnd() error {
	b := &u.relay
	switch {
	case b.err != io.EOF:
		u.r.LogErr(connectionLevel(b.err), b.err, "readv() failed")
		return errUpstream
	case u.chunked || b.rest >= 0:
		u.r.Log(logging.Error, "upstream prematurely closed connection")
		return errUpstream
	}
	u.bodyOver(false)
	if err := u.write(nil, true); err != nil {
		return err
	}
	return io.EOF
}

// tunnel passes bytes on in both directions, after 101 Switching Protocols.
func (u *upstreamRequest) tunnel() int {
	r := u.r
	c := r.Conn
	r.KeepAlive = false
	u.unwatch() // both ends are read
	if err := r.SendHeader(); err != nil {
		return u.finalize(StatusOf(err))
	}
	if err := r.flushOut(); err != nil {
		return u.finalize(Error)
	}
	u.action("proxying upgraded connection")
	if !c.nodelay && r.Loc.TCPNodelay.V {
		c.setNodelay()
	}
	rc := OK
	var ended loop.Waiter
	running := true
	conn := u.conn
	r.Loop().Go(func() {
		u.fromClient(&rc)
		running = false
		conn.FD.Cancel(errAborted)
		r.Loop().Wake(&ended, nil)
	})
	u.toClient(&rc, &running)
	for running {
		c.FD.Cancel(errAborted)
		conn.FD.Cancel(errAborted)
		_ = r.Loop().Park(&ended, 0)
	}
	r.out.last = true
	return u.finalize(rc)
}

// toClient is the tunnel's direction from the upstream.
func (u *upstreamRequest) toClient(rc *int, running *bool) {
	r := u.r
	data := u.buf[u.pos:u.last]
	for {
		if len(data) > 0 {
			if r.Conn.writeAll(r, data) != nil {
				*rc = Error
				return
			}
			u.state().length += int64(len(data))
		}
		if !*running {
			return
		}
		n, err := u.conn.Read(u.buf, u.conf.readTimeout.V)
		if !*running {
			return
		}
		switch {
		case err == nil:
		case errors.Is(err, loop.ErrTimeout):
			r.LogErr(logging.Error, unix.ETIMEDOUT, "upstream timed out")
			*rc = 504
			return
		default:
			return
		}
		u.state().received += int64(n)
		data = u.buf[:n]
	}
}

// fromClient is the tunnel's direction to the upstream.
func (u *upstreamRequest) fromClient(rc *int) {
	r := u.r
	c := r.Conn
	buf := r.Server.buffers.get(int(u.conf.bufferSize.V))
	defer r.Server.buffers.put(buf)
	data := c.buf[c.pos:c.last]
	c.pos = c.last
	for {
		if len(data) > 0 {
			n, err := u.conn.Write(data, u.conf.sendTimeout.V)
			u.state().sent += int64(n)
			if err != nil {
				if errors.Is(err, loop.ErrTimeout) {
					r.LogErr(logging.Error, unix.ETIMEDOUT, "upstream timed out")
					*rc = 504
				}
				return
			}
		}
		n, err := 0, loop.ErrAgain
		for err == loop.ErrAgain {
			if err = c.FD.WaitRead(0); err == nil {
				n, err = c.FD.Read(buf)
			}
		}
		if err != nil || n == 0 {
			return
		}
		data = buf[:n]
	}
}

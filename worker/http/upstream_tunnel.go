package http

import (
	"errors"
	"perilune/logging"
	"perilune/worker/loop"

	"golang.org/x/sys/unix"
)

// tunnel passes bytes on in both directions, after 101 Switching Protocols.
func (u *upstreamRequest) tunnel() int {
	r := u.r
	c := r.Conn
	r.KeepAlive = false
	u.watched = false // both ends are read
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
		n, err := u.conn.Read(u.buf, u.timeouts.read)
		if !*running {
			return
		}
		switch {
		case err == nil:
		case errors.Is(err, loop.ErrTimeout):
			r.LogErr(logging.Error, unix.ETIMEDOUT, "upstream timed out")
			*rc = Error // the header has been sent
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
			n, err := u.conn.Write(data, u.timeouts.send)
			u.wire += int64(n)
			if err != nil {
				if errors.Is(err, loop.ErrTimeout) {
					r.LogErr(logging.Error, unix.ETIMEDOUT, "upstream timed out")
					*rc = Error // the header has been sent
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

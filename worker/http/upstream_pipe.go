package http

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/worker/loop"
)

// Errors of a body; they have been logged.
var (
	errUpstream = errors.New("the response is not complete")
	errSpoilt   = errors.New("the response cannot be passed on") // nor what is left of it
)

// pipe is a response's body between the upstream and the client. One buffer is filled while the other is written; what is
// read while the client is slow and both are full goes through a temporary file.
//
// What has been read is raw until one of the buffers of proxy_buffers would be full, or the response could be complete, or has
// ended: then it is ready to be written, without the chunked coding. So nginx decides what a client gets before an upstream
// that stops.
type pipe struct {
	fill     []byte // the buffer that is filled, nil if there is none
	from, to int    // of fill: ready
	raw, end int    // of fill: not ready yet; to <= raw
	busy     []byte // the buffer that is written
	out      []byte // of busy: to be written
	spare    []byte

	file         int // descriptor + 1 of the temporary file
	path         string
	sent, stored int64 // of the file

	block   int   // size of one of proxy_buffers
	half    int   // size of a buffer
	first   bool  // nothing has been ready so far
	eager   bool  // without buffering all is ready at once
	chunked bool  // and not bodyless
	rest    int64 // bytes to come; -1: until the end of the connection
	done    bool  // the response is complete
	err     error // it will never be; that has been logged
	total   int64 // read, with the coding

	rate    int64 // of proxy_limit_rate
	began   int64 // second
	resume  int64 // msec: nothing is read before, for the rate's sake
	waiting bool  // the request waits for resume
	waiter  loop.Waiter
	timer   loop.Timer

	decoder  ChunkedDecoder
	trailers []byte
}

// begin starts with what has come behind the header, in a buffer that is the pipe's from now on.
func (b *pipe) begin(u *upstreamRequest) {
	bufs := u.conf.buffers.V
	b.block = int(bufs.Size)
	b.half = max(1, bufs.Num/2) * b.block
	b.fill, b.from, b.to, b.raw, b.end = u.buf, u.pos, u.pos, u.pos, u.pos
	u.buf = nil
	b.first, b.eager = true, !u.buffering
	b.rest = u.length
	if u.bodyless() && !u.version9 {
		b.rest = 0
	}
	b.chunked = u.chunked && !u.bodyless()
	if b.eager {
		b.half = len(b.fill)
	} else {
		b.rate = u.conf.limitRate.V.of(u.r)
	}
	b.decoder.HoldTrailers = u.conf.passTrailers.V
	l := u.r.Loop()
	b.began = l.Now().Unix()
}

// release gives all memory back, and the file.
func (b *pipe) release(u *upstreamRequest) {
	s := u.r.Server
	for _, buf := range [...][]byte{b.fill, b.busy, b.spare} {
		if buf != nil {
			s.buffers.put(buf)
		}
	}
	if b.file != 0 {
		_ = unix.Close(b.file - 1)
	}
	s.loop.DropTimer(&b.timer)
	*b = pipe{waiter: b.waiter, timer: b.timer, trailers: b.trailers[:0]}
}

// over reports whether nothing more is to be read.
func (b *pipe) over() bool { return b.done || b.err != nil }

// empty reports whether all that was ready has been taken.
func (b *pipe) empty() bool {
	return len(b.out) == 0 && b.sent == b.stored && b.from == b.to
}

// room is where the next bytes go; nil if there is no place.
func (b *pipe) room(s *Server) []byte {
	if b.fill == nil {
		b.fill, b.spare = b.spare, nil
		if b.fill != nil && len(b.fill) < b.half {
			s.buffers.put(b.fill)
			b.fill = nil
		}
		if b.fill == nil {
			b.fill = s.buffers.get(b.half)
		}
		b.from, b.to, b.raw, b.end = 0, 0, 0, 0
	}
	if b.from == b.to && b.from > 0 && !b.first {
		b.end = copy(b.fill, b.fill[b.raw:b.end])
		b.from, b.to, b.raw = 0, 0, 0
	}
	return b.fill[b.end:]
}

// take makes the next piece for the client; ok tells that there is one. most is how much of it may be in memory. The piece is
// valid until the next call.
func (b *pipe) take(s *Server, most int) (piece Buf, ok bool) {
	if len(b.out) == 0 && b.busy != nil {
		if b.spare != nil {
			s.buffers.put(b.spare)
		}
		b.spare, b.busy = b.busy, nil
	}
	switch {
	case len(b.out) > 0:
	case b.sent < b.stored:
		piece = Buf{File: b.file - 1, Off: b.sent, FileLen: b.stored - b.sent}
		b.sent = b.stored
		return piece, true
	case b.fill == nil || b.from == b.to:
		return piece, false
	default:
		b.busy, b.out = b.fill, b.fill[b.from:b.to]
		rest := b.fill[b.raw:b.end]
		b.fill = nil
		if len(rest) > 0 {
			b.end = copy(b.room(s), rest)
		}
	}
	n := min(len(b.out), most)
	piece.Data = b.out[:n]
	b.out = b.out[n:]
	return piece, true
}

// pullMost is how much is read at once while the client is slow: others want to be served, too.
const pullMost = 1 << 20

// pull reads what there is, as far as there is room. While the client is slow what is ready makes room by going to the file.
func (u *upstreamRequest) pull(slow bool) {
	before := u.r.Conn.action // which may be with the client
	u.action("reading upstream")
	u.fill(slow)
	u.action(before)
}

func (u *upstreamRequest) fill(slow bool) {
	b := &u.pipe
	l := u.r.Loop()
	for begun := b.total; !b.over() && u.conn.FD.Readable; {
		if b.total-begun >= pullMost {
			l.Defer(u.memo.resume)
			return
		}
		room := b.room(u.r.Server)
		if len(room) == 0 {
			if slow && u.spill() {
				continue
			}
			return
		}
		if b.rate > 0 {
			if room = b.allowed(l, room); len(room) == 0 {
				if slow {
					l.SetTimer(&b.timer, time.Duration(b.resume-l.NowMsec())*time.Millisecond)
				}
				return
			}
		}
		n, err := u.conn.FD.Read(room)
		if err == loop.ErrAgain {
			return
		}
		b.total += int64(n)
		b.end += n
		u.state().received += int64(n)
		if b.rate > 0 {
			b.resume = l.NowMsec() + int64(n)*1000/b.rate
		}
		u.ripen(n == 0)
		switch {
		case b.over():
		case err != nil:
			u.r.LogErr(connectionLevel(err), err, "readv() failed")
			u.broken(errUpstream)
		case n == 0 && (b.chunked || b.rest >= 0):
			u.r.Log(logging.Error, "upstream prematurely closed connection")
			u.broken(errUpstream)
		case n == 0:
			u.whole(false)
		}
	}
}

// allowed cuts room to what proxy_limit_rate lets be read now.
func (b *pipe) allowed(l *loop.Loop, room []byte) []byte {
	now := l.NowMsec()
	if now < b.resume {
		return nil
	}
	limit := b.rate*(l.Now().Unix()-b.began+1) - b.total
	if limit <= 0 {
		b.resume = now - limit*1000/b.rate + 1
		return nil
	}
	return room[:min(int64(len(room)), limit)]
}

// ripen makes raw bytes ready if they are enough, or the last ones.
func (u *upstreamRequest) ripen(last bool) {
	b := &u.pipe
	n := b.end - b.raw
	switch {
	case b.eager, last:
		u.ready(n)
		return
	case !b.first:
		u.ready(n - n%b.block)
	case b.end == len(b.fill):
		u.ready(n)
	}
	if need := b.need(); !b.over() && need >= 0 && int64(b.end-b.raw) >= need {
		u.ready(b.end - b.raw)
	}
}

// need is the least that must come before the response is complete; -1 if nobody knows.
func (b *pipe) need() int64 {
	if b.chunked {
		return b.decoder.Left()
	}
	return b.rest
}

// ready makes n raw bytes ready: it takes the chunked coding off and finds the end of the response.
func (u *upstreamRequest) ready(n int) {
	b := &u.pipe
	b.first = false
	data := b.fill[b.raw : b.raw+n]
	b.raw += n
	switch {
	case u.protocol != nil:
		u.protocol.body(u, data)
		return
	case b.chunked:
		u.unchunk(data)
		return
	}
	keep := true
	if b.rest >= 0 && int64(len(data)) > b.rest {
		u.r.Log(logging.Warn, "upstream sent more data than specified in \"Content-Length\" header")
		data = data[:b.rest]
		keep = false
	}
	b.append(data)
	if b.rest >= 0 {
		b.rest -= int64(len(data))
		if b.rest == 0 {
			u.whole(keep)
		}
	}
}

// append puts a part of the buffer behind what is ready.
func (b *pipe) append(data []byte) { b.to += copy(b.fill[b.to:], data) }

func (u *upstreamRequest) unchunk(data []byte) {
	b := &u.pipe
	d := &b.decoder
	for len(data) > 0 && !d.Done() {
		if d.AtTrailers() {
			n, ok := u.readTrailers(data)
			if !ok {
				u.broken(errSpoilt)
				return
			}
			data = data[n:]
			continue
		}
		part, n, err := d.Next(data)
		if err != nil {
			u.r.Log(logging.Error, "upstream sent invalid chunked response")
			u.broken(errSpoilt)
			return
		}
		b.append(part)
		data = data[n:]
	}
	if !d.Done() {
		return
	}
	if len(data) > 0 {
		u.r.Log(logging.Warn, "upstream sent data after final chunk")
	}
	u.whole(len(data) == 0)
}

// whole ends the upstream's part: the response is complete.
func (u *upstreamRequest) whole(keep bool) {
	b := &u.pipe
	b.done = true
	u.state().length = b.total
	u.release(keep && b.raw == b.end)
}

// broken ends it before that.
func (u *upstreamRequest) broken(err error) {
	u.pipe.err = err
	u.state().length = u.pipe.total
	u.release(false)
	if err == errSpoilt {
		u.r.Conn.FD.CancelWrite(err)
	}
}

// spill writes what is ready to the temporary file, and reports whether that has made room.
func (u *upstreamRequest) spill() bool {
	b := &u.pipe
	most := u.conf.maxTempSize.V
	from := b.from
	for b.from < b.to && b.stored < most {
		if b.file == 0 {
			fd, path, err := u.r.Server.tempFile(&u.conf.tempPath.V)
			if err != nil {
				u.r.Log(logging.Crit, "%v", err)
				u.broken(errSpoilt)
				return false
			}
			b.file, b.path = fd+1, path
			_ = unix.Unlink(path)
			u.r.Log(logging.Warn, "an upstream response is buffered to a temporary file %s", path)
		}
		part := b.fill[b.from:min(b.to, b.from+int(u.conf.tempWriteSize.V))]
		n, err := unix.Pwrite(b.file-1, part, b.stored)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			u.r.LogErr(logging.Crit, err, "pwrite() \""+b.path+"\" failed")
			u.broken(errSpoilt)
			return false
		case n < len(part):
			u.r.Log(logging.Crit, "pwrite() \"%s\" has written only %d of %d", b.path, n, len(part))
			u.broken(errSpoilt)
			return false
		}
		b.stored += int64(n)
		b.from += n
	}
	if b.from == from {
		return false
	}
	if b.from < b.to {
		n := copy(b.fill, b.fill[b.from:b.to])
		b.end = n + copy(b.fill[n:], b.fill[b.raw:b.end])
		b.from, b.to, b.raw = 0, n, n
	}
	return true
}

// readable is called when something can be read and the request does not wait for it: it is busy with the client, or waits
// until the rate allows more.
func (u *upstreamRequest) readable() {
	if u.conn != nil && !u.pipe.waiting {
		u.pull(!u.r.Conn.FD.Writable || u.r.Main.limited())
	}
}

// resume goes on when proxy_limit_rate, or the other requests, have had their time.
func (u *upstreamRequest) resumePull() {
	if u.conn == nil || u.pipe.over() {
		return
	}
	if !u.r.Loop().Wake(&u.pipe.waiter, nil) {
		u.readable()
	}
}

// clientStalls has the upstreams of a request read on while its client takes nothing. It reports whether there is still
// something to wait for: not if a response cannot be passed on.
func (r *Request) clientStalls() bool {
	fine := true
	for _, u := range r.Main.upstreams {
		if u.piping && u.conn != nil {
			u.pull(true)
			fine = fine && u.pipe.err != errSpoilt
		}
	}
	return fine
}

// passBody passes the body on to the client.
func (u *upstreamRequest) passBody() int {
	r := u.r
	b := &u.pipe
	n := u.last - u.pos
	b.begin(u)
	b.total = int64(n)
	b.end += n
	most := int(u.conf.busySize.V)
	if u.conf.busySize.IsSet {
		most = max(most, 1)
	} else {
		most = b.half
	}
	if u.buffering {
		u.action("reading upstream")
		u.list()
		u.piping = true
		u.conn.OnIdle(u.memo.readable)
	} else {
		r.SetLimitRate(0)
		if !r.Conn.nodelay && r.Loc.TCPNodelay.V {
			r.Conn.setNodelay()
		}
	}
	u.ripen(false)
	u.action("reading upstream")
	if u.stream.on && !u.complete && !b.over() {
		u.sendRest()
	}
	if b.eager && n == 0 && !b.done {
		if err := u.passOn(Buf{Flush: true}); err != nil {
			return u.bodyPassed(err)
		}
	}
	held := u.buffering && r.Parent != nil && r.sub.capture
	for {
		u.action("reading upstream")
		if !b.over() {
			u.pull(held)
		}
		if b.err == errSpoilt {
			return u.bodyPassed(b.err)
		}
		if held && !b.over() && len(b.room(r.Server)) > 0 {
			// As in nginx a subrequest whose response is captured gets it when the upstream is through with it.
			if err := u.awaitBody(); err != nil {
				return u.bodyPassed(err)
			}
			continue
		}
		piece, ok := b.take(r.Server, most)
		switch {
		case ok:
			piece.Flush, piece.Recycled = b.eager, true
			if piece.Last = b.done && b.empty(); piece.Last {
				u.sendTrailers()
			}
			if err := u.passOn(piece); err != nil || piece.Last {
				return u.bodyPassed(err)
			}
		case b.done:
			u.sendTrailers()
			return u.bodyPassed(u.passOn(Buf{Last: true}))
		case b.err != nil:
			return u.bodyPassed(b.err)
		default:
			if err := u.awaitBody(); err != nil {
				return u.bodyPassed(err)
			}
		}
	}
}

// passOn gives the client a piece of the body.
func (u *upstreamRequest) passOn(b Buf) error {
	u.action("sending to client")
	return u.r.output(b)
}

// awaitBody waits until there is something to read, and may be.
func (u *upstreamRequest) awaitBody() error {
	b := &u.pipe
	l := u.r.Loop()
	if u.conn.FD.Readable {
		b.waiting = true
		err := l.Park(&b.waiter, time.Duration(max(1, b.resume-l.NowMsec()))*time.Millisecond)
		b.waiting = false
		if u.aborted || err == loop.ErrStopped {
			return errAborted
		}
		return nil
	}
	err := u.conn.FD.WaitRead(u.timeouts.read) // the time that a slow client has taken does not count
	switch {
	case u.aborted:
		return errAborted
	case err == loop.ErrTimeout:
		u.r.LogErr(logging.Error, unix.ETIMEDOUT, "upstream timed out")
		return errUpstream
	case err != nil:
		return errUpstream
	}
	return nil
}

// bodyPassed ends the response.
func (u *upstreamRequest) bodyPassed(err error) int {
	r := u.r
	if u.state().length == 0 {
		u.state().length = u.pipe.total
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

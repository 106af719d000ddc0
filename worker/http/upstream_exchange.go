package http

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"perilune/logging"
	"perilune/worker/loop"
)

// errReadable ends a wait for room in the socket: there is something to read.
var errReadable = errors.New("readable")

// converse sends the request and reads the header of the answer, which may come before all is sent. 0 is fine; with failFinal
// rc is the status.
func (u *upstreamRequest) converse(rc *int) uint {
	c := u.conn
	awaiting := false // the client's body has not come yet
	if u.buf == nil {
		u.buf = u.r.Server.buffers.get(int(u.conf.bufferSize.V))
	}
	for {
		if !u.complete {
			u.action("sending request to upstream")
			var fail uint
			if awaiting, fail = u.sendMore(rc); fail != 0 {
				return fail
			}
		}
		if c.FD.Readable {
			u.action("reading response header from upstream")
			if fail, more := u.readHeader(); !more {
				return fail
			}
			if c.FD.Readable {
				continue
			}
		}
		var err error
		switch {
		case awaiting && !u.complete:
			if err = u.awaitClient(); err != nil && err != errReadable && !u.aborted {
				*rc = StatusOf(err)
				return failFinal
			}
		case u.complete:
			err = u.waitHeader()
			u.action("reading response header from upstream")
		case !c.FD.Writable:
			c.OnIdle(func() { c.FD.Cancel(errReadable) })
			err = c.FD.WaitWrite(u.timeouts.send)
			c.OnIdle(nil)
		}
		switch {
		case err == nil, err == errReadable:
		case errors.Is(err, loop.ErrTimeout):
			return failTimeout
		default:
			return failError
		}
	}
}

// waitHeader waits for more of the header, all of which must have come within proxy_read_timeout.
func (u *upstreamRequest) waitHeader() error {
	l := u.r.Loop()
	if u.deadline == 0 {
		u.deadline = l.NowMsec() + u.timeouts.read.Milliseconds()
	}
	left := u.deadline - l.NowMsec()
	if left <= 0 {
		return loop.ErrTimeout
	}
	return u.conn.FD.WaitRead(time.Duration(left) * time.Millisecond)
}

var errBodyFile = errors.New("the file of the body cannot be read")

// send sends what is left of the request, as much as the socket takes.
func (u *upstreamRequest) send() error {
	c := u.conn
	head := int64(len(u.head))
	total := head
	body := &u.r.bodyOwner().body
	if u.clientBody {
		total += body.size
	}
	for u.sent < total {
		var n int
		var err error
		switch {
		case u.sent < head && u.clientBody && body.file == 0 && body.size > 0:
			vec := [2][]byte{u.head[u.sent:], body.mem}
			n, err = c.FD.Writev(vec[:])
		case u.sent < head:
			n, err = c.FD.Write(u.head[u.sent:])
		case body.file == 0:
			n, err = c.FD.Write(body.mem[u.sent-head:])
		default:
			n, err = u.sendFile(body, u.sent-head)
		}
		if n > 0 {
			u.requested = true
			u.sent += int64(n)
			u.wire = u.sent
		}
		if err != nil {
			return err
		}
	}
	if u.stream.on {
		if err := u.sendStream(); err != nil {
			return err
		}
	}
	u.complete, u.requested = true, true
	return nil
}

// sendMore sends what can be sent; starved says that the client has to send more of its body first.
func (u *upstreamRequest) sendMore(rc *int) (starved bool, fail uint) {
	switch err := u.send(); {
	case err == nil, err == loop.ErrAgain:
		return false, 0
	case err == errClientBody:
		return true, 0
	case err == errBodyFile:
		return false, failError
	default:
		if status := StatusOf(err); status != Error {
			*rc = status
			return false, failFinal
		}
		u.r.LogErr(connectionLevel(err), err, "writev() failed")
		return false, failError
	}
}

// bodyFilePiece is how much of a body's file is read at a time.
const bodyFilePiece = 32768

// sendFile sends a piece of a body that is in a file.
func (u *upstreamRequest) sendFile(body *requestBody, off int64) (int, error) {
	buf := u.r.Server.buffers.get(bodyFilePiece)
	defer u.r.Server.buffers.put(buf)
	for {
		n, err := unix.Pread(body.file-1, buf[:min(int64(len(buf)), body.size-off)], off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			u.r.LogErr(logging.Crit, err, "pread() \""+body.path+"\" failed")
			return 0, errBodyFile
		case n == 0:
			u.r.Log(logging.Alert, "file \"%s\" has been cut short", body.path)
			return 0, errBodyFile
		}
		return u.conn.FD.Write(buf[:n])
	}
}

// readHeader reads what there is of the header. Without more the failure, or 0, is the result.
func (u *upstreamRequest) readHeader() (fail uint, more bool) {
	r := u.r
	n, err := u.conn.FD.Read(u.buf[u.last:])
	switch {
	case err == loop.ErrAgain:
		return 0, true
	case err != nil:
		r.LogErr(connectionLevel(err), err, "recv() failed")
		return failError, false
	case n == 0:
		r.Log(logging.Error, "upstream prematurely closed connection")
		return failError, false
	}
	u.last += n
	u.state().received += int64(n)
	if u.protocol != nil {
		return u.protocolHeader()
	}
	switch u.parser.parse(u.buf[:u.last]) {
	case responseMore:
		if u.last < len(u.buf) {
			return 0, true
		}
		r.Log(logging.Error, "upstream sent too big header")
		return failInvalidHeader, false
	case responseNone:
		r.Log(logging.Error, "upstream sent no valid HTTP/1.0 header")
		u.version9, u.closes = true, true
		u.state().status = 200
		u.state().headerTime = r.Loop().NowMsec() - u.tryTime
		return 0, false
	case responseInvalid:
		u.state().status = u.parser.status
		r.Log(logging.Error, "upstream sent invalid header: \"%s\\x%02x...\"", u.buf[u.parser.badBegin:u.parser.badByte], u.buf[u.parser.badByte])
		return failInvalidHeader, false
	}
	u.pos = u.parser.pos
	u.state().status = u.parser.status
	if !u.takeHeader() {
		return failInvalidHeader, false
	}
	u.state().headerTime = r.Loop().NowMsec() - u.tryTime
	return 0, false
}

// protocolHeader is readHeader's part for other protocols than HTTP.
func (u *upstreamRequest) protocolHeader() (fail uint, more bool) {
	switch u.protocol.header(u) {
	case responseMore:
		if u.last < len(u.buf) {
			return 0, true
		}
		u.r.Log(logging.Error, "upstream sent too big header")
		return failInvalidHeader, false
	case responseInvalid:
		return failInvalidHeader, false
	}
	u.state().status = u.status
	u.state().headerTime = u.r.Loop().NowMsec() - u.tryTime
	return 0, false
}

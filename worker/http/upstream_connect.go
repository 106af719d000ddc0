package http

import (
	"errors"
	"perilune/logging"
	"perilune/worker/loop"
	"perilune/worker/peer"
	"perilune/worker/upstream"

	"golang.org/x/sys/unix"
)

// connect gets a connection to the peer.
func (u *upstreamRequest) connect(rc *int) uint {
	r := u.r
	s := r.Server
	if keep := u.pool(); keep != nil {
		if u.conn = keep.Take(u.connKey); u.conn != nil {
			u.cached = true
			return 0
		}
	}
	u.cached = false
	*rc = 500
	if !s.Reserve() {
		u.state().unnamed = true
		return failFinal
	}
	dial := peer.Dial{Setup: u.memo.setUp}
	c, err := dial.Start(s.loop, u.peer.Addr)
	if err != nil {
		s.Release()
		switch err {
		case errSocket:
			u.state().unnamed = true
			return failFinal
		case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS:
			r.LogErr(logging.Alert, err, "socket() failed")
			return failFinal
		}
		lv := logging.Crit
		if plainConnectError(err) {
			lv = logging.Error
		}
		r.LogErr(lv, err, "connect() to "+u.name+" failed")
		return failError
	}
	u.conn = upstream.NewConn(c, u.connKey, s.loop.NowMsec(), s.Release)
	err = c.Connected(u.timeouts.connect)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, loop.ErrTimeout):
		return failTimeout
	case !u.aborted:
		r.LogErr(connectionLevel(err), err, "connect() failed")
	}
	return failError
}

// plainConnectError reports whether an error of connect(2) is one that networks have.
func plainConnectError(err error) bool {
	switch err {
	case unix.ECONNREFUSED, unix.EAGAIN, unix.ECONNRESET, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH:
		return true
	}
	return false
}

// connectionLevel is the level that an error of a connection is logged at.
func connectionLevel(err error) logging.Level {
	switch err {
	case unix.EPIPE, unix.ENOTCONN, unix.ETIMEDOUT, unix.EAGAIN:
		return logging.Error
	}
	if plainConnectError(err) {
		return logging.Error
	}
	return logging.Alert
}

// closeConn closes the connection.
func (u *upstreamRequest) closeConn() {
	if u.conn != nil {
		u.conn.Close()
		u.conn = nil
	}
}

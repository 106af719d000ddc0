package luart

import (
	"strconv"

	"perilune/logging"
	"perilune/luart/ffi"
	"perilune/luart/vm"
)

// Handshake is how a client begins TLS.
type Handshake struct {
	Settings any        // those of the location, as Settings.TLS has them
	Name     string     // of the server, "" to tell none
	Verify   bool       // check the server's certificate, for the name if there is one
	Session  TLSSession // of an earlier connection, or nil
	Identity *Identity  // of the client, nil for the configured one
}

// Identity is a certificate of a client with its key, as Lua code has set it.
type Identity struct{ Cert, Key any }

// SecureStream is a stream of TLS.
type SecureStream interface {
	Stream
	Session() TLSSession
}

// TLSSession is what a later handshake with the same server may use.
type TLSSession interface {
	// Resumable reports whether the server has offered that.
	Resumable() bool
}

// TLSError is a failure of TLS.
type TLSError struct {
	Code  int    // OpenSSL's number of what is wrong with a certificate, or 0
	Text  string // for Lua code
	Log   string // for the error log, "" for nothing
	Errno error  // the error of a system call in the log, or nil
	Level Level
	Quiet bool // lua_socket_log_errors off keeps it out of the log
}

func (e *TLSError) Error() string {
	if e.Code != 0 {
		return strconv.Itoa(e.Code) + ": " + e.Text
	}
	return e.Text
}

// logTLS logs a failure of TLS.
func (c *Ctx) logTLS(e *TLSError) {
	if e.Log == "" || e.Quiet && !c.socketSettings().LogErrors {
		return
	}
	text := e.Log
	if e.Errno != nil {
		text += " " + logging.ErrnoText(e.Errno)
	}
	logText(c.logger(c.rt), e.Level, text)
}

// socketOfTLS is the socket that a method about TLS was called for; nil says that an error has been pushed.
func socketOfTLS(t *vm.Thread, c *Ctx) *tcpSocket {
	s := tcpOf(t)
	if s == nil || !s.inited {
		t.Errorf("socket is never created nor connected")
	}
	switch {
	case s.conn == nil || s.readClosed || s.writeClosed:
		fail(t, "closed")
		return nil
	case !s.mine(c):
		fail(t, "bad request")
		return nil
	case s.busy(t, opConnect|opRead|opWrite):
		return nil
	}
	return s
}

func tcpSSLHandshake(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n < 1 || n > 5 {
		return raise(t, "ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen %d", n)
	}
	h := Handshake{Verify: t.Arg(4).Truthy()}
	if t.Arg(3).Truthy() {
		h.Name = t.CheckString(3)
	}
	s := socketOfTLS(t, c)
	if s == nil {
		return 2
	}
	h.Session = sessionArg(t.Arg(2))
	wanted := true
	if b, ok := t.Arg(2).AsBool(); ok {
		wanted = b
	}
	if secure, ok := s.conn.Stream.(SecureStream); ok {
		if h.Session != nil {
			t.Push(t.Arg(2))
			return 1
		}
		return pushSession(t, secure, wanted)
	}
	if c.settings != nil {
		h.Settings = c.settings.TLS
	}
	h.Identity = s.identity
	m, err := c.beginWait(t, s)
	if err != nil {
		return t.Abort(err)
	}
	s.connecting = true
	conn := s.conn
	secure, err := c.rt.cfg.Net.StartTLS(conn.Stream, &h, timeout(s.connectTimeout, c.socketSettings().ConnectTimeout))
	s.connecting = false
	if killed := c.endWait(m); killed != nil {
		return t.Abort(killed)
	}
	if err != nil {
		if e, ok := err.(*TLSError); ok {
			c.logTLS(e)
		}
		s.close()
		return fail(t, errorText(err))
	}
	conn.Stream = secure
	return pushSession(t, secure, wanted)
}

// sessionArg is the session that a value stands for, nil if it is none.
func sessionArg(v vm.Value) TLSSession {
	s, _ := ffi.OpaqueData(v).(TLSSession)
	return s
}

func pushSession(t *vm.Thread, secure SecureStream, wanted bool) int {
	if !wanted {
		t.PushBool(true)
		return 1
	}
	t.Push(ffi.Opaque(secure.Session()))
	return 1
}

func tcpGetSSLSession(t *vm.Thread, c *Ctx) int {
	s := socketOfTLS(t, c)
	if s == nil {
		return 2
	}
	secure, ok := s.conn.Stream.(SecureStream)
	switch {
	case !ok:
		return fail(t, "no session")
	case !secure.Session().Resumable():
		return fail(t, "not resumable")
	}
	return pushSession(t, secure, true)
}

func tcpSetClientCert(t *vm.Thread, _ *Ctx) int {
	s := tcpOf(t)
	cert, key := t.Arg(2), t.Arg(3)
	if s == nil {
		t.Errorf("socket is never created nor connected")
	}
	switch {
	case !cert.Truthy() && !key.Truthy():
		s.identity = nil
		t.PushBool(true)
		return 1
	case !cert.Truthy() || !key.Truthy():
		return fail(t, "client certificate must be supplied with corresponding private key")
	}
	identity := &Identity{}
	for _, x := range []struct {
		name string
		v    vm.Value
		to   *any
	}{{"cert", cert, &identity.Cert}, {"pkey", key, &identity.Key}} {
		if x.v.Type() != vm.TypeCData {
			return fail(t, "bad "+x.name+" arg: cdata expected, got "+x.v.TypeName())
		}
		*x.to = ffi.OpaqueData(x.v)
	}
	s.identity = identity
	t.PushBool(true)
	return 1
}

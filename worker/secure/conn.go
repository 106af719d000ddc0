// Package secure is TLS to peers: a worker's handshakes as a client, over connections of package peer. Waits park in the event
// loop. Certificates are checked by Go's rules; what is wrong with one is said in OpenSSL's words and numbers.
//
// The package owns the state of TLS connections and what the directives about them name: protocols, ciphers, certificates. It
// never accepts a connection, and it closes none but those that it was given.
package secure

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"perilune/worker/loop"
	"perilune/worker/peer"
)

// Handshake is how a client begins TLS.
type Handshake struct {
	Settings *Settings
	Name     string           // of the server: it is told, and the certificate is checked for it; "" for neither
	Verify   bool             // check the certificate
	Session  *Session         // of an earlier connection, nil for a new one
	Identity *tls.Certificate // the client's, nil for that of the settings
}

// Conn is a connection that speaks TLS. As with a peer.Conn, reading and writing may wait at the same time.
//
// Locks of crypto/tls are held only while nothing waits, else another goroutine that had the baton would wait for them with it:
// during the handshake one goroutine uses the connection; later reading gives up where there is nothing to read, and what is
// written goes into a buffer, which is sent afterwards.
type Conn struct {
	conn    *peer.Conn
	loop    *loop.Loop
	tls     *tls.Conn
	session *Session

	shaking  bool  // in the handshake, which is to end
	deadline int64 // then, in milliseconds of the loop

	out, spare []byte // to be sent
	sending    bool   // Write does that
}

// Client does the handshake on a connection, within the timeout. The connection is still to be closed when it fails, with
// ErrTimeout of package peer, a *CertificateError, a *HostError or a *HandshakeError.
func Client(l *loop.Loop, conn *peer.Conn, h *Handshake, timeout time.Duration) (*Conn, error) {
	c := &Conn{conn: conn, loop: l, session: h.Session.next(), shaking: true, deadline: l.NowMsec() + timeout.Milliseconds()}
	cfg := h.Settings.config.Clone()
	cfg.ServerName, cfg.ClientSessionCache = h.Name, c.session
	if h.Identity != nil {
		cfg.Certificates = []tls.Certificate{*h.Identity}
	}
	c.tls = tls.Client(transport{c}, cfg)
	err := c.tls.Handshake()
	c.shaking = false
	if err != nil {
		return nil, handshakeError(err)
	}
	if h.Verify {
		state := c.tls.ConnectionState()
		if code := h.Settings.verify(state.PeerCertificates, time.Now()); code != 0 {
			return nil, &CertificateError{code}
		}
		if h.Name != "" && !matchHost(state.PeerCertificates[0], h.Name) {
			return nil, &HostError{h.Name}
		}
	}
	return c, nil
}

// Session is the session for a later handshake.
func (c *Conn) Session() *Session { return c.session }

// Read is as that of a peer.Conn.
func (c *Conn) Read(b []byte, timeout time.Duration) (int, error) {
	for {
		n, err := c.read(b)
		if err != loop.ErrAgain {
			return n, err
		}
		if err := c.conn.FD.WaitRead(timeout); err != nil {
			return 0, err
		}
	}
}

// read reads without waiting.
func (c *Conn) read(b []byte) (int, error) {
	n, err := c.tls.Read(b)
	if len(c.out) > 0 && !c.sending {
		// The answer to a message of TLS; what the socket does not take is sent with the next data.
		if m, err := c.conn.FD.Write(c.out); err == nil {
			c.out = c.out[:copy(c.out, c.out[m:])]
		}
	}
	switch {
	case n > 0:
		return n, nil // an error comes again
	case err == nil, errors.Is(err, errAgain):
		return 0, loop.ErrAgain
	}
	return 0, readError(err)
}

// maxRecord is the longest piece of data in a record of TLS.
const maxRecord = 16 << 10

// Write is as that of a peer.Conn.
func (c *Conn) Write(b []byte, timeout time.Duration) (n int, err error) {
	c.sending = true
	defer func() { c.sending = false }()
	for n < len(b) {
		m, err := c.tls.Write(b[n:min(len(b), n+maxRecord)])
		if err != nil {
			return n, readError(err)
		}
		if err := c.flush(timeout); err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// flush sends what is in the buffer. A reader may add to it meanwhile.
func (c *Conn) flush(timeout time.Duration) error {
	for len(c.out) > 0 {
		b := c.out
		c.out, c.spare = c.spare[:0], nil
		_, err := c.conn.Write(b, timeout)
		c.spare = b
		if err != nil {
			return err
		}
	}
	return nil
}

// Quiet reports whether there is nothing to read; a byte is lost otherwise.
func (c *Conn) Quiet() bool {
	var b [1]byte
	_, err := c.read(b[:])
	return err == loop.ErrAgain && !c.conn.FD.HUP
}

// transport is the connection as crypto/tls sees it.
type transport struct{ c *Conn }

func (t transport) Read(b []byte) (int, error) {
	c := t.c
	for {
		n, err := c.conn.FD.Read(b)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err != loop.ErrAgain:
			return n, err
		case !c.shaking:
			return 0, errAgain
		}
		left, err := c.left()
		if err == nil {
			err = c.conn.FD.WaitRead(left)
		}
		if err != nil {
			return 0, err
		}
	}
}

func (t transport) Write(b []byte) (int, error) {
	c := t.c
	if !c.shaking {
		c.out = append(c.out, b...)
		return len(b), nil
	}
	left, err := c.left()
	if err != nil {
		return 0, err
	}
	return c.conn.Write(b, left)
}

// left is the time that the handshake still has.
func (c *Conn) left() (time.Duration, error) {
	left := c.deadline - c.loop.NowMsec()
	if left <= 0 {
		return 0, peer.ErrTimeout
	}
	return time.Duration(left) * time.Millisecond, nil
}

func (t transport) Close() error                     { return nil }
func (t transport) LocalAddr() net.Addr              { return address{} }
func (t transport) RemoteAddr() net.Addr             { return address{} }
func (t transport) SetDeadline(time.Time) error      { return nil }
func (t transport) SetReadDeadline(time.Time) error  { return nil }
func (t transport) SetWriteDeadline(time.Time) error { return nil }

// address is the same for all peers: a session is kept with its connection and not found by the address.
type address struct{}

func (address) Network() string { return "peer" }
func (address) String() string  { return "peer" }

// again is an error after which crypto/tls lets the caller read on.
type again struct{}

func (again) Error() string   { return loop.ErrAgain.Error() }
func (again) Timeout() bool   { return false }
func (again) Temporary() bool { return true }

var errAgain net.Error = again{}

// Session is what a later handshake needs to take up the keys of an earlier one. The server may send it, or a better one, at any
// time while the connection lasts.
type Session struct{ state *tls.ClientSessionState }

// Resumable reports whether the server has offered to take the session up.
func (s *Session) Resumable() bool { return s.state != nil }

// next is the session of a new connection that takes s up.
func (s *Session) next() *Session {
	if s == nil {
		return &Session{}
	}
	return &Session{s.state}
}

// Get is crypto/tls asking for the session.
func (s *Session) Get(string) (*tls.ClientSessionState, bool) { return s.state, s.state != nil }

// Put is crypto/tls with a new session, or without one.
func (s *Session) Put(_ string, state *tls.ClientSessionState) { s.state = state }

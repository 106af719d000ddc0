package luart

import (
	"errors"
	"net/netip"
	"time"
)

// ErrClosed is the error of a wait that ended because the connection was closed on
// this side, or because the worker stops.
var ErrClosed = errors.New("closed")

// Endpoint is where a cosocket connects to: a port of a host, or a unix socket.
type Endpoint struct {
	IP   netip.Addr
	Port int
	Path string // of a unix socket, "" for TCP and UDP
	Text string // of a unix socket, as it was written with unix: in front
}

// host is the address without the port, as messages show it.
func (e Endpoint) host() string {
	if e.Path != "" {
		return "unix:" + e.Path
	}
	if e.IP.Is6() && !e.IP.Is4In6() {
		return "[" + e.IP.String() + "]"
	}
	return e.IP.Unmap().String()
}

// String is the address with the port.
func (e Endpoint) String() string {
	if e.Path != "" {
		return e.Text
	}
	return e.host() + ":" + itoa(e.Port)
}

// Dial says how to connect.
type Dial struct {
	To       Endpoint
	From     netip.AddrPort // the local address, if it is valid
	Datagram bool
}

// BindError is the error of binding to the local address.
type BindError struct{ Err error }

func (e *BindError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the system call.
func (e *BindError) Unwrap() error { return e.Err }

// LimitError is the error of a connection too many.
type LimitError struct{ Text string }

func (e *LimitError) Error() string { return e.Text }

// Net connects cosockets with the world.
type Net interface {
	// Dial begins to connect. The error is a *BindError, a *LimitError or a syscall.Errno.
	Dial(d *Dial) (Stream, error)
	// Lookup prepares finding the addresses of a name.
	Lookup(s *SocketSettings, name string) Lookup
	// StartTLS does the handshake of a client, within the timeout. The stream is still
	// to be closed when it fails; the error may be a *TLSError.
	StartTLS(s Stream, h *Handshake, timeout time.Duration) (SecureStream, error)
}

// Lookup is the search for the addresses of a name.
type Lookup interface {
	// Addrs parks until they are there: one at least, or an error whose text is what Lua
	// code gets to see.
	Addrs() ([]netip.Addr, error)
	// Close ends the wait.
	Close()
}

// Stream is a connection. A stream of TLS may take the place of a plain one. Reading
// and writing may wait at the same time, in two goroutines; each in one at a time.
//
// A timeout is for a single wait; what takes longer fails with [ErrTimeout]. Other
// errors are io.EOF, [ErrClosed], [ErrClientAborted], *[TLSError] and syscall.Errno.
type Stream interface {
	// Connected parks until the connection is there.
	Connected(timeout time.Duration) error
	// Read reads what there is, and parks while there is nothing.
	Read(b []byte, timeout time.Duration) (int, error)
	// Write writes all of b, and parks while there is no room.
	Write(b []byte, timeout time.Duration) (int, error)
	// PeerClosed reports whether the peer is known to have ended its sending.
	PeerClosed() bool
	// Quiet reports whether the stream is open and has nothing to read.
	Quiet() bool
	// OnIdle has f called when something happens to a stream that nobody waits for;
	// nil ends that.
	OnIdle(f func())
	// Option and SetOption are getsockopt(2) and setsockopt(2).
	Option(o SocketOption) (int, error)
	SetOption(o SocketOption, value int) error
	// Descriptor is the number of the file descriptor.
	Descriptor() int
	// Close closes the stream, and ends its waits with ErrClosed.
	Close()
}

// SocketOption is an option of a socket that Lua code can set.
type SocketOption int

// The options.
const (
	SocketKeepAlive SocketOption = iota
	SocketReuseAddr
	SocketNoDelay
	SocketSendBuffer
	SocketReceiveBuffer
	SocketKeepInterval
	SocketKeepCount
)

// SocketSettings are the settings of a location for cosockets.
type SocketSettings struct {
	ConnectTimeout   time.Duration // lua_socket_connect_timeout
	SendTimeout      time.Duration // lua_socket_send_timeout
	ReadTimeout      time.Duration // lua_socket_read_timeout
	KeepaliveTimeout time.Duration // lua_socket_keepalive_timeout, 0 for none
	BufferSize       int           // lua_socket_buffer_size
	PoolSize         int           // lua_socket_pool_size
	LogErrors        bool          // lua_socket_log_errors
	NoDelay          bool          // tcp_nodelay
	Names            any           // for Net.Lookup, which knows what it is
}

// DefaultSocketSettings are those of ngx_lua.
var DefaultSocketSettings = SocketSettings{
	ConnectTimeout: time.Minute, SendTimeout: time.Minute, ReadTimeout: time.Minute, KeepaliveTimeout: time.Minute,
	BufferSize: 4096, PoolSize: 30, LogErrors: true, NoDelay: true,
}

// socketSettings are those of the code that runs.
func (c *Ctx) socketSettings() *SocketSettings {
	if c.settings == nil || c.settings.Socket == nil {
		return &DefaultSocketSettings
	}
	return c.settings.Socket
}

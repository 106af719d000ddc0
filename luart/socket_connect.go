package luart

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"perilune/luart/vm"
)

// connectArgs are the arguments of connect.
type connectArgs struct {
	host     string
	port     int
	key      string // of the pool
	poolSize int    // 0 when no pool was asked for
	backlog  int    // -1 for none
}

func tcpConnect(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n < 2 || n > 4 {
		return raise(t, "ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen %d", n)
	}
	c.checkSocketPhase(t)
	s := tcpOf(t)
	if s == nil {
		// Any table may become a socket.
		s = &tcpSocket{}
		tab, _ := t.Arg(1).AsTable()
		tab.SetInt(1, c.rt.vm.NewUserdata(s, nil).Value())
	}
	a, ok := connectArgsOf(t, c, 2, n)
	if !ok {
		return 2
	}
	return s.connect(t, c, &a)
}

// socketConnect is ngx.socket.connect.
func socketConnect(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n < 1 || n > 3 {
		// In ngx_lua the function is Lua code that calls the method.
		return raiseAt(t, 0, fmt.Sprintf("ngx.socket.connect:1: ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen %d", n+1))
	}
	a, ok := connectArgsOf(t, c, 1, n)
	if !ok {
		return 2
	}
	s := &tcpSocket{}
	v := c.newSocket(s)
	if n := s.connect(t, c, &a); n != 1 {
		return n
	}
	t.Push(v)
	return 1
}

// connectArgsOf reads the arguments of connect, the first of which is the host, up to
// the last. ok is false when an error has been pushed.
func connectArgsOf(t *vm.Thread, c *Ctx, first, last int) (a connectArgs, ok bool) {
	a.host = t.CheckString(first)
	a.backlog = -1
	n := last
	custom := false
	if options, isTable := t.Arg(n).AsTable(); isTable {
		custom = a.options(t, c, options, n)
		n--
	}
	port := vm.Nil
	if n > first {
		port = t.Arg(first + 1)
	}
	if f, isNum := port.ToNumberCoerced(); isNum {
		a.port = int(int32(int64(f)))
		if a.port < 0 || a.port > 65535 {
			fail(t, "bad port number: "+itoa(a.port))
			return a, false
		}
		if !custom {
			a.key = c.rt.sockets.poolKey(a.host, port)
		}
		return a, true
	}
	if len(a.host) < 5 || !strings.EqualFold(a.host[:5], "unix:") {
		fail(t, "missing the port number")
		return a, false
	}
	if !custom {
		a.key = a.host
	}
	return a, true
}

// poolKey is the key of the pool for a host and a port. It is no new string if there is such a pool.
func (x *sockets) poolKey(host string, port vm.Value) string {
	key := append(append(x.key[:0], host...), ':')
	if f, ok := port.AsNumber(); ok && f == float64(int(f)) {
		key = strconv.AppendInt(key, int64(f), 10)
	} else {
		text, _ := port.ToStringCoerced()
		key = append(key, text...)
	}
	x.key = key
	if p := x.pools[string(key)]; p != nil {
		return p.key
	}
	return string(key)
}

// options reads the table of options, which is argument n, and reports whether it names
// the pool.
func (a *connectArgs) options(t *vm.Thread, c *Ctx, options *vm.Table, n int) bool {
	v := options.GetStr("pool_size")
	if f, ok := v.ToNumberCoerced(); ok {
		if a.poolSize = int(f); a.poolSize <= 0 {
			t.ArgError(n, "bad \"pool_size\" option value: "+itoa(a.poolSize))
		}
	} else if !v.IsNil() {
		t.ArgError(n, "bad \"pool_size\" option type: "+v.TypeName())
	}
	if f, ok := options.GetStr("backlog").ToNumberCoerced(); ok {
		if a.backlog = int(f); a.backlog < 0 {
			t.ArgError(n, "bad \"backlog\" option value: "+itoa(a.backlog))
		}
		if a.poolSize == 0 {
			a.poolSize = c.socketSettings().PoolSize
		}
	}
	switch v := options.GetStr("pool"); v.Type() {
	case vm.TypeNil:
		return false
	case vm.TypeNumber, vm.TypeString:
		a.key, _ = v.ToStringCoerced()
		return true
	default:
		t.ArgError(n, "bad \"pool\" option type: "+v.TypeName())
		return false
	}
}

// connect connects the socket and pushes 1, or nil and an error.
func (s *tcpSocket) connect(t *vm.Thread, c *Ctx, a *connectArgs) int {
	s.key = a.key
	if s.inited {
		if s.c != nil && !s.mine(c) {
			return raise(t, "bad request")
		}
		if s.busy(t, opConnect|opRead|opWrite) {
			return 2
		}
		if s.conn != nil {
			c.debug("lua tcp socket reconnect without shutting down")
			s.close()
		}
		c.debug("lua reuse socket upstream ctx")
	}
	s.inited = true
	s.c, s.life = c, c.life
	pool := c.rt.sockets.pools[a.key]
	if pool == nil && a.poolSize > 0 {
		pool = c.newSocketPool(a.key, a.poolSize, a.backlog)
	}
	if pool != nil {
		c.debug("lua tcp socket pool get keepalive peer")
		if conn := pool.take(); conn != nil {
			s.reuse(t, c, conn)
			return succeed(t)
		}
		switch {
		case pool.full():
			return fail(t, "too many waiting connect operations")
		case pool.mustWait():
			if n := s.queue(t, c, pool, a); n != 0 {
				return n
			}
			if conn := pool.take(); conn != nil {
				s.reuse(t, c, conn)
				return succeed(t)
			}
		}
		pool.connections++
		s.pool = pool
	}
	conn, text, err := s.dial(t, c, a)
	if conn != nil {
		s.attach(t, c, conn)
		return succeed(t)
	}
	if err == errKilled {
		return t.Abort(err)
	}
	s.leavePool()
	return fail(t, text)
}

// reuse takes a connection out of its pool.
func (s *tcpSocket) reuse(t *vm.Thread, c *Ctx, conn *connection) {
	s.pool, conn.pool = conn.pool, nil
	conn.reused++
	if l := c.logger(c.rt); l.LogEnabled(LevelDebug) {
		logText(l, LevelDebug, fmt.Sprintf("lua tcp socket get keepalive peer: using connection %016X, fd:%d", pointerOf(conn), conn.Descriptor()))
	}
	s.attach(t, c, conn)
}

// dial makes a connection. Where there is none, text says why to Lua code; errKilled
// says that nobody asks any more.
func (s *tcpSocket) dial(t *vm.Thread, c *Ctx, a *connectArgs) (conn *connection, text string, err error) {
	to, name, err := parseHost(a.host, a.port)
	if err != nil {
		return nil, "failed to parse host name \"" + a.host + "\": " + err.Error(), err
	}
	limit := timeout(s.connectTimeout, c.socketSettings().ConnectTimeout)
	c.debugTimeout("lua tcp socket connect", limit)
	if name != "" {
		s.connecting = true
		to.IP, err = c.lookup(t, name, "lua tcp socket abort resolver", func() {
			s.connecting = false
			s.leavePool()
		})
		if err == errKilled {
			return nil, "", err
		}
		s.connecting = false
		if err != nil {
			return nil, err.Error(), err
		}
	}
	conn = &connection{host: shortHost(a.host), to: to}
	conn.Stream, err = c.rt.cfg.Net.Dial(&Dial{To: to, From: s.local})
	if err != nil {
		c.logDial(err, to, s.local, conn.upstream())
		return nil, failureText(err), err
	}
	s.conn, conn.connecting = conn, true
	m, err := c.beginWait(t, s)
	if err != nil {
		return nil, "", err
	}
	err = conn.Connected(limit)
	if killed := c.endWait(m); killed != nil {
		return nil, "", killed
	}
	s.conn, conn.connecting = nil, false
	if err == nil {
		return conn, "", nil
	}
	conn.Close()
	if c.socketSettings().LogErrors {
		if err == ErrTimeout {
			logText(c.logger(c.rt), LevelError, "lua tcp socket connect timed out"+conn.upstream())
		} else {
			c.logErrno("connect()", err, "")
		}
	}
	return nil, failureText(err), err
}

// shortHost is what messages show of a host.
func shortHost(host string) string {
	const most = 31
	if len(host) > most {
		return host[:most-3] + "..."
	}
	return host
}

// pointerOf is the address of an object, for messages.
func pointerOf[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

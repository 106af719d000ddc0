package luart

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"perilune/logging"
	"perilune/luart/vm"
)

// socketKind is what a socket is connected to.
type socketKind uint8

const (
	socketTCP     socketKind = iota // an address
	socketReqBody                   // the client, for reading the body of its request
	socketReqRaw                    // the client
)

// socketMethod is a method of sockets.
type socketMethod struct {
	name, args, doc string
	fn              func(t *vm.Thread, c *Ctx) int
	kinds           uint8 // bits of socketKind
}

const (
	ofTCP = 1 << socketTCP
	ofRaw = ofTCP | 1<<socketReqRaw
	ofAll = ofRaw | 1<<socketReqBody
)

// socketMethods are the methods of stream sockets, in the order of the manual.
func socketMethods() []socketMethod {
	return []socketMethod{
		{"connect", "(host, port, options?)", "connects, or takes an idle connection out of the pool; host may be `unix:PATH`, without a port; options: pool, pool_size, backlog", tcpConnect, ofTCP},
		{"bind", "(address, port?)", "the local address for the next connect", tcpBind, ofTCP},
		{"sslhandshake", "(session?, server_name?, verify?, status?)", "begins TLS; returns a session for a later handshake, or true if session is false; verify checks the certificate, for the name if there is one", tcpSSLHandshake, ofTCP},
		{"setclientcert", "(cert, key)", "the certificate that the next sslhandshake shows", tcpSetClientCert, ofTCP},
		{"getsslsession", "()", "the session of the connection, once the server has offered to take it up", tcpGetSSLSession, ofTCP},
		{"send", "(data)", "sends a string, a number, a boolean, nil or a nested array of strings and numbers; returns the number of bytes", tcpSend, ofRaw},
		{"receive", "(what?)", "receives a line without its end (`*l`, the default), all there is until the peer closes (`*a`) or so many bytes; on an error the third result is what has come", tcpReceive, ofAll},
		{"receiveany", "(max)", "receives what has come, at most so many bytes", tcpReceiveAny, ofAll},
		{"receiveuntil", "(pattern, options?)", "returns an iterator that reads up to the pattern, or at most so many bytes at a call; option: inclusive", tcpReceiveUntil, ofAll},
		{"close", "()", "closes the connection", tcpClose, ofTCP},
		{"settimeout", "(ms)", "the timeout of all operations", tcpSetTimeout, ofAll},
		{"settimeouts", "(connect, send, read)", "the timeouts in milliseconds", tcpSetTimeouts, ofAll},
		{"setkeepalive", "(timeout?, size?)", "puts the connection into the pool, for so many milliseconds, a pool that is new being of that size", tcpSetKeepalive, ofTCP},
		{"getreusedtimes", "()", "how often the connection has come out of the pool", tcpGetReusedTimes, ofTCP},
		{"getoption", "(name)", "the value of `keepalive`, `reuseaddr`, `tcp-nodelay`, `sndbuf`, `rcvbuf`, `keepintvl` or `keepcnt`", tcpGetOption, ofTCP},
		{"setoption", "(name, value)", "sets an option", tcpSetOption, ofTCP},
		{"getfd", "()", "the number of the descriptor", tcpGetFD, ofAll},
	}
}

func socketAPI() []Function {
	const in, extra = phasesYieldable, phasesWaiting
	newTCP := func(t *vm.Thread, c *Ctx) int { return tcpNew(t, c) }
	return []Function{
		{Name: "ngx.socket.tcp", Args: "()", Phases: in, extra: extra, fn: newTCP, noRequest: errNoRequest,
			Doc: "makes a stream socket"},
		{Name: "ngx.socket.stream", Args: "()", Phases: in, extra: extra, fn: newTCP, noRequest: errNoRequest,
			Doc: "is ngx.socket.tcp by another name"},
		{Name: "ngx.socket.connect", Args: "(host, port, options?)", Phases: in, extra: extra, fn: socketConnect, noRequest: errNoRequest,
			Doc: "makes a stream socket and connects it"},
		{Name: "ngx.socket.udp", Args: "()", Phases: in, extra: extra, fn: udpNew, noRequest: errNoRequest,
			Doc: "makes a datagram socket"},
		{Name: "ngx.req.socket", Args: "(raw?)", Phases: PhasesResponse, fn: reqSocket,
			Doc: "a socket that reads the body of the request; with true one that has the whole connection to the client"},
	}
}

// sockets are the cosockets of a runtime.
type sockets struct {
	meta     [3]*vm.Table // of the kinds of stream sockets
	udpMeta  *vm.Table
	guard    *vm.Table // metatable of the userdata of sockets that the collector watches
	pools    map[string]*socketPool
	free     [][]byte // buffers for receiving
	datagram []byte   // taken by whoever receives a datagram
	key      []byte   // that poolKey makes
}

// openSockets makes the metatables of the sockets, which are in the registry under
// the names that ngx_lua gives them.
func (rt *Runtime) openSockets() {
	s := &rt.sockets
	s.pools = make(map[string]*socketPool)
	for kind, name := range [...]string{"__tcp_cosocket_mt", "__tcp_req_cosocket_mt", "__tcp_raw_req_cosocket_mt"} {
		mt := rt.vm.NewTable(0, 16)
		for _, m := range socketMethods() {
			if m.kinds&(1<<kind) != 0 {
				mt.SetStr(m.name, rt.vm.NewFunction(m.name, withRequest(m.fn)))
			}
		}
		mt.SetStr("__index", mt.Value())
		rt.vm.Registry().SetStr(name, mt.Value())
		s.meta[kind] = mt
	}
	if ngx, ok := rt.vm.Globals().GetStr("ngx").AsTable(); ok {
		if lib, ok := ngx.GetStr("socket").AsTable(); ok {
			lib.SetStr("stream", lib.GetStr("tcp"))
		}
	}
	s.udpMeta = rt.vm.NewTable(0, 8)
	for _, m := range udpMethods() {
		s.udpMeta.SetStr(m.name, rt.vm.NewFunction(m.name, withRequest(m.fn)))
	}
	s.udpMeta.SetStr("__index", s.udpMeta.Value())
	s.guard = rt.vm.NewTable(0, 1)
	s.guard.SetStr("__gc", rt.vm.NewFunction("__gc", func(t *vm.Thread) int {
		if u, ok := t.Arg(1).AsUserdata(); ok {
			if x, ok := u.Data.(closer); ok {
				x.close()
			}
		}
		return 0
	}))
}

// withRequest makes a function of the machine of a method.
func withRequest(fn func(t *vm.Thread, c *Ctx) int) vm.GoFunction {
	return func(t *vm.Thread) int {
		c := context(t)
		if c == nil || c.phase == PhaseInit {
			return raise(t, "%s", errNoRequest)
		}
		return fn(t, c)
	}
}

// closer is a socket of either kind.
type closer interface{ close() }

// openSocket is what the sockets of a context have in common: the context closes
// those that are left open.
type openSocket struct {
	c    *Ctx // whose code has connected it, as long as life is the context's
	life uint64
	at   int // place + 1 among the context's open sockets
}

// mine reports whether the code that runs may use the socket.
func (o *openSocket) mine(c *Ctx) bool { return o.c == c && o.life == c.life }

// own ties a socket to the context that will close it.
func (c *Ctx) own(o *openSocket, x closer) {
	if o.at > 0 && o.mine(c) {
		return
	}
	o.c, o.life = c, c.life
	c.sockets = append(c.sockets, x)
	o.at = len(c.sockets)
	if c.disowned > 0 {
		c.disowned--
		if l := c.logger(c.rt); l.LogEnabled(LevelDebug) {
			logText(l, LevelDebug, fmt.Sprintf("lua http cleanup reuse: %016X", pointerOf(o)))
		}
	}
}

// disown forgets a socket that is closed.
func (c *Ctx) disown(o *openSocket) {
	if o.at == 0 || !o.mine(c) {
		return
	}
	last := len(c.sockets) - 1
	moved := c.sockets[last]
	c.sockets[last] = nil
	c.sockets = c.sockets[:last]
	if o.at-1 != last {
		c.sockets[o.at-1] = moved
		switch x := moved.(type) {
		case *tcpSocket:
			x.at = o.at
		case *udpSocket:
			x.at = o.at
		}
	}
	o.at = 0
	c.disowned++
}

// closeSockets closes what the code of a request that ends has left open.
func (c *Ctx) closeSockets() {
	for len(c.sockets) > 0 {
		c.sockets[len(c.sockets)-1].close()
	}
}

// unguarded is how many sockets a request may have open before the collector has
// to watch the next ones: they are closed with the request at the latest, but code
// that runs for long may forget any number of them.
const unguarded = 4

// guard has a socket closed when Lua code has lost it.
func (c *Ctx) guard(t *vm.Thread, arg int) {
	if len(c.sockets) < unguarded {
		return
	}
	c.guardSocket(t.Arg(arg))
}

// guardSocket has the collector watch a socket.
func (c *Ctx) guardSocket(v vm.Value) {
	if tab, ok := v.AsTable(); ok {
		if u, ok := tab.GetInt(1).AsUserdata(); ok && u.Metatable() == nil {
			c.rt.vm.SetUserdataMetatable(u, c.rt.sockets.guard)
		}
	}
}

// waitMark is what a wait in a socket restores.
type waitMark struct {
	u     *thread
	phase Phase
	chunk *Chunk
}

// beginWait is called before something that may wait; x is closed when the thread
// is killed meanwhile. Others may use the socket then before the thread has noticed,
// which must not touch it any more.
func (c *Ctx) beginWait(t *vm.Thread, x closer) (waitMark, error) {
	m := waitMark{c.current(t), c.phase, c.chunk}
	if m.u != nil {
		if m.u.killed {
			x.close()
			return m, errKilled
		}
		m.u.blockedOn = x
	}
	return m, nil
}

func (c *Ctx) endWait(m waitMark) error {
	c.phase, c.chunk = m.phase, m.chunk
	c.rt.resumed(c)
	if m.u != nil {
		m.u.blockedOn = nil
		if m.u.killed {
			return errKilled
		}
	}
	return nil
}

// lookup finds the address of a name, one of several at random. The waiter's socket is
// abandoned when its thread is killed, which is told with this message.
func (c *Ctx) lookup(t *vm.Thread, name, message string, abandon func()) (netip.Addr, error) {
	l := lookup{c.rt.cfg.Net.Lookup(c.socketSettings(), name), func() {
		if message != "" {
			logText(c.rt.cfg.Log, LevelDebug, message)
		}
		abandon()
	}}
	m, err := c.beginWait(t, l)
	if err != nil {
		return netip.Addr{}, err
	}
	addrs, err := l.Addrs()
	if killed := c.endWait(m); killed != nil {
		err = killed
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[rand.IntN(len(addrs))], nil
}

// lookup is a lookup that ends with its thread.
type lookup struct {
	Lookup
	abandon func()
}

func (l lookup) close() {
	l.Close()
	l.abandon()
}

// parseHost takes the text of a host apart: an address or a name. The rules are those
// of nginx for a URL without a path.
func parseHost(text string, port int) (e Endpoint, name string, err error) {
	if len(text) >= 5 && strings.EqualFold(text[:5], "unix:") {
		e.Path, e.Text = text[5:], text
		switch {
		case e.Path == "":
			err = errors.New("no path in the unix domain socket")
		case len(e.Path) > 107:
			err = errors.New("too long path in the unix domain socket")
		}
		return e, "", err
	}
	e.Port = port
	host, rest := text, ""
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return e, "", errors.New("invalid host")
		}
		host, rest = text[:end+1], text[end+1:]
	} else if i := strings.IndexAny(text, ":/?"); i >= 0 {
		host, rest = text[:i], text[i:]
	}
	switch {
	case strings.ContainsAny(rest, "/?"), rest != "" && rest[0] != ':':
		return e, "", errors.New("invalid host")
	case rest != "":
		if e.Port = atoi(rest[1:]); e.Port < 1 || e.Port > 65535 {
			return e, "", errors.New("invalid port")
		}
	}
	if host == "" || host == "[]" {
		return e, "", errors.New("no host")
	}
	if host[0] == '[' {
		if e.IP, err = netip.ParseAddr(host[1 : len(host)-1]); err != nil || !e.IP.Is6() || e.IP.Zone() != "" {
			return e, "", errors.New("invalid IPv6 address")
		}
		return e, "", nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		e.IP = ip
		return e, "", nil
	}
	return e, host, nil
}

// atoi is a decimal number without a sign, -1 for anything else.
func atoi(s string) int {
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) || n > 1<<20 {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	if s == "" {
		return -1
	}
	return n
}

// bindArg reads the arguments of bind.
func bindArg(t *vm.Thread, port int) (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(t.CheckString(2))
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, uint16(port)), true
}

// timeout is the time for a wait: what Lua code has set in milliseconds, or what is
// configured. nginx knows no infinite ones.
func timeout(ms int, configured time.Duration) time.Duration {
	if ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return max(configured, 1)
}

// timeoutArg is an argument of settimeout.
func timeoutArg(t *vm.Thread, i int) int {
	f, _ := t.Arg(i).ToNumberCoerced()
	n := int(f)
	if n>>31 != 0 {
		t.Errorf("bad timeout value")
	}
	return n
}

// failureText is the text of an error for Lua code.
func failureText(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return strings.ToLower(logging.Strerror(errno))
	case err == ErrTimeout:
		return "timeout"
	case err == io.EOF:
		return "closed"
	}
	return err.Error()
}

// debug logs what ngx_lua logs at that point for debugging.
func (c *Ctx) debug(text string) { logText(c.logger(c.rt), LevelDebug, text) }

// debugTimeout is debug for a time in milliseconds.
func (c *Ctx) debugTimeout(what string, d time.Duration) {
	if l := c.logger(c.rt); l.LogEnabled(LevelDebug) {
		logText(l, LevelDebug, what+" timeout: "+itoa(int(d.Milliseconds())))
	}
}

// connectionLevel is nginx's level for a failure of a connection.
func connectionLevel(errno syscall.Errno) Level {
	switch errno {
	case 0, syscall.ECONNRESET, syscall.EPIPE, syscall.ENOTCONN, syscall.ETIMEDOUT, syscall.ECONNREFUSED,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
		return LevelError
	}
	return LevelAlert
}

// logErrno logs the failure of a system call as nginx does.
func (c *Ctx) logErrno(what string, err error, upstream string) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return
	}
	logText(c.logger(c.rt), connectionLevel(errno), what+" failed "+logging.ErrnoText(errno)+upstream)
}

// logDial logs a connection that failed at once.
func (c *Ctx) logDial(err error, to Endpoint, from netip.AddrPort, upstream string) {
	var bind *BindError
	if errors.As(err, &bind) {
		local := from.Addr().String()
		if from.Port() != 0 {
			local = from.String()
		}
		logText(c.logger(c.rt), LevelCrit, "bind("+local+") failed "+logging.ErrnoText(bind.Err)+upstream)
		return
	}
	if limit, ok := err.(*LimitError); ok {
		logText(c.logger(c.rt), LevelAlert, limit.Text)
		return
	}
	level := LevelCrit
	switch err {
	case syscall.ECONNREFUSED, syscall.EAGAIN, syscall.ECONNRESET, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
		level = LevelError
	}
	logText(c.logger(c.rt), level, fmt.Sprintf("connect() to %s failed %s%s", to, logging.ErrnoText(err), upstream))
}

// sendable puts what is to be sent into one piece. scratch reports whether that is
// the runtime's scratch buffer, which the caller has taken then and gives back.
func sendable(t *vm.Thread, c *Ctx, i int) (data []byte, scratch bool) {
	v := t.Arg(i)
	if s, ok := v.AsString(); ok {
		return bytesOf(s), false
	}
	buf := c.rt.scratch[:0]
	c.rt.scratch = nil
	switch v.Type() {
	case vm.TypeTable:
		tab, _ := v.AsTable()
		return appendEchoTable(t, buf, tab, i, true), true
	case vm.TypeNumber, vm.TypeNil, vm.TypeBoolean:
		buf, _ = appendScalar(buf, v)
		return buf, true
	}
	t.ArgError(i, "string, number, boolean, nil, or array table expected, got "+v.Type().String())
	return nil, false
}

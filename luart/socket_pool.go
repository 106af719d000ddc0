package luart

import (
	"fmt"
	"reflect"
	"time"

	"perilune/luart/vm"
)

// socketPool are the connections under a key: those that are idle, and a count of those
// in use.
type socketPool struct {
	rt          *Runtime
	key         string
	size        int           // idle connections at most, and with a backlog all connections
	backlog     int           // connects that may wait, -1 for no limit of connections
	connections int           // idle, in use, and asked for
	idle        []*connection // the latest is the last one
	waiting     []*poolWait
}

// poolWait is a connect that waits for its turn.
type poolWait struct {
	wait   Waiter
	pool   *socketPool
	s      *tcpSocket
	called bool // out of the queue
}

func (c *Ctx) newSocketPool(key string, size, backlog int) *socketPool {
	rt := c.rt
	if l := c.logger(rt); l.LogEnabled(LevelDebug) {
		logText(l, LevelDebug, fmt.Sprintf("lua tcp socket connection pool size: %d, backlog: %d", size, backlog))
		logText(l, LevelDebug, "lua tcp socket keepalive create connection pool for key \""+key+"\"")
	}
	p := &socketPool{rt: rt, key: key, size: size, backlog: backlog}
	rt.sockets.pools[key] = p
	return p
}

// take takes the latest idle connection, nil if there is none.
func (p *socketPool) take() *connection {
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	conn := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	conn.OnIdle(nil)
	if conn.timer != nil {
		conn.timer.Stop()
	}
	return conn
}

func (p *socketPool) full() bool {
	return p.backlog >= 0 && p.connections >= p.size+p.backlog
}

func (p *socketPool) mustWait() bool { return p.backlog >= 0 && p.connections >= p.size }

// drop ends the counting of a connection.
func (p *socketPool) drop() {
	p.connections--
	p.settle()
}

// settle lets the next connect have its turn after a connection has gone or become idle,
// and forgets a pool that has no more connections.
func (p *socketPool) settle() {
	if p.connections == 0 {
		if p.rt.sockets.pools[p.key] == p {
			delete(p.rt.sockets.pools, p.key)
			if l := p.rt.cfg.Log; l.LogEnabled(LevelDebug) {
				logText(l, LevelDebug, "lua tcp socket keepalive: free connection pool for \""+p.key+"\"")
			}
		}
		return
	}
	if len(p.waiting) > 0 {
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		w.called = true
		w.wait.Wake(nil)
	}
}

// close gives a connect up, whose thread is killed.
func (w *poolWait) close() {
	logText(w.pool.rt.cfg.Log, LevelDebug, "lua tcp socket abort queueing")
	w.s.connecting = false
	w.leave()
	if w.called {
		w.pool.settle() // it is the turn of another one
	}
}

// leave takes a connect out of the queue; it is counted no more.
func (w *poolWait) leave() {
	w.pool.connections--
	for i, x := range w.pool.waiting {
		if x == w {
			w.pool.waiting = append(w.pool.waiting[:i], w.pool.waiting[i+1:]...)
			return
		}
	}
}

// queue waits until the pool has room. It returns 0 then, and pushes an error otherwise.
func (s *tcpSocket) queue(t *vm.Thread, c *Ctx, p *socketPool, a *connectArgs) int {
	u := c.waitingThread(t)
	w := &poolWait{wait: u.wait, pool: p, s: s}
	p.connections++
	if l := c.logger(c.rt); l.LogEnabled(LevelDebug) {
		logText(l, LevelDebug, fmt.Sprintf("lua tcp socket queue connect operation for connection pool \"%s\", connections: %d", p.key, p.connections))
	}
	p.waiting = append(p.waiting, w)
	s.connecting, u.blockedOn = true, w
	err := c.parkThread(u, timeout(s.connectTimeout, c.socketSettings().ConnectTimeout))
	u.blockedOn = nil
	if err == errKilled {
		return t.Abort(err)
	}
	s.connecting = false
	w.leave()
	if err == nil {
		return 0
	}
	if w.called {
		p.settle()
	}
	if err == ErrTimeout && c.socketSettings().LogErrors {
		logText(c.logger(c.rt), LevelError, fmt.Sprintf("lua tcp socket queued connect timed out, when trying to connect to %s:%d", a.host, a.port))
	}
	return fail(t, failureText(err))
}

func tcpSetKeepalive(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n < 1 || n > 3 {
		return raise(t, "expecting 1 to 3 arguments (including the object), but got %d", n)
	}
	s := tcpOf(t)
	settings := c.socketSettings()
	idle, size := settings.KeepaliveTimeout, settings.PoolSize
	if !t.Arg(2).IsNil() {
		idle = time.Duration(t.CheckInt(2)) * time.Millisecond
	}
	if !t.Arg(3).IsNil() {
		size = t.CheckInt(3)
	}
	if s == nil || s.connectionLost() {
		return fail(t, "closed")
	}
	if !s.check(t, c, opConnect|opRead|opWrite) {
		return 2
	}
	if s.pos < s.last {
		return fail(t, "unread data in buffer")
	}
	if c.rt.cfg.Worker.Exiting() {
		c.debug("lua tcp socket set keepalive while process exiting, closing connection")
		s.close()
		return succeed(t)
	}
	p := c.rt.sockets.pools[s.key]
	if p == nil {
		if size <= 0 {
			return argError(t, n, "bad \"pool_size\" option value: "+itoa(size))
		}
		p = c.newSocketPool(s.key, size, -1)
	}
	if !s.conn.Quiet() {
		s.close()
		return fail(t, "connection in dubious state")
	}
	if l := c.logger(c.rt); l.LogEnabled(LevelDebug) {
		logText(l, LevelDebug, fmt.Sprintf("lua tcp socket set keepalive: saving connection %016X", pointerOf(s.conn)))
	}
	if idle == 0 {
		c.debug("lua tcp socket keepalive timeout: unlimited")
	} else if l := c.logger(c.rt); l.LogEnabled(LevelDebug) {
		logText(l, LevelDebug, "lua tcp socket keepalive timeout: "+itoa(int(idle.Milliseconds()))+" ms")
	}
	counted := s.pool == p
	if !counted {
		s.leavePool()
	}
	s.pool = nil
	p.put(s.detach(), counted, idle)
	return succeed(t)
}

// put keeps a connection, which may be counted already; the one that has been idle for
// the longest time goes if there is no room.
func (p *socketPool) put(conn *connection, counted bool, idle time.Duration) {
	if len(p.idle) >= p.size {
		p.idle[0].Close()
		p.idle = append(p.idle[:0], p.idle[1:]...)
		p.connections--
	}
	if !counted {
		p.connections++
	}
	p.idle = append(p.idle, conn)
	if conn.timer == nil {
		log := p.rt.cfg.Log
		conn.timer = p.rt.cfg.Loop.NewTimer(func() {
			logText(log, LevelDebug, "lua tcp socket keepalive max idle timeout")
			conn.expire()
		})
		conn.onIdle = conn.stir
	}
	conn.pool = p
	conn.OnIdle(conn.onIdle)
	if idle > 0 {
		conn.timer.Set(idle)
	}
	p.settle()
}

// stir is called when something happens to an idle connection: unless it is nothing that
// can be read, the connection is of no more use.
func (k *connection) stir() {
	logText(k.pool.rt.cfg.Log, LevelDebug, "lua tcp socket keepalive close handler check stale events")
	if k.PeerClosed() || !k.Quiet() {
		k.expire()
	}
}

// expire closes an idle connection.
func (k *connection) expire() {
	p := k.pool
	if p == nil {
		return
	}
	if l := p.rt.cfg.Log; l.LogEnabled(LevelDebug) {
		logText(l, LevelDebug, "lua tcp socket keepalive close handler: fd:"+itoa(k.Descriptor()))
	}
	for i, x := range p.idle {
		if x == k {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	k.pool = nil
	k.timer.Stop()
	k.Close()
	p.drop()
}

// CloseIdle closes the idle connections of the pools, for a worker that takes no more
// requests.
func (rt *Runtime) CloseIdle() {
	debug := rt.cfg.Log.LogEnabled(LevelDebug)
	for _, p := range rt.sockets.pools {
		if debug {
			rt.cfg.Log.Log(LevelDebug, fmt.Appendf(nil, "lua tcp socket keepalive: free connection pool %X for \"%s\"", reflect.ValueOf(p).Pointer(), p.key))
		}
		for len(p.idle) > 0 {
			p.idle[len(p.idle)-1].expire()
		}
	}
}

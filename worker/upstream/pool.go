package upstream

import (
	"time"

	"perilune/worker/loop"
	"perilune/worker/peer"
)

// Conn is a connection to a peer that can be kept for later requests.
type Conn struct {
	*peer.Conn
	Requests int // sent on it

	start      int64 // msec
	name       string
	pool       *Pool // while it is idle
	prev, next *Conn
	timer      loop.Timer
	onClose    func()
	closeIdle  func()
}

// NewConn wraps a new connection to the peer of a name. onClose is called once it is
// closed.
func NewConn(c *peer.Conn, name string, now int64, onClose func()) *Conn {
	return &Conn{Conn: c, name: name, start: now, onClose: onClose}
}

// Close closes the connection. It may be called again.
func (c *Conn) Close() {
	if c.pool != nil {
		c.pool.remove(c)
	}
	if c.Closed() {
		return
	}
	c.Loop().DropTimer(&c.timer)
	c.Conn.Close()
	if c.onClose != nil {
		c.onClose()
	}
}

// Pool keeps idle connections, the one used last first.
type Pool struct {
	Max      int           // idle connections
	Requests int           // after how many a connection is closed
	Time     time.Duration // at which age a connection is closed
	Timeout  time.Duration // how long an idle connection is kept
	Closed   bool          // the worker is going away: nothing is kept any more

	first, last *Conn
	n           int
}

// Take takes an idle connection to the peer of a name; nil if there is none.
func (p *Pool) Take(name string) *Conn {
	for c := p.first; c != nil; c = c.next {
		if c.name == name {
			p.remove(c)
			c.Loop().StopTimer(&c.timer)
			c.OnIdle(nil)
			return c
		}
	}
	return nil
}

// Put keeps a connection that is between two requests, or closes it. The one that has
// been idle longest makes room.
func (p *Pool) Put(c *Conn) {
	if c.Requests >= p.Requests || c.Loop().NowMsec()-c.start > p.Time.Milliseconds() {
		c.Close()
		return
	}
	p.PutFor(c, p.Requests, p.Timeout)
}

// PutFor is Put with limits of the connection's own. 0 requests are no limit.
func (p *Pool) PutFor(c *Conn, requests int, timeout time.Duration) {
	l := c.Loop()
	if p.Closed || requests > 0 && c.Requests >= requests || c.FD.HUP {
		c.Close()
		return
	}
	if p.n >= p.Max {
		p.last.Close()
	}
	c.pool = p
	c.next = p.first
	if p.first != nil {
		p.first.prev = c
	} else {
		p.last = c
	}
	p.first = c
	p.n++
	if c.closeIdle == nil {
		c.closeIdle = c.Close
		c.timer.Init(c.Close)
	}
	c.OnIdle(c.closeIdle)
	l.SetTimer(&c.timer, timeout)
	if c.FD.Readable && !c.Quiet() {
		c.Close()
	}
}

func (p *Pool) remove(c *Conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		p.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		p.last = c.prev
	}
	c.prev, c.next, c.pool = nil, nil, nil
	p.n--
}

// Close closes all idle connections; from now on none is kept.
func (p *Pool) Close() {
	p.Closed = true
	for p.first != nil {
		p.first.Close()
	}
}

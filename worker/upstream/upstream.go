// Package upstream chooses among the servers of a group, remembers which of them
// have failed, and keeps connections to them for later requests.
//
// It owns the state of a group: weights, failures, connections in use, which a zone
// of shared memory may hold for all workers; and the idle connections of this one.
// It never speaks HTTP, resolves no names and logs nothing; everything in it is for
// the holder of the loop's baton.
package upstream

import (
	"time"

	"perilune/worker/peer"
)

// Server is a server of a group, as it is configured.
type Server struct {
	Name        string
	Addrs       []peer.Addr // a name may have several
	Weight      int
	MaxConns    int // 0: no limit
	MaxFails    int // 0: failures are not counted
	FailTimeout time.Duration
	Backup      bool
	Down        bool
}

// Peer is an address of a group.
type Peer struct {
	peer.Addr
	Server *Server

	state
	own int // of conns: this worker's
}

// state is what changes of a peer.
type state struct {
	effective int // weight, less what failures have taken off it
	current   int
	conns     int
	fails     int
	accessed  int64 // second of the last failure
	checked   int64 // second since which the peer is being tried again
}

// peers are the addresses of a group, or those of its backup servers.
type peers struct {
	list   []*Peer
	single bool
	weight int // of all together
	tries  int // how many of them are not down
	points []point
	backup *peers
}

// Group is the servers of an upstream block, or the addresses of one name.
type Group struct {
	Name string
	Keep *Pool // idle connections; nil: none are kept

	method Method
	peers  *peers
	shared *shared // nil: the state is this worker's
}

// NewGroup makes a group. Balancing is weighted round robin unless Balance says something else.
func NewGroup(name string, servers []Server) *Group {
	g := &Group{Name: name}
	g.peers = newPeers(servers, false)
	if backup := newPeers(servers, true); len(backup.list) > 0 {
		g.peers.backup = backup
		g.peers.single, backup.single = false, false
	}
	return g
}

func newPeers(servers []Server, backup bool) *peers {
	ps := &peers{}
	for i := range servers {
		s := &servers[i]
		if s.Backup != backup {
			continue
		}
		for _, a := range s.Addrs {
			ps.list = append(ps.list, &Peer{Addr: a, Server: s, state: state{effective: s.Weight}})
			ps.weight += s.Weight
			if !s.Down {
				ps.tries++
			}
		}
	}
	ps.single = len(ps.list) == 1
	return ps
}

// Balance sets the method.
func (g *Group) Balance(m Method) {
	g.method = m
	if m == ConsistentHash {
		g.peers.points = ring(g.peers.list)
	}
}

// Peers returns the addresses of the group, or of its backup servers.
func (g *Group) Peers(backup bool) []*Peer {
	switch {
	case !backup:
		return g.peers.list
	case g.peers.backup != nil:
		return g.peers.backup.list
	}
	return nil
}

// all calls f for each peer, backup servers last.
func (g *Group) all(f func(i int, p *Peer)) {
	i := 0
	for ps := g.peers; ps != nil; ps = ps.backup {
		for _, p := range ps.list {
			f(i, p)
			i++
		}
	}
}

// Result is how a try has ended.
type Result uint8

// The results.
const (
	Fine   Result = iota
	Next          // another server is asked, but this one is not to blame
	Failed        // this counts as a failure
)

// Tries are the tries of one request. Begin makes them ready.
type Tries struct {
	Left int // how many more peers may be tried

	group   *Group
	peers   *peers
	current *Peer
	tried   uint64   // of the first 64 peers
	more    []uint64 // of those behind them

	key    []byte // for the hashes
	hash   uint32
	rehash int // hashes made so far
}

// Begin starts with all peers of a group. key is what the method makes a hash of, the client's address for IPHash; it must stay
// as it is.
func (t *Tries) Begin(g *Group, key []byte) {
	more := t.more[:0]
	*t = Tries{group: g, peers: g.peers, more: more, key: key}
	t.Left = g.peers.tries
	if b := g.peers.backup; b != nil {
		t.Left += b.tries
	}
	t.forget()
	t.beginHash()
}

// forget makes all peers untried.
func (t *Tries) forget() {
	t.tried = 0
	t.more = t.more[:0]
	for n := len(t.peers.list); n > 64; n -= 64 {
		t.more = append(t.more, 0)
	}
}

func (t *Tries) word(i int) *uint64 {
	if i < 64 {
		return &t.tried
	}
	return &t.more[i/64-1]
}

func (t *Tries) wasTried(i int) bool { return *t.word(i)&(1<<(i%64)) != 0 }
func (t *Tries) mark(i int)          { *t.word(i) |= 1 << (i % 64) }

// Next chooses a peer; nil if none is alive. now is in seconds.
func (t *Tries) Next(now int64) *Peer {
	if s := t.group.shared; s != nil {
		return s.next(t, now)
	}
	return t.next(now)
}

func (t *Tries) next(now int64) *Peer {
	for {
		p := t.choose(now)
		if p != nil {
			p.conns++
			p.own++
			t.current = p
			return p
		}
		if t.peers.backup == nil {
			return nil
		}
		t.peers = t.peers.backup
		t.forget()
	}
}

func (t *Tries) choose(now int64) *Peer {
	if t.peers.single {
		p := t.peers.list[0]
		if p.Server.Down || p.full() {
			return nil
		}
		return p
	}
	return t.method()(t, now)
}

func (p *Peer) full() bool { return p.Server.MaxConns > 0 && p.conns >= p.Server.MaxConns }

// usable reports whether peer i may be tried.
func (t *Tries) usable(i int, now int64) bool {
	p := t.peers.list[i]
	return !t.wasTried(i) && p.alive(now)
}

// alive reports whether the peer takes requests as far as is known.
func (p *Peer) alive(now int64) bool {
	s := p.Server
	return !s.Down && !p.full() &&
		(s.MaxFails == 0 || p.fails < s.MaxFails || now-p.checked > int64(s.FailTimeout/time.Second))
}

// choosing notes that peer i is the one.
func (t *Tries) choosing(i int, now int64) *Peer {
	p := t.peers.list[i]
	t.mark(i)
	if now-p.checked > int64(p.Server.FailTimeout/time.Second) {
		p.checked = now
	}
	return p
}

// Done ends a try with the peer that Next has given. It reports whether the peer is
// not going to be tried for a while.
func (t *Tries) Done(how Result, now int64) (disabled bool) {
	p := t.current
	if p == nil {
		return false
	}
	t.current = nil
	if s := t.group.shared; s != nil {
		disabled = s.done(t, p, how, now)
	} else {
		disabled = t.done(p, how, now)
	}
	if t.peers.single {
		t.Left = 0
	} else {
		t.Spend()
	}
	return disabled
}

// Spend counts a try.
func (t *Tries) Spend() {
	if t.Left > 0 {
		t.Left--
	}
}

func (t *Tries) done(p *Peer, how Result, now int64) (disabled bool) {
	p.conns--
	p.own--
	switch {
	case t.peers.single:
		p.fails = 0
	case how == Failed:
		p.fails++
		p.accessed, p.checked = now, now
		if s := p.Server; s.MaxFails > 0 {
			p.effective = max(0, p.effective-s.Weight/s.MaxFails)
			disabled = p.fails >= s.MaxFails
		}
	case p.accessed < p.checked:
		p.fails = 0 // the check has passed
	}
	return disabled
}

package http

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/peer"
	"perilune/worker/upstream"
)

// Balancer chooses the server of a try in place of the group's method, or sets things up for that: Balance says what it can do.
// What it returns decides what becomes of the try: OK, Declined (the next server), Busy (there is none), Error, or a status from
// 300 on that the client gets.
type Balancer func(r *Request, b *Balance) int

// Balance is the try that a Balancer decides on, and what it has decided. It lives as long as the request is with its upstream.
type Balance struct {
	u       *upstreamRequest
	running bool
	chosen  bool // peer is the one
	peer    upstream.Peer
	key     string // of the connection among the kept ones
	more    int    // tries
	tries   int    // so far
	last    upstream.Result
	failed  bool // last is of a try that has failed
	keep    bool
	idle    time.Duration
	most    int // requests of a kept connection
	local   *localAddr
}

// SetBalancer gives the upstream block that is being read a Balancer. most is how many connections are kept that Balance.Keep
// asks for; it is asked for when all of the block has been read.
func SetBalancer(cf *conf.Conf, b Balancer, most func() int) {
	u := cf.Ctx.Srv[upstreamModule.Index].(*upstreamConf)
	if len(u.servers) == 0 {
		s := defaultServer()
		s.Name = "0.0.0.1"
		s.Addrs = []peer.Addr{peer.TCP(netip.AddrFrom4([4]byte{0, 0, 0, 1}), 80)}
		u.servers = append(u.servers, s)
		u.serverless = true
	}
	u.redefine(cf)
	u.unsupported = []string{"max_conns", "backup"}
	u.balancer, u.balancerKeeps = b, most
}

// Balance is what a Balancer decides on; nil if the request has no upstream.
func (r *Request) Balance() *Balance {
	if u := r.parts.upstream; u != nil && u.r == r {
		return &u.balance
	}
	return nil
}

// Running reports whether the Balancer is running now.
func (b *Balance) Running() bool { return b.running }

// SetPeer chooses an address: an IP address with or without a port, or unix:path. host tells connections to one address apart
// that are kept. The complaint is nginx's.
func (b *Balance) SetPeer(addr string, port int, host string) (complaint string) {
	url, complaint := parseUpstreamURL(addr, port&0xffff, false)
	if complaint != "" {
		return complaint
	}
	a, ok := url.peerAddr()
	if !ok {
		return "no host allowed"
	}
	b.peer.Addr, b.chosen = a, true
	b.key = a.Name
	if host != "" {
		b.key += "\x00" + strings.ToLower(host)
	}
	return ""
}

// MoreTries lets n more servers be tried, or as many of them as proxy_next_upstream_tries allows.
func (b *Balance) MoreTries(n int) (reduced bool) {
	total := b.tries + b.u.tries.Left - 1
	if most := b.u.conf.nextTries.V; most > 0 && total+n > most {
		n, reduced = most-total, true
	}
	b.more = n
	return reduced
}

// LastFailure tells how the try before has failed: with upstream.Failed or upstream.Next, and the status.
func (b *Balance) LastFailure() (how upstream.Result, status int, failed bool) {
	if n := len(b.u.states); n > 1 {
		status = b.u.states[n-2].status
	}
	return b.last, status, b.failed
}

// SetTimeouts changes those that are not 0, for the rest of the request.
func (b *Balance) SetTimeouts(connect, send, read time.Duration) {
	t := &b.u.timeouts
	for _, c := range []struct {
		to *time.Duration
		d  time.Duration
	}{{&t.connect, connect}, {&t.send, send}, {&t.read, read}} {
		if c.d > 0 {
			*c.to = c.d
		}
	}
}

// Recreate makes the request for the upstream anew. It reports whether it could.
func (b *Balance) Recreate() bool { return b.u.protocol != nil || b.u.create() == 0 }

// Keep has the connection kept for other requests, for so long and so many; 0 is any number. It reports whether a server has
// been chosen.
func (b *Balance) Keep(idle time.Duration, most int) bool {
	b.keep, b.idle, b.most = b.chosen, idle, most
	return b.chosen
}

// BindTo chooses the local address of connections.
func (b *Balance) BindTo(addr string) bool {
	a := parseLocalAddr(addr)
	if a != nil {
		b.local = a
	}
	return a != nil
}

// choosePeer chooses the server of a try; 0 is fine. With failFinal rc is the status.
func (u *upstreamRequest) choosePeer(rc *int) uint {
	u.local = u.bound
	if u.up != nil && u.up.balancer != nil {
		if fail := u.runBalancer(rc); fail != 0 || u.balance.chosen {
			return fail
		}
	}
	u.peer = u.tries.Next(u.r.Loop().Now().Unix())
	switch {
	case u.peer == nil:
		u.name = u.group.Name
		u.state().peer = u.name
		u.r.Log(logging.Error, "no live upstreams")
		return failNoLive
	case u.up != nil && u.up.serverless:
		u.name = u.peer.Name
		u.r.Log(logging.Error, "lua balancer: no peer set")
		*rc = 500
		return failFinal
	}
	u.connKey = u.peer.Name
	return 0
}

func (u *upstreamRequest) runBalancer(rc *int) uint {
	b := &u.balance
	*b = Balance{u: u, tries: b.tries + 1, last: b.last, failed: b.failed, local: b.local, running: true, peer: upstream.Peer{Server: &balancedServer}}
	st := u.up.balancer(u.r, b)
	b.running = false
	switch {
	case st == Declined:
		u.tries.Spend() // nginx does not, and asks for ever
		return failError
	case st == Busy:
		u.r.Log(logging.Error, "no live upstreams")
		return failNoLive
	case st >= 300:
		*rc = st
		return failFinal
	case st != OK:
		*rc = 500
		return failFinal
	}
	if b.local != nil {
		u.local = b.local
	}
	if !b.chosen {
		return 0
	}
	if b.more > 0 {
		u.tries.Left += b.more
	}
	u.peer, u.connKey = &b.peer, b.key
	if b.local != nil {
		u.connKey += "\x00" + b.local.name
	}
	return 0
}

// balancedServer is the server of addresses that Balancers choose.
var balancedServer = defaultServer()

// balanced reports whether the server of the try is a Balancer's choice.
func (u *upstreamRequest) balanced() bool { return u.peer != nil && u.peer == &u.balance.peer }

// pool is where the connection may come from, and go to; nil: it is not kept.
func (u *upstreamRequest) pool() *upstream.Pool {
	if u.balanced() && u.balance.keep {
		return &u.up.balanced
	}
	return u.group.Keep
}

// keepConn puts the connection into a pool.
func (u *upstreamRequest) keepConn(p *upstream.Pool) {
	if p == &u.up.balanced {
		p.PutFor(u.conn, u.balance.most, u.balance.idle)
		return
	}
	p.Put(u.conn)
}

// localAddr is an address to connect from.
type localAddr struct {
	addr peer.Addr
	name string // as written
}

// parseLocalAddr parses an IP address with or without a port; nil if it is none.
func parseLocalAddr(text string) *localAddr {
	host, port := text, ""
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return nil
		}
		host = text[1:end]
		if rest := text[end+1:]; rest != "" {
			if rest[0] != ':' || rest == ":" {
				return nil
			}
			port = rest[1:]
		}
	} else if i := strings.LastIndexByte(text, ':'); i >= 0 && strings.IndexByte(text, ':') == i {
		host, port = text[:i], text[i+1:]
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return nil
	}
	n := uint64(0)
	if port != "" || strings.HasSuffix(text, ":") {
		if n, err = strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil
		}
	}
	return &localAddr{peer.TCP(ip, uint16(n)), text}
}

// Package resolver is nginx's resolver: it asks name servers for the addresses of hosts while a worker serves, and the directives
// that configure it.
//
// It does as nginx does: both A and AAAA are asked for, whoever asks for a name that is being asked for waits for the same answer, an
// unanswered question goes to the next server after 5 seconds, a truncated answer is asked for again over TCP, addresses are kept for
// their TTL (or valid=) and errors are not kept at all. It differs in that its sockets live only while something is being asked:
// the next questions come from another port, and a worker that has come to its end leaves none behind.
//
// All of it belongs to the holder of the loop's baton. It never blocks, and it never asks the C library or Go's own resolver, which
// package conf does for hosts that are looked up at start.
package resolver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"perilune/logging"
	"perilune/worker/loop"
)

const (
	resendAfter = 5 * time.Second // an unanswered question is sent again
	keepUnused  = 30              // seconds that a name stays which nobody asks for
	maxHops     = 50              // aliases followed for one name
)

// Codes of errors: those of DNS, and one of nginx.
const (
	CodeFormat   = 1
	CodeServer   = 2
	CodeNotFound = 3
	CodeUnknown  = 4
	CodeRefused  = 5
	CodeTimedOut = 110
)

// Error is why a host has no addresses.
type Error struct {
	Name string // of the host
	Code int    // as of DNS, or CodeTimedOut; 0 if there is no resolver
}

// Error is the message of nginx, and of ngx_lua where there is no resolver.
func (e *Error) Error() string {
	if e.Code == 0 {
		return fmt.Sprintf("no resolver defined to resolve \"%s\"", e.Name)
	}
	return fmt.Sprintf("%s could not be resolved (%d: %s)", e.Name, e.Code, e.Text())
}

// Text is the meaning of the code.
func (e *Error) Text() string {
	switch e.Code {
	case CodeFormat:
		return "Format error"
	case CodeServer:
		return "Server failure"
	case CodeNotFound:
		return "Host not found"
	case CodeUnknown:
		return "Unimplemented"
	case CodeRefused:
		return "Operation refused"
	case CodeTimedOut:
		return "Operation timed out"
	}
	return "Unknown error"
}

// Host is the worker that a resolver is part of.
type Host interface {
	Reserve() bool // one of the worker_connections
	Release()
	OnDraining(f func())
}

// Resolver is what a resolver directive describes, with the names that it knows.
type Resolver struct {
	servers []*server
	valid   int64 // seconds that addresses are kept for; 0 for their TTL
	ipv4    bool
	ipv6    bool
	local   *localHosts // nil without local=on
	system  resolvConf  // of local=on

	loop     *loop.Loop
	log      *logging.Log
	host     Host
	names    map[string]*node
	unused   nodeList // of names with an answer, the last used first
	asking   int      // names in flight
	next     int      // the server for the next name
	draining bool
}

// Attach makes the resolver part of a worker. A resolver that several blocks of the configuration share is attached once.
func (r *Resolver) Attach(log *logging.Log, host Host) {
	if r.host != nil {
		return
	}
	r.log, r.host = log, host
	host.OnDraining(r.drain)
}

// Query is one wait for the addresses of a host. The zero value is ready for use; it can be used again.
type Query struct {
	wait  loop.Waiter
	node  *node
	index int // in the node's waiting
	hops  int // aliases followed
	done  bool
	code  int
	addrs []netip.Addr
}

// Cancel ends the wait with err.
func (q *Query) Cancel(l *loop.Loop, err error) { l.Wake(&q.wait, err) }

// Lookup returns the addresses of a host; it parks until they are there, or for timeout at most (0 is for ever). The addresses are
// not to be changed. An address for a name is its own answer. A nil resolver has none.
func (r *Resolver) Lookup(l *loop.Loop, name string, timeout time.Duration) ([]netip.Addr, error) {
	return r.LookupWith(new(Query), l, name, timeout)
}

// LookupWith is Lookup with a wait that can be cancelled.
func (r *Resolver) LookupWith(q *Query, l *loop.Loop, name string, timeout time.Duration) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{ip}, nil
	}
	if r == nil {
		return nil, &Error{Name: name}
	}
	host := strings.ToLower(strings.TrimSuffix(name, "."))
	if addrs := r.local.lookup(host, r.ipv4, r.ipv6); addrs != nil {
		return addrs, nil
	}
	r.loop = l
	err := error(nil)
	if len(r.system.search) == 0 || strings.HasSuffix(name, ".") {
		err = r.ask(q, host, timeout)
	} else {
		err = r.search(q, host, timeout)
	}
	if err != nil {
		return nil, err
	}
	r.expire()
	if log := r.log; log != nil && log.Enabled(logging.Debug) {
		log.Logf(logging.Debug, 0, "resolve name done: %d", q.code)
	}
	if q.code != 0 {
		return nil, &Error{Name: name, Code: q.code}
	}
	return q.addrs, nil
}

// search asks for a name in the domains of the system, too, within the timeout.
func (r *Resolver) search(q *Query, name string, timeout time.Duration) error {
	end := r.loop.NowMsec() + timeout.Milliseconds()
	for _, candidate := range r.system.candidates(name) {
		left := time.Duration(0)
		if timeout > 0 {
			left = time.Duration(max(end-r.loop.NowMsec(), 1)) * time.Millisecond
		}
		if err := r.ask(q, candidate, left); err != nil || q.code != CodeNotFound {
			return err
		}
	}
	return nil
}

// ask waits for the answer about a host. The error is that of a wait that somebody has ended.
func (r *Resolver) ask(q *Query, host string, timeout time.Duration) error {
	q.hops, q.done, q.code, q.addrs = 0, false, 0, nil
	r.resolve(host, []*Query{q})
	if q.done {
		return nil
	}
	err := r.loop.Park(&q.wait, timeout)
	if q.done {
		return nil
	}
	r.leave(q)
	if err != loop.ErrTimeout {
		return err
	}
	q.code = CodeTimedOut
	return nil
}

// node is a name: asked for, or answered.
type node struct {
	name      string
	waiting   []*Query
	questions [families]question
	code      int // of the family whose answer has come first
	server    int // asked last
	resend    loop.Timer
	asking    bool // in flight

	ttl        uint32
	valid      int64 // the second up to which the answer holds
	expire     int64 // the second after which it is forgotten unless somebody asks
	alias      string
	addrs      [families][]netip.Addr
	prev, more *node // in the list of unused names
}

// The families of addresses.
const (
	family4 = iota
	family6
	families
)

func (n *node) total() int { return len(n.addrs[family4]) + len(n.addrs[family6]) }

// resolve finds a name, lower-case and without a final dot, for those who wait, or has them wait at the name's node.
func (r *Resolver) resolve(name string, waiting []*Query) {
	now := r.loop.Now().Unix()
	for {
		n := r.names[name]
		if n == nil || n.valid < now {
			r.join(name, n, waiting)
			return
		}
		r.unused.remove(n)
		n.expire = now + keepUnused
		r.unused.push(n)
		if n.total() > 0 {
			answerAll(r.loop, waiting, n.export(true), 0)
			return
		}
		waiting[0].hops++
		if waiting[0].hops > maxHops {
			answerAll(r.loop, waiting, nil, CodeNotFound)
			return
		}
		name = n.alias
	}
}

// join has the queries wait at a node, which may not be there yet or be out of date, and asks if nobody has.
func (r *Resolver) join(name string, n *node, waiting []*Query) {
	if n != nil && len(n.waiting) > 0 {
		n.wait(waiting)
		return
	}
	if n == nil {
		n = &node{name: name}
		n.resend.Init(func() { r.again(n) })
		if r.names == nil {
			r.names = make(map[string]*node)
		}
		r.names[name] = n
	} else if !n.asking {
		r.unused.remove(n)
	}
	if !n.prepare(r.ipv4, r.ipv6) {
		r.forget(n)
		answerAll(r.loop, waiting, nil, CodeNotFound)
		return
	}
	n.wait(waiting)
	if !n.asking {
		n.asking = true
		r.asking++
	}
	n.server = r.next
	r.next = r.after(r.next)
	if !r.send(n) {
		n.server = r.after(n.server) // one more try at once
		r.send(n)
	}
	r.loop.SetTimer(&n.resend, resendAfter)
}

func (r *Resolver) after(server int) int { return (server + 1) % len(r.servers) }

// wait appends queries to those that wait.
func (n *node) wait(waiting []*Query) {
	for _, q := range waiting {
		q.node, q.index = n, len(n.waiting)
		n.waiting = append(n.waiting, q)
	}
}

// leave takes a query out of those that wait.
func (r *Resolver) leave(q *Query) {
	n := q.node
	last := n.waiting[len(n.waiting)-1]
	n.waiting[q.index], last.index = last, q.index
	n.waiting = n.waiting[:len(n.waiting)-1]
	q.node = nil
	if r.draining && len(n.waiting) == 0 {
		r.forget(n)
	}
}

// again is called when a question has not been answered in time.
func (r *Resolver) again(n *node) {
	if len(n.waiting) == 0 {
		r.forget(n)
		return
	}
	n.server = r.after(n.server)
	r.send(n)
	r.loop.SetTimer(&n.resend, resendAfter)
}

// forget drops a node and what has been asked for it.
func (r *Resolver) forget(n *node) {
	delete(r.names, n.name)
	r.answered(n)
}

// answered ends the asking for a node.
func (r *Resolver) answered(n *node) {
	if !n.asking {
		return
	}
	n.asking = false
	r.loop.DropTimer(&n.resend)
	n.questions = [families]question{}
	if r.asking--; r.asking == 0 {
		for _, s := range r.servers {
			s.closeAll()
		}
	}
}

// fail ends the waits at a node with an error. The error is not kept.
func (r *Resolver) fail(n *node, code int) {
	waiting := n.waiting
	n.waiting = nil
	r.forget(n)
	answerAll(r.loop, waiting, nil, code)
}

// keep makes the answer to a node's questions valid.
func (r *Resolver) keep(n *node) (waiting []*Query) {
	r.answered(n)
	now := r.loop.Now().Unix()
	n.valid, n.expire = now+int64(n.ttl), now+keepUnused
	if r.valid != 0 {
		n.valid = now + r.valid
	}
	r.unused.push(n)
	waiting, n.waiting = n.waiting, nil
	return waiting
}

// finish gives those who wait the addresses.
func (r *Resolver) finish(n *node) { answerAll(r.loop, r.keep(n), n.export(false), 0) }

// follow goes on with the name that the node's is an alias of.
func (r *Resolver) follow(n *node, alias string) {
	n.alias = alias
	waiting := r.keep(n)
	if len(waiting) == 0 {
		return
	}
	waiting[0].hops++
	if waiting[0].hops > maxHops {
		answerAll(r.loop, waiting, nil, CodeNotFound)
		return
	}
	r.resolve(alias, waiting)
}

func answerAll(l *loop.Loop, waiting []*Query, addrs []netip.Addr, code int) {
	for _, q := range waiting {
		q.node, q.done, q.addrs, q.code = nil, true, addrs, code
		l.Wake(&q.wait, nil)
	}
}

// export is all addresses, IPv4 first; rotated at random, so that each address is the first one at times.
func (n *node) export(rotate bool) []netip.Addr {
	total := n.total()
	addrs := make([]netip.Addr, total)
	at := 0
	if rotate {
		at = rand.IntN(total)
	}
	for _, family := range n.addrs {
		from := 0
		if rotate && len(family) > 1 {
			from = rand.IntN(len(family))
		}
		for i := range family {
			addrs[at%total] = family[(from+i)%len(family)]
			at++
		}
	}
	return addrs
}

// expire forgets up to two names that nobody has asked for in a while.
func (r *Resolver) expire() {
	now := r.loop.Now().Unix()
	for range 2 {
		n := r.unused.last
		if n == nil || now <= n.expire {
			return
		}
		r.unused.remove(n)
		r.forget(n)
	}
}

// drain is called when the worker is about to go: questions that nobody waits for are given up, now and from now on.
func (r *Resolver) drain() {
	r.draining = true
	for _, n := range r.names {
		if n.asking && len(n.waiting) == 0 {
			r.forget(n)
		}
	}
}

// nodeList is a doubly linked list of nodes.
type nodeList struct{ first, last *node }

func (q *nodeList) push(n *node) {
	n.prev, n.more = nil, q.first
	if q.first == nil {
		q.last = n
	} else {
		q.first.prev = n
	}
	q.first = n
}

func (q *nodeList) remove(n *node) {
	if n.prev == nil {
		q.first = n.more
	} else {
		n.prev.more = n.more
	}
	if n.more == nil {
		q.last = n.prev
	} else {
		n.more.prev = n.prev
	}
	n.prev, n.more = nil, nil
}

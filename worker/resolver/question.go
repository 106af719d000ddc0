package resolver

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// question is what is asked about a name for one family.
type question struct {
	msg  []byte // nil if the family is not asked for
	open bool   // not answered yet
	tcp  bool   // the answer over UDP was truncated
}

func (q *question) id() uint16 { return binary.BigEndian.Uint16(q.msg) }

var questionTypes = [families]dnsmessage.Type{family4: dnsmessage.TypeA, family6: dnsmessage.TypeAAAA}

// prepare makes the questions about a node. It reports false if its name cannot be one of a host.
func (n *node) prepare(ipv4, ipv6 bool) bool {
	n.code, n.valid, n.ttl, n.alias = 0, 0, ^uint32(0), ""
	n.addrs = [families][]netip.Addr{}
	name, err := dnsmessage.NewName(n.name + ".")
	if err != nil || n.name == "" {
		return false
	}
	var ids [2 * families]byte
	_, _ = rand.Read(ids[:]) // never fails
	for family, wanted := range [families]bool{ipv4, ipv6} {
		n.questions[family] = question{}
		if !wanted {
			continue
		}
		b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: binary.BigEndian.Uint16(ids[2*family:]), RecursionDesired: true})
		_ = b.StartQuestions() // the builder is in order
		if b.Question(dnsmessage.Question{Name: name, Type: questionTypes[family], Class: dnsmessage.ClassINET}) != nil {
			return false // an empty label, or one that is too long
		}
		msg, err := b.Finish()
		if err != nil {
			return false
		}
		n.questions[family] = question{msg: msg, open: true}
	}
	return true
}

// send sends the questions that are open to the node's server.
func (r *Resolver) send(n *node) bool {
	s := r.servers[n.server]
	for i := range n.questions {
		q := &n.questions[i]
		if !q.open {
			continue
		}
		if q.tcp && !s.sendTCP(q.msg) || !q.tcp && !s.sendUDP(q.msg) {
			return false
		}
	}
	return true
}

package resolver

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"perilune/logging"
)

const (
	flagsChecked  = 0xf870 // response, kind of query, and the bits that a query without extensions leaves 0
	flagsResponse = 0x8000
	headerSize    = 12
)

// take deals with a message of a name server.
func (r *Resolver) take(b []byte, tcp bool) {
	if len(b) < headerSize {
		r.complain("short DNS response")
		return
	}
	id, flags := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	questions, records := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	var p dnsmessage.Parser
	header, err := p.Start(b)
	code := int(header.RCode)
	switch {
	case err != nil:
		r.complain("short DNS response")
		return
	case flags&flagsChecked != flagsResponse || header.Truncated && tcp:
		kind := "UDP"
		if tcp {
			kind = "TCP"
		}
		r.complain("invalid %s DNS response %d fl:%04X", kind, id, flags)
		return
	case code == CodeFormat || code > CodeRefused:
		r.dnsError(code, id)
		return
	case questions != 1:
		r.complain("invalid number of questions in DNS response")
		return
	}
	q, err := p.Question()
	if err != nil {
		r.malformed(err)
		return
	}
	name := hostName(q.Name)
	family := -1
	for i, t := range questionTypes {
		if q.Type == t {
			family = i
		}
	}
	switch {
	case name == "":
		r.complain("zero-length domain name in DNS response")
		return
	case q.Class != dnsmessage.ClassINET:
		r.complain("unknown query class %d in DNS response", q.Class)
		return
	case family < 0:
		r.complain("unknown query type %d in DNS response", q.Type)
		return
	}
	n := r.names[name]
	if n == nil || !n.questions[family].open {
		r.complain("unexpected DNS response for %s", name)
		return
	}
	asked := &n.questions[family]
	if header.Truncated && asked.tcp {
		return
	}
	if asked.id() != id {
		r.complain("wrong ident %d in DNS response for %s, expect %d", id, name, asked.id())
		return
	}
	if header.Truncated {
		r.truncated(n, asked)
		return
	}
	r.answer(n, family, code, int(records), &p)
}

func hostName(name dnsmessage.Name) string {
	return strings.ToLower(strings.TrimSuffix(name.String(), "."))
}

// truncated asks once more, over TCP.
func (r *Resolver) truncated(n *node, q *question) {
	if len(n.waiting) == 0 {
		r.forget(n)
		return
	}
	q.tcp = true
	r.servers[n.server].sendTCP(q.msg)
	r.loop.SetTimer(&n.resend, resendAfter)
}

// answer takes the answer to a node's question.
func (r *Resolver) answer(n *node, family, code, records int, p *dnsmessage.Parser) {
	other := families - 1 - family
	if code == 0 {
		code = n.code
	}
	var addrs []netip.Addr
	alias := ""
	if code == 0 && records > 0 {
		if err := p.SkipAllQuestions(); err != nil {
			r.malformed(err)
			return
		}
		var ok bool
		if addrs, alias, ok = r.records(n, family, records, p); !ok {
			return
		}
	}
	n.questions[family].open = false
	n.addrs[family] = addrs
	switch {
	case n.questions[other].open:
		n.code = code
	case code != 0:
		r.fail(n, code)
	case n.total() > 0:
		r.finish(n)
	case alias != "":
		r.follow(n, alias)
	default:
		if records > 0 {
			r.complain("no A or CNAME types in DNS response")
		}
		r.fail(n, CodeNotFound)
	}
}

// records reads the records of an answer. It reports false if the answer is not to be used; the question is sent again then, when
// its time has come.
func (r *Resolver) records(n *node, family, count int, p *dnsmessage.Parser) (addrs []netip.Addr, alias string, ok bool) {
	for range count {
		h, err := p.AnswerHeader()
		if err != nil {
			r.malformed(err)
			return nil, "", false
		}
		if h.Class != dnsmessage.ClassINET {
			r.complain("unexpected RR class %d in DNS response", h.Class)
			return nil, "", false
		}
		ttl := h.TTL
		if int32(ttl) < 0 {
			ttl = 0
		}
		n.ttl = min(n.ttl, ttl)
		switch h.Type {
		case dnsmessage.TypeA, dnsmessage.TypeAAAA:
			kind, size := "A", 4
			if h.Type == dnsmessage.TypeAAAA {
				kind, size = "AAAA", 16
			}
			switch {
			case h.Type != questionTypes[family]:
				r.complain("unexpected %s record in DNS response", kind)
				return nil, "", false
			case int(h.Length) != size:
				r.complain("invalid %s record in DNS response", kind)
				return nil, "", false
			}
			addr, err := address(p, h.Type)
			if err != nil {
				r.malformed(err)
				return nil, "", false
			}
			addrs = append(addrs, addr)
			continue
		case dnsmessage.TypeCNAME:
			res, err := p.CNAMEResource()
			if err != nil {
				r.malformed(err)
				return nil, "", false
			}
			alias = hostName(res.CNAME)
			continue
		case typeDNAME:
		default:
			r.complain("unexpected RR type %d in DNS response", h.Type)
		}
		if err := p.SkipAnswer(); err != nil {
			r.malformed(err)
			return nil, "", false
		}
	}
	return addrs, alias, true
}

const typeDNAME = dnsmessage.Type(39)

func address(p *dnsmessage.Parser, t dnsmessage.Type) (netip.Addr, error) {
	if t == dnsmessage.TypeA {
		res, err := p.AResource()
		return netip.AddrFrom4(res.A), err
	}
	res, err := p.AAAAResource()
	return netip.AddrFrom16(res.AAAA), err
}

// complain logs what is wrong with a message.
func (r *Resolver) complain(format string, args ...any) {
	if r.log != nil {
		r.log.Logf(logging.Error, 0, format, args...)
	}
}

// malformed logs in nginx's words what the parser has found.
func (r *Resolver) malformed(err error) {
	text := err.Error()
	switch {
	case strings.HasSuffix(text, "too many pointers (>10)"):
		r.complain("compression pointers loop in DNS response")
	case strings.HasSuffix(text, "invalid pointer"):
		r.complain("name is out of DNS response")
	case strings.HasSuffix(text, "segment prefix is reserved"):
		r.complain("invalid label type in DNS response")
	default:
		r.complain("short DNS response")
	}
}

// dnsError logs an error that is not about a name; if it is the answer to a question, with the name.
func (r *Resolver) dnsError(code int, id uint16) {
	text := (&Error{Code: code}).Text()
	if code == CodeFormat {
		for _, n := range r.names {
			for i := range n.questions {
				if q := &n.questions[i]; q.msg != nil && q.id() == id {
					r.complain("DNS error (%d: %s), query id:%d, name:\"%s\"", code, text, id, n.name)
					return
				}
			}
		}
	}
	r.complain("DNS error (%d: %s), query id:%d", code, text, id)
}

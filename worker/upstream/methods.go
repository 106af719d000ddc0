package upstream

import (
	"cmp"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Method is how a peer is chosen.
type Method uint8

// The methods, each as nginx has it.
const (
	RoundRobin     Method = iota
	LeastConn             // the fewest connections for its weight
	Random                // by chance and weight
	RandomTwo             // of two of these the one with fewer connections
	IPHash                // by the client's address: its first three bytes, or all of an IPv6 address
	Hash                  // by a key, and the sum of the weights
	ConsistentHash        // by a key, on a ring of points
)

var methods = [...]func(*Tries, int64) *Peer{
	RoundRobin: roundRobin, LeastConn: leastConn, Random: random, RandomTwo: randomTwo,
	IPHash: ipHash, Hash: hash, ConsistentHash: consistentHash,
}

// counts reports whether the method looks at the connections of peers.
func (m Method) counts() bool { return m == LeastConn || m == RandomTwo }

// maxTries is after how many peers that are not usable chance and hashes give way to round robin.
const maxTries = 20

// method is the function to choose by. Of backup servers only LeastConn takes the best; chance and hashes are for a choice.
func (t *Tries) method() func(*Tries, int64) *Peer {
	m := t.group.method
	if len(t.peers.list) < 2 || m > LeastConn && (t.peers != t.group.peers || t.rehash > maxTries || m >= Hash && len(t.key) == 0) {
		m = RoundRobin
	}
	return methods[m]
}

// roundRobin is the smooth weighted round robin: each peer gains its weight, the one
// with the most is chosen and loses the sum of all.
func roundRobin(t *Tries, now int64) *Peer {
	best, total := -1, 0
	for i, p := range t.peers.list {
		if t.usable(i, now) {
			total += t.gain(i)
			if best < 0 || p.current > t.peers.list[best].current {
				best = i
			}
		}
	}
	return t.take(best, total, now)
}

// gain gives peer i its weight, and lets a weight that failures have lowered grow.
func (t *Tries) gain(i int) int {
	p := t.peers.list[i]
	gained := p.effective
	p.current += gained
	if p.effective < p.Server.Weight {
		p.effective++
	}
	return gained
}

// take chooses peer i, if there is one, for the weights of all that were in question.
func (t *Tries) take(i, total int, now int64) *Peer {
	if i < 0 {
		return nil
	}
	t.peers.list[i].current -= total
	return t.choosing(i, now)
}

// busier compares the connections of two peers by their weights.
func busier(p, q *Peer) int { return cmp.Compare(p.conns*q.Server.Weight, q.conns*p.Server.Weight) }

// leastConn chooses among peers that are equally busy by round robin.
func leastConn(t *Tries, now int64) *Peer {
	list := t.peers.list
	best, total, many := -1, 0, false
	for i, p := range list {
		if !t.usable(i, now) {
			continue
		}
		switch {
		case best < 0 || busier(p, list[best]) < 0:
			best, many = i, false
		case busier(p, list[best]) == 0:
			many = true
		}
	}
	if many {
		for i := best; i < len(list); i++ {
			if !t.usable(i, now) || busier(list[i], list[best]) != 0 {
				continue
			}
			total += t.gain(i)
			if list[i].current > list[best].current {
				best = i
			}
		}
	}
	return t.take(best, total, now)
}

// weighted is the peer at a place in the sum of all weights.
func (t *Tries) weighted(w int) int {
	for i, p := range t.peers.list {
		if w -= p.Server.Weight; w < 0 {
			return i
		}
	}
	return 0
}

func random(t *Tries, now int64) *Peer {
	for ; t.rehash <= maxTries; t.rehash++ {
		if i := t.weighted(rand.IntN(t.peers.weight)); t.usable(i, now) {
			return t.choosing(i, now)
		}
	}
	return roundRobin(t, now)
}

func randomTwo(t *Tries, now int64) *Peer {
	first := -1
	for ; t.rehash <= maxTries; t.rehash++ {
		i := t.weighted(rand.IntN(t.peers.weight))
		switch {
		case i == first || !t.usable(i, now):
		case first < 0:
			first = i
		default:
			if busier(t.peers.list[i], t.peers.list[first]) > 0 {
				i = first
			}
			return t.choosing(i, now)
		}
	}
	return roundRobin(t, now)
}

// beginHash makes the first hash of a request.
func (t *Tries) beginHash() {
	switch t.group.method {
	case IPHash:
		t.hash = 89
	case ConsistentHash:
		sum := crc32.ChecksumIEEE(t.key)
		i, _ := slices.BinarySearchFunc(t.peers.points, sum, func(p point, sum uint32) int { return cmp.Compare(p.hash, sum) })
		t.hash = uint32(i)
	}
}

func ipHash(t *Tries, now int64) *Peer {
	addr := t.key
	var three [3]byte
	if len(addr) != 16 {
		copy(three[:], addr)
		addr = three[:]
	}
	for {
		for _, b := range addr {
			t.hash = (t.hash*113 + uint32(b)) % 6271
		}
		i := t.weighted(int(t.hash) % t.peers.weight)
		if t.usable(i, now) {
			return t.choosing(i, now)
		}
		if t.rehash++; t.rehash > maxTries {
			return roundRobin(t, now)
		}
	}
}

// hash is compatible with Cache::Memcached.
func hash(t *Tries, now int64) *Peer {
	for tries := t.rehash; tries <= maxTries; tries++ {
		var sum uint32
		if t.rehash > 0 {
			var digits [4]byte
			sum = crc32.ChecksumIEEE(strconv.AppendInt(digits[:0], int64(t.rehash), 10))
		}
		sum = crc32.Update(sum, crc32.IEEETable, t.key)
		t.hash += sum >> 16 & 0x7fff
		t.rehash++
		if i := t.weighted(int(t.hash) % t.peers.weight); t.usable(i, now) {
			return t.choosing(i, now)
		}
	}
	return roundRobin(t, now)
}

// point is a place on the ring of a server.
type point struct {
	hash   uint32
	server string
}

// pointsOfWeight is how many points a server has for each unit of its weight.
const pointsOfWeight = 160

// ring makes the points, compatibly with Cache::Memcached::Fast.
func ring(list []*Peer) []point {
	var points []point
	for _, p := range list {
		name := p.Server.Name
		host, port := name, ""
		if rest, isUnix := cutPrefixFold(name, "unix:"); isUnix {
			host = rest
		} else if i := strings.LastIndexByte(name, ':'); i >= 0 && strings.Trim(name[i+1:], "0123456789") == "" {
			host, port = name[:i], name[i+1:]
		}
		base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
		var prev uint32
		for range p.Server.Weight * pointsOfWeight {
			prev = crc32.Update(base, crc32.IEEETable, []byte{byte(prev), byte(prev >> 8), byte(prev >> 16), byte(prev >> 24)})
			points = append(points, point{prev, name})
		}
	}
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.hash, b.hash) })
	return slices.CompactFunc(points, func(a, b point) bool { return a.hash == b.hash })
}

func cutPrefixFold(s, prefix string) (rest string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// consistentHash chooses by round robin among the addresses of the server that the key's point is of, and goes on to the next
// point while none of them is usable.
func consistentHash(t *Tries, now int64) *Peer {
	points := t.peers.points
	for t.rehash <= maxTries {
		server := points[int(t.hash)%len(points)].server
		best, total := -1, 0
		for i, p := range t.peers.list {
			if p.Server.Name != server || !t.usable(i, now) {
				continue
			}
			total += t.gain(i)
			if best < 0 || p.current > t.peers.list[best].current {
				best = i
			}
		}
		if best >= 0 {
			return t.take(best, total, now)
		}
		t.hash++
		t.rehash++
	}
	return roundRobin(t, now)
}

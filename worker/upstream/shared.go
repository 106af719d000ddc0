package upstream

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"

	"perilune/ipc/shm"
)

// shared is the state of a group in a zone: one entry, which a worker takes out, changes and puts back under the zone's lock.
// It begins with the connections in use of each worker, so that those of one that has been killed are known, if anything
// depends on their number; then comes the state of each peer.
type shared struct {
	group  *Group
	dict   *shm.Dict
	key    []byte
	me     uint64 // this process
	owners int    // 0: connections are not counted
	n      int    // peers
	size   int
	slot   int   // of this process; -1: it has none
	looked int64 // second of the last look for processes that are gone
	report func(error)

	// What the entry is taken out for.
	modify func(entry []byte, found bool) int64
	now    int64
	op     func(s *shared)
	tries  *Tries
	peer   *Peer
	how    Result
	chosen *Peer
	ended  bool // disabled
	ran    bool
}

// sharedOwners is how many processes can count their connections; others' do not count.
const sharedOwners = 32

const stateSize = 32

// Share keeps the state of a group in a dictionary, for all workers with the same configuration. report is told when that does
// not work; the group goes on with what this worker knows.
func (g *Group) Share(d *shm.Dict, report func(error)) {
	s := &shared{group: g, dict: d, me: shm.Self().Word(), slot: -1, report: report}
	sum := fnv.New64a()
	count := g.method.counts()
	g.all(func(i int, p *Peer) {
		c := p.Server
		count = count || c.MaxConns > 0
		for _, n := range []int{c.Weight, c.MaxConns, c.MaxFails, int(c.FailTimeout)} {
			_, _ = sum.Write(strconv.AppendInt([]byte{' '}, int64(n), 10))
		}
		_, _ = sum.Write([]byte(p.Name + "\x00"))
		s.n = i + 1
	})
	if count {
		s.owners = sharedOwners
	}
	s.key = binary.NativeEndian.AppendUint64(append([]byte(g.Name), 0, byte(g.method)), sum.Sum64())
	s.size = s.owners*(8+4*s.n) + s.n*stateSize
	s.modify = func(entry []byte, found bool) int64 {
		if found {
			s.load(entry)
		} else {
			s.reset()
		}
		s.ran = true
		s.op(s)
		s.store(entry)
		return 0
	}
	g.shared = s
}

func (s *shared) next(t *Tries, now int64) *Peer {
	s.tries, s.chosen = t, nil
	s.run(now, (*shared).opNext)
	return s.chosen
}

func (s *shared) opNext() { s.chosen = s.tries.next(s.now) }

func (s *shared) done(t *Tries, p *Peer, how Result, now int64) bool {
	s.tries, s.peer, s.how = t, p, how
	s.run(now, (*shared).opDone)
	return s.ended
}

func (s *shared) opDone() { s.ended = s.tries.done(s.peer, s.how, s.now) }

// run does something with the state.
func (s *shared) run(now int64, op func(s *shared)) {
	s.now, s.op, s.ran = now, op, false
	if _, err := s.dict.Modify(s.key, s.size, false, s.modify); err != nil {
		s.report(err)
	}
	if !s.ran {
		op(s)
	}
	s.tries, s.peer = nil, nil
}

// reset is the state of a group that the zone does not have: as if nothing had happened but this worker's connections.
func (s *shared) reset() {
	s.slot = -1
	s.group.all(func(_ int, p *Peer) {
		p.state = state{effective: p.Server.Weight, conns: p.own}
	})
}

func (s *shared) count(entry []byte, slot, i int) []byte {
	return entry[s.owners*8+4*(slot*s.n+i):]
}

// load takes the state out of the entry.
func (s *shared) load(entry []byte) {
	states := entry[s.owners*(8+4*s.n):]
	if s.owners > 0 {
		s.settle(entry)
	}
	s.group.all(func(i int, p *Peer) {
		b := states[i*stateSize:]
		word := func(k int) int { return int(int32(binary.NativeEndian.Uint32(b[4*k:]))) }
		p.effective, p.current, p.fails = word(0), word(1), word(2)
		p.accessed = int64(binary.NativeEndian.Uint64(b[16:]))
		p.checked = int64(binary.NativeEndian.Uint64(b[24:]))
		p.conns = p.own
		for slot := range s.owners {
			if slot != s.slot {
				p.conns += int(binary.NativeEndian.Uint32(s.count(entry, slot, i)))
			}
		}
	})
}

// settle finds the place of this process, and once in a second those of processes that are gone, which it clears.
func (s *shared) settle(entry []byte) {
	look := s.now != s.looked
	s.looked = s.now
	if s.slot >= 0 && binary.NativeEndian.Uint64(entry[8*s.slot:]) != s.me {
		s.slot = -1
	}
	free := -1
	for slot := range s.owners {
		owner := binary.NativeEndian.Uint64(entry[8*slot:])
		if owner == s.me {
			s.slot = slot
		}
		if owner != 0 && owner != s.me && look && !shm.Alive(owner) {
			owner = 0
			binary.NativeEndian.PutUint64(entry[8*slot:], 0)
			clear(s.count(entry, slot, 0)[:4*s.n])
		}
		if owner == 0 && free < 0 {
			free = slot
		}
	}
	if s.slot < 0 && free >= 0 {
		s.slot = free
	}
}

// store puts it back.
func (s *shared) store(entry []byte) {
	if s.owners > 0 && s.slot < 0 {
		s.settle(entry)
	}
	if s.slot >= 0 {
		binary.NativeEndian.PutUint64(entry[8*s.slot:], s.me)
	}
	states := entry[s.owners*(8+4*s.n):]
	s.group.all(func(i int, p *Peer) {
		b := states[i*stateSize:]
		for k, n := range [...]int{p.effective, p.current, p.fails} {
			binary.NativeEndian.PutUint32(b[4*k:], uint32(int32(n)))
		}
		binary.NativeEndian.PutUint64(b[16:], uint64(p.accessed))
		binary.NativeEndian.PutUint64(b[24:], uint64(p.checked))
		if s.slot >= 0 {
			binary.NativeEndian.PutUint32(s.count(entry, s.slot, i), uint32(p.own))
		}
	})
}

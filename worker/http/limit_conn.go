package http

import (
	"encoding/binary"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
)

// limitConnConf is the struct of a location for limit_conn.
type limitConnConf struct {
	limitSettings
	limits []connLimit
}

// connLimit is a limit_conn directive.
type connLimit struct {
	zone *conf.Zone
	most uint64
}

// heldConn is a request that has been counted as one of a key; the key ends there in limitState.keys.
type heldConn struct {
	zone *limitZone
	end  int
}

var limitConnModule = &conf.Module{
	Name:      "http_limit_conn",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &limitConnConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, lc := prev.(*limitConnConf), c.(*limitConnConf)
		if lc.limits == nil {
			lc.limits = p.limits
		}
		lc.merge(&p.limitSettings)
		return nil
	},
}

func init() {
	limitConnModule.Preconfiguration = func(cf *conf.Conf) error {
		return AddVariable(cf, limitVariable("limit_conn_status", "what limit_conn has decided: PASSED, REJECTED …",
			func(s *limitState) limitStatus { return s.conn }))
	}
	limitConnModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHandler(Preaccess, limitConnHandler)
		return checkLimitZones(cf, limitConnModule)
	}
	limitConnModule.Commands = append([]conf.Command{
		{Name: "limit_conn_zone", Ctx: conf.HTTP, Args: conf.Take2, Level: conf.MainConf,
			Set: func(cf *conf.Conf, _ any) error { return setLimitZone(cf, limitConnModule) },
			Doc: "A zone of shared memory, zone=name:size, that counts the requests being served of each value of a key."},
		loc("limit_conn", conf.Take2, setLimitConn, "How many requests of one value of a zone's key are served at a time: the zone's name and the number."),
	}, limitCommands("limit_conn", func(c *limitConnConf) *limitSettings { return &c.limitSettings })...)
}

func setLimitConn(cf *conf.Conf, c any) error {
	lc := c.(*limitConnConf)
	z, err := limitZoneOf(cf, cf.Args[1], limitConnModule)
	if err != nil {
		return err
	}
	for _, l := range lc.limits {
		if l.zone == z {
			return conf.DirectiveError("is duplicate")
		}
	}
	n, err := conf.ParseNum(cf.Args[2])
	switch {
	case err != nil || n <= 0:
		return conf.Errorf("invalid number of connections \"%s\"", cf.Args[2])
	case n > 65535:
		return conf.Errorf("connection limit must be less 65536")
	}
	lc.limits = append(lc.limits, connLimit{z, uint64(n)})
	return nil
}

// limitConnHandler works in the preaccess phase.
func limitConnHandler(r *Request) int {
	lc := r.LocCtx[limitConnModule.Index].(*limitConnConf)
	st := &r.Main.parts.limits
	if len(lc.limits) == 0 || st.conn != limitNone {
		return Declined
	}
	for i := range lc.limits {
		l := &lc.limits[i]
		z := l.zone.Data.(*limitZone)
		begin := len(st.keys)
		keys, counts := z.evaluate(r, st.keys, 255)
		if !counts {
			continue
		}
		st.keys = keys
		st.conn = limitPassed
		ok, err := z.enter(r.Server, keys[begin:], l.most)
		if ok {
			st.held = append(st.held, heldConn{z, len(keys)})
			continue
		}
		if err == nil {
			dry := ""
			if lc.dry.V {
				dry = ", dry run,"
			}
			r.Log(lc.level.V, "limiting connections%s by zone \"%s\"", dry, l.zone.Name)
		}
		r.releaseLimits()
		if lc.dry.V {
			st.conn = limitRejectedDry
			return Declined
		}
		st.conn = limitRejected
		return lc.status.V
	}
	return Declined
}

// releaseLimits takes a main request out of what limit_conn counts.
func (r *Request) releaseLimits() {
	st := &r.Main.parts.limits
	begin := 0
	for _, h := range st.held {
		h.zone.leave(r.Server, st.keys[begin:h.end])
		begin = h.end
	}
	st.held, st.keys = st.held[:0], st.keys[:0]
}

// An entry of a zone has a count for each of some processes, so that those of a process that has been killed are known. The
// last count is common to all processes that find no place of their own.
const (
	connOwners    = 16
	connOwnerSize = 16 // owner and count
	connEntrySize = connOwners * connOwnerSize
)

// connEntry is an entry.
type connEntry []byte

func (e connEntry) owner(i int) uint64 { return binary.NativeEndian.Uint64(e[i*connOwnerSize:]) }
func (e connEntry) count(i int) uint64 { return binary.NativeEndian.Uint64(e[i*connOwnerSize+8:]) }

func (e connEntry) set(i int, owner, count uint64) {
	binary.NativeEndian.PutUint64(e[i*connOwnerSize:], owner)
	binary.NativeEndian.PutUint64(e[i*connOwnerSize+8:], count)
}

func (e connEntry) sum() (n uint64) {
	for i := range connOwners {
		n += e.count(i)
	}
	return n
}

// change adds to the count of a process, where it has one or can have one. It reports whether it could.
func (e connEntry) change(me uint64, by int64) bool {
	place := -1
	for i := range connOwners - 1 {
		switch {
		case e.owner(i) == me && e.count(i) > 0:
			e.set(i, me, uint64(int64(e.count(i))+by))
			return true
		case e.count(i) == 0 && place < 0 && by > 0:
			place = i
		}
	}
	if place < 0 {
		place, me = connOwners-1, 0
	}
	n := int64(e.count(place)) + by
	if n < 0 {
		return false
	}
	e.set(place, me, uint64(n))
	return true
}

// enter counts a request, unless there are as many as may be.
func (z *limitZone) enter(s *Server, key []byte, most uint64) (ok bool, err error) {
	if ok, err = z.tryEnter(s, key, most); ok || err != nil {
		return ok, err
	}
	if z.dropDead(s, key) {
		return z.tryEnter(s, key, most)
	}
	return false, nil
}

func (z *limitZone) tryEnter(s *Server, key []byte, most uint64) (ok bool, err error) {
	me := shm.Self().Word()
	_, err = z.open(s).Modify(key, connEntrySize, true, func(entry []byte, _ bool) int64 {
		e := connEntry(entry)
		if ok = e.sum() < most; ok {
			e.change(me, 1)
		}
		return 0
	})
	return ok, err
}

// leave takes a request back.
func (z *limitZone) leave(s *Server, key []byte) {
	me := shm.Self().Word()
	_, err := z.open(s).Modify(key, connEntrySize, true, func(entry []byte, found bool) int64 {
		e := connEntry(entry)
		if !found || !e.change(me, -1) || e.sum() == 0 {
			return shm.Remove
		}
		return 0
	})
	if err != nil {
		s.log.Logf(logging.Alert, 0, "limit_conn zone \"%s\": %v", z.zone.Name, err)
	}
}

// deadInterval is how often, in milliseconds, a worker that has to refuse a request looks whether those that are counted are
// of a process that is gone.
const deadInterval = 100

// dropDead takes the counts of processes that are gone out of an entry, and reports whether there were any.
func (z *limitZone) dropDead(s *Server, key []byte) bool {
	if now := s.SharedMsec(); now-z.checked >= deadInterval {
		z.checked = now
	} else {
		return false
	}
	buf := make([]byte, connEntrySize)
	v, _, err := z.open(s).Get(key, buf)
	if err != nil || len(v.Str) != connEntrySize {
		return false
	}
	var dead []uint64
	e := connEntry(v.Str)
	for i := range connOwners - 1 {
		if e.count(i) > 0 && !shm.Alive(e.owner(i)) {
			dead = append(dead, e.owner(i))
		}
	}
	if dead == nil {
		return false
	}
	_, err = z.open(s).Modify(key, connEntrySize, true, func(entry []byte, _ bool) int64 {
		e := connEntry(entry)
		for i := range connOwners - 1 {
			for _, owner := range dead {
				if e.owner(i) == owner {
					e.set(i, 0, 0)
				}
			}
		}
		return 0
	})
	return err == nil
}

package http

import (
	"encoding/binary"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
)

// statusZone is where the workers tell each other their counters, if the configuration asks for them. A worker writes its own at
// the end of a turn of the loop in which they have changed.
type statusZone struct {
	zone   *conf.Zone
	server *Server
	dict   *shm.Dict
	key    []byte
	queued bool

	publish func()
	fill    func(entry []byte, found bool) int64
}

const (
	statusZoneName  = "stub_status"
	statusZoneSize  = 256 << 10
	statusEntrySize = 6 * 8
)

// statusGone is the key of what workers that are gone have counted.
var statusGone = []byte("gone")

// statusServers counts the servers of this process, which may be two during a reload.
var statusServers uint64

// needStatus gives the configuration the zone if it has the directive, or one of the variables.
func needStatus(cf *conf.Conf) error {
	main := mainConfOf(cf)
	for _, v := range statusVariables {
		main.statusUsed = main.statusUsed || variablesOf(cf).refs[v.Name] != nil
	}
	if !main.statusUsed {
		return nil
	}
	zone, err := cf.SharedZone(statusZoneName, statusZoneSize, smallModule)
	main.status = &statusZone{zone: zone}
	return err
}

// attach makes the zone a server's.
func (z *statusZone) attach(s *Server) {
	statusServers++
	z.server, z.dict = s, z.zone.Memory.Dict()
	z.key = binary.NativeEndian.AppendUint64(nil, shm.Self().Word())
	z.key = binary.NativeEndian.AppendUint64(z.key, statusServers)
	z.fill = func(entry []byte, _ bool) int64 {
		z.server.Stats().encode(entry)
		return 0
	}
	z.publish = func() {
		z.queued = false
		if _, err := z.dict.Modify(z.key, statusEntrySize, true, z.fill); err != nil {
			s.log.Logf(logging.Alert, 0, "zone \"%s\": %v", statusZoneName, err)
		}
	}
}

// countersChanged has the counters written to the zone soon.
func (s *Server) countersChanged() {
	if z := s.main.status; z != nil && !z.queued {
		z.queued = true
		s.loop.Defer(z.publish)
	}
}

func (s Stats) encode(entry []byte) {
	for i, n := range []uint64{s.Accepted, s.Handled, s.Requests, uint64(s.Active), uint64(s.Reading), uint64(s.Writing)} {
		binary.NativeEndian.PutUint64(entry[8*i:], n)
	}
}

// add adds the counters of an entry; of one that is gone only those of what is over.
func (s *Stats) add(entry []byte, gone bool) {
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(entry[8*i:]) }
	s.Accepted += word(0)
	s.Handled += word(1)
	s.Requests += word(2)
	if gone {
		return
	}
	s.Active += int(word(3))
	s.Reading += int(word(4))
	s.Writing += int(word(5))
	s.Waiting = s.Active - s.Reading - s.Writing
}

// TotalStats are the counters of all workers if the configuration asks for them, else those of this one.
func (s *Server) TotalStats() Stats {
	z := s.main.status
	if z == nil {
		return s.Stats()
	}
	z.publish()
	keys, err := z.dict.GetKeys(0)
	if err != nil {
		s.log.Logf(logging.Alert, 0, "zone \"%s\": %v", statusZoneName, err)
		return s.Stats()
	}
	var total Stats
	buf := make([]byte, statusEntrySize)
	add := func(key []byte, gone bool) {
		if v, _, err := z.dict.Get(key, buf); err == nil && len(v.Str) == statusEntrySize {
			total.add(v.Str, gone)
		}
	}
	for _, key := range keys {
		switch {
		case len(key) != len(z.key): // the sum of those that are gone, which may grow yet
		case shm.Alive(binary.NativeEndian.Uint64(key)):
			add(key, false)
		default:
			z.bury(key)
		}
	}
	add(statusGone, true)
	return total
}

// bury adds what a worker that is gone has counted to the sum of those.
func (z *statusZone) bury(key []byte) {
	var last Stats
	_, err := z.dict.Modify(key, statusEntrySize, true, func(entry []byte, found bool) int64 {
		if found {
			last.add(entry, true)
		}
		return shm.Remove
	})
	if err != nil {
		return
	}
	_, err = z.dict.Modify(statusGone, statusEntrySize, true, func(entry []byte, _ bool) int64 {
		sum := last
		sum.add(entry, true)
		sum.encode(entry)
		return 0
	})
	if err != nil {
		z.server.log.Logf(logging.Alert, 0, "zone \"%s\": %v", statusZoneName, err)
	}
}

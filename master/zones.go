package master

import (
	"encoding/json"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
)

// zone is a shared-memory zone. It lives on under its name, from one configuration to the next and from one master to the next,
// as long as the same module wants it.
type zone struct {
	*shm.Zone
	use  string // the module's name, and the key behind a space if it has one
	refs int    // zone sets that hold it
}

// zoneSet is the zones of one generation.
type zoneSet struct{ list []*zone }

func (s *zoneSet) find(name string) *zone {
	if s == nil {
		return nil
	}
	for _, z := range s.list {
		if z.Name() == name {
			return z
		}
	}
	return nil
}

// openZones makes the set for a configuration. Zones that old has are taken over; one of another size is a new one with as much
// of the old one's contents as fits. Those who still use the old one do not see what becomes of the new one.
func openZones(cycle *conf.Cycle, old *zoneSet, log *logging.Log) (*zoneSet, error) {
	if err := cycle.CheckZones(); err != nil {
		return nil, err
	}
	set := &zoneSet{}
	for _, want := range cycle.Zones {
		z, err := openZone(want, old.find(want.Name), log)
		if err != nil {
			set.drop()
			return nil, err
		}
		z.refs++
		set.list = append(set.list, z)
		if z.Name() == conf.LogZone {
			cycle.Files.Share(z.Zone)
		}
	}
	return set, nil
}

func openZone(want *conf.Zone, old *zone, log *logging.Log) (*zone, error) {
	use := want.For.Name
	if want.Key != "" {
		use += " " + want.Key
	}
	if old != nil && old.use != use {
		was, key, _ := strings.Cut(old.use, " ")
		if was == want.For.Name {
			return nil, conf.PlainErrorf("zone \"%s\" uses the \"%s\" key while previously it used the \"%s\" key", want.Name, want.Key, key)
		}
	}
	if old == nil || old.use != use {
		m, err := shm.Create(want.Name, want.Size)
		return &zone{Zone: m, use: use}, err
	}
	if old.Size() == want.Size && !old.Outdated() {
		return old, nil
	}
	f, err := dupFile(old.File())
	if err != nil {
		return nil, err
	}
	m, note, err := shm.Adopt(f, want.Name, want.Size)
	if err != nil {
		f.Close()
		return nil, err
	}
	log.Log(logging.Notice, 0, note)
	return &zone{Zone: m, use: use}, nil
}

func dupFile(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// drop lets go of the set; the memory of zones that no other set holds is given back when the last worker has ended, too.
func (s *zoneSet) drop() {
	if s == nil {
		return
	}
	for _, z := range s.list {
		if z.refs--; z.refs == 0 {
			_ = z.Close()
		}
	}
	s.list = nil
}

// fdsOf describes the set for a worker's manifest. number gives the descriptor's number in the worker.
func (s *zoneSet) fdsOf(number func(fd int) int) map[string]int {
	if s == nil || len(s.list) == 0 {
		return nil
	}
	fds := make(map[string]int, len(s.list))
	for _, z := range s.list {
		fds[z.Name()] = number(int(z.File().Fd()))
	}
	return fds
}

// fill gives the configuration of this very process the memory: without workers it uses it itself.
func (s *zoneSet) fill(cycle *conf.Cycle) {
	for _, z := range cycle.Zones {
		if have := s.find(z.Name); have != nil {
			z.Memory = have.Zone
		}
	}
}

// ownerOf names a worker that has just been started, for release.
func (s *zoneSet) ownerOf(pid int) shm.Owner {
	if s == nil || len(s.list) == 0 {
		return shm.Owner{}
	}
	owner, err := shm.OwnerOf(pid)
	if err != nil {
		return shm.Owner{} // it has ended; who waits for its locks finds that out
	}
	return owner
}

// release takes the locks of a worker that has ended and mends what it was at.
func (s *zoneSet) release(owner shm.Owner, log *logging.Log) {
	if s == nil || owner.PID == 0 {
		return
	}
	for _, z := range s.list {
		if n := z.ReleaseDead(owner); n > 0 {
			log.Logf(logging.Alert, 0, "worker process %d has ended at work in the shared memory zone \"%s\", which was mended", owner.PID, z.Name())
		}
	}
}

// offer describes the set for the next master.
func (s *zoneSet) offer() (names []string, fds []int) {
	if s == nil {
		return nil, nil
	}
	for _, z := range s.list {
		text, err := json.Marshal(offered{Kind: "zone", Name: z.Name(), Use: z.use, Size: z.Size()})
		if err != nil {
			continue // there is nothing in it that could fail
		}
		names, fds = append(names, string(text)), append(fds, int(z.File().Fd()))
	}
	return names, fds
}

// inherit takes a zone of the master before this one. One of another layout is converted or begins empty; the log says so.
func (s *zoneSet) inherit(o *offered, fd int, log *logging.Log) error {
	f := os.NewFile(uintptr(fd), "zone "+o.Name)
	m, note, err := shm.Adopt(f, o.Name, o.Size)
	if err != nil {
		f.Close()
		return err
	}
	if note != "" {
		log.Log(logging.Notice, 0, note)
	}
	s.list = append(s.list, &zone{Zone: m, use: o.Use, refs: 1})
	return nil
}

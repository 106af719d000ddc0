package master

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/ipc/shm"
	"perilune/logging"
)

// zonePrefix begins the names under which shared-memory zones are stored: zone=MODULE=NAME.
const zonePrefix = "zone="

func storedZoneName(z *zone) string {
	return fdName(zonePrefix+z.use+"=", z.Name(), z.Name())
}

// keepZones makes the zones of a set those that the service manager keeps for the case that the master dies.
func (s *systemd) keepZones(set *zoneSet) {
	wanted := make(map[string]bool)
	if set != nil {
		for _, z := range set.list {
			name, inode := storedZoneName(z), inodeOf(int(z.File().Fd()))
			wanted[name] = true
			have, stored := s.zones[name]
			if have == inode && inode != 0 {
				continue
			}
			if stored {
				s.forgetZone(name) // another memory, or it may be
			}
			s.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, int(z.File().Fd()))
			s.zones[name] = inode
		}
	}
	for name := range s.zones {
		if !wanted[name] {
			s.forgetZone(name)
		}
	}
}

func (s *systemd) forgetZone(name string) {
	s.forget(name)
	delete(s.zones, name)
}

// inodeOf tells memory files apart; 0 if that cannot be said.
func inodeOf(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}

// takeZones makes the descriptors that a service manager has kept the zones before the first configuration's. What is no zone, or
// one of a layout that cannot be read, is left out; the log says so.
func (s *systemd) takeZones(list []storedZone, log *logging.Log) *zoneSet {
	set := &zoneSet{}
	for _, k := range list {
		s.zones[k.name] = 0
		f := os.NewFile(uintptr(k.fd), k.name)
		m, err := shm.AttachOld(f) // one that is outdated is converted when the configuration wants it
		if err != nil {
			log.LogErr(logging.Warn, 0, err, "the shared memory that the service manager passed as \""+k.name+"\" is not used")
			f.Close()
			continue
		}
		use, _, _ := strings.Cut(strings.TrimPrefix(k.name, zonePrefix), "=")
		s.zones[k.name] = inodeOf(k.fd)
		set.list = append(set.list, &zone{Zone: m, use: use, refs: 1})
	}
	return set
}

package conf

import "perilune/ipc/shm"

// Zone is a shared-memory zone that the configuration asks for. The master keeps
// its memory under the name from one configuration to the next.
type Zone struct {
	Name string
	Size int64
	For  *Module // whose zone it is; another module's of this name is another zone

	// Key, where it matters, is what the entries' keys are made of: another configuration cannot go on with the same zone
	// and another key.
	Key string

	// Data is the module's.
	Data any

	// Memory is filled by whoever brings the configuration to life.
	Memory *shm.Zone
}

// LogZone is the name of the zone with the latches and the counts of log files,
// which every configuration has.
const LogZone = "log files"

// logZoneSize has room for more than two hundred files; those beyond share
// latches, and are counted together.
const logZoneSize = 128 << 10

// SharedZone adds a zone to the configuration, or returns the one of that name if
// the same module has it already. A size of 0 refers to a zone whose size another
// directive gives.
func (cf *Conf) SharedZone(name string, size int64, mod *Module) (*Zone, error) {
	for _, z := range cf.Cycle.Zones {
		if z.Name != name {
			continue
		}
		if z.For != mod {
			return nil, Errorf("the shared memory zone \"%s\" is already declared for a different use", name)
		}
		if z.Size == 0 {
			z.Size = size
		}
		if size != 0 && size != z.Size {
			return nil, Errorf("the size %d of shared memory zone \"%s\" conflicts with already declared size %d", size, name, z.Size)
		}
		return z, nil
	}
	if size > shm.MaxSize {
		return nil, Errorf("the size %d of shared memory zone \"%s\" is more than %d", size, name, int64(shm.MaxSize))
	}
	if len(name) > shm.MaxName {
		return nil, Errorf("the name of shared memory zone \"%s\" is longer than %d bytes", name, shm.MaxName)
	}
	z := &Zone{Name: name, Size: size, For: mod}
	cf.Cycle.Zones = append(cf.Cycle.Zones, z)
	return z, nil
}

// CheckZones complains about a zone whose size no directive gives.
func (c *Cycle) CheckZones() error {
	for _, z := range c.Zones {
		if z.Size == 0 {
			return PlainErrorf("zero size shared memory zone \"%s\"", z.Name)
		}
	}
	return nil
}

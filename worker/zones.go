package worker

import (
	"fmt"
	"os"

	"perilune/conf"
	"perilune/ipc/shm"
)

// attachZones gives the shared-memory zones of a configuration the memory that the master has left, under their names.
func attachZones(cycle *conf.Cycle, fds map[string]int) error {
	for _, z := range cycle.Zones {
		fd, ok := fds[z.Name]
		if !ok {
			return fmt.Errorf("no shared memory zone \"%s\"", z.Name)
		}
		f := os.NewFile(uintptr(fd), "zone "+z.Name)
		m, err := shm.Attach(f)
		if err != nil {
			return fmt.Errorf("shared memory zone \"%s\": %w", z.Name, err)
		}
		if m.Name() != z.Name || m.Size() != z.Size {
			return fmt.Errorf("shared memory zone \"%s\" is zone \"%s\" of %d bytes instead of %d", z.Name, m.Name(), m.Size(), z.Size)
		}
		z.Memory = m
		if z.Name == conf.LogZone {
			cycle.Files.Share(m)
		}
	}
	return nil
}

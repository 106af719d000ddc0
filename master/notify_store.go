package master

import (
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/logging"
)

const (
	// storedPrefix begins the names under which listen sockets are stored.
	storedPrefix = "listen="
	maxFDName    = 255
	maxRights    = 253 // descriptors in one message: SCM_MAX_FD
)

// storedName is the name under which the sockets of an address are stored.
func storedName(network, addr string) string { return fdName(storedPrefix, addr, network+addr) }

// fdName makes a name of printable ASCII without colons. One that would be too long ends with a hash of whole instead.
func fdName(prefix, text, whole string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == ':' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	name := b.String()
	if len(name) <= maxFDName {
		return name
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(whole))
	end := fmt.Sprintf("#%016x", h.Sum64())
	return name[:maxFDName-len(end)] + end
}

// keep makes the sockets and zones of g those that the service manager keeps for the case that the master dies. They are stored as
// soon as they serve, so that no connection is lost from then on; what is gone from the configuration is given up.
func (s *systemd) keep(g *generation) {
	s.serves, s.log = g, g.log
	if s.silent() {
		return
	}
	wanted := make(map[string]bool)
	for _, k := range g.sockets.list {
		name := storedName(k.network, k.addr)
		wanted[name] = true
		for s.stored[name] < len(k.fds) {
			fds := k.fds[s.stored[name]:]
			fds = fds[:min(len(fds), maxRights)]
			s.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, fds...)
			s.stored[name] += len(fds)
		}
	}
	for name := range s.stored {
		if !wanted[name] {
			s.forget(name)
		}
	}
	s.keepZones(g.zones)
	s.bequeath()
}

// leave is called before the sockets of g are closed for good. When the service is started again it gets them back from the
// store; the files of unix sockets must still be there then.
func (s *systemd) leave(g *generation) {
	if s.addr == "" {
		return
	}
	for _, k := range g.sockets.list {
		k.file = ""
	}
}

// forget makes the service manager close what it keeps under a name.
func (s *systemd) forget(name string) {
	s.send("FDSTOREREMOVE=1\nFDNAME=" + name)
	delete(s.stored, name)
}

// bequeath leaves the names of what is stored to the next master of an upgrade: it must give up those that it does not use.
func (s *systemd) bequeath() {
	names := slices.Concat(slices.Sorted(maps.Keys(s.stored)), slices.Sorted(maps.Keys(s.zones)))
	os.Setenv(envStored, strings.Join(names, ":"))
}

// inherit reads what the master before this one has left.
func (s *systemd) inherit() {
	v, ok := os.LookupEnv(envStored)
	os.Unsetenv(envStored)
	if !ok || v == "" {
		return
	}
	for name := range strings.SplitSeq(v, ":") {
		// How many sockets there are, or which memory it is, is not known; what is stored twice systemd keeps once.
		if strings.HasPrefix(name, zonePrefix) {
			s.zones[name] = 0
		} else {
			s.stored[name] = 0
		}
	}
}

// alone is called when the master before this one is gone: it has told systemd that this is the main process now.
func (s *systemd) alone() {
	s.waits = false
	s.alive()
	if s.serves != nil {
		s.keep(s.serves)
	}
	s.again()
}

// refuse closes the sockets that no listen directive wanted, also in the store: connections would wait there for ever.
func (s *systemd) refuse(list []activated) {
	for _, f := range list {
		s.log.Logf(logging.Warn, 0, "no \"listen\" has the address %s of the socket that the service manager passed as \"%s\", closed", f.addr, f.name)
		unix.Close(f.fd)
		if f.stored() {
			s.forget(f.name)
		}
	}
}

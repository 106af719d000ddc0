package conf

import (
	"io"
	"net/netip"
	"os"
	"slices"
	"syscall"
)

// Source is where configuration text comes from: the file system, or a Snapshot.
type Source interface {
	ReadFile(path string) ([]byte, error)
	// Glob returns the existing paths that match, sorted by bytes.
	Glob(pattern string) ([]string, error)
}

// FileSystem is the Source of the master and of -t.
type FileSystem struct{}

// ReadFile reads a file. A device or pipe has no size and counts as empty, as
// nginx reads no more of a file than its size.
func (FileSystem) ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() && !st.IsDir() {
		return nil, nil
	}
	return io.ReadAll(f)
}

// Glob matches as the C library's glob(3) does.
func (FileSystem) Glob(pattern string) ([]string, error) { return glob(pattern), nil }

// Snapshot is the text of a configuration: every file that was read, the
// result of every mask and the addresses of every host. It can be encoded with JSON or gob, and is a Source that
// gives the same text again.
type Snapshot struct {
	Files []SnapshotFile // in the order of first reading
	Globs map[string][]string
	Hosts map[string][]netip.Addr // the addresses of the hosts that were looked up
}

// SnapshotFile is one file of a Snapshot.
type SnapshotFile struct {
	Path string
	Text []byte
}

// ReadFile gives a file of the snapshot.
func (s *Snapshot) ReadFile(path string) ([]byte, error) {
	for i := range s.Files {
		if s.Files[i].Path == path {
			return s.Files[i].Text, nil
		}
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
}

// Glob gives the result that a mask had when the snapshot was taken.
func (s *Snapshot) Glob(pattern string) ([]string, error) {
	return s.Globs[pattern], nil
}

func (s *Snapshot) addFile(path string, text []byte) {
	if !slices.ContainsFunc(s.Files, func(f SnapshotFile) bool { return f.Path == path }) {
		s.Files = append(s.Files, SnapshotFile{path, text})
	}
}

func (s *Snapshot) addGlob(pattern string, names []string) {
	if s.Globs == nil {
		s.Globs = make(map[string][]string)
	}
	s.Globs[pattern] = names
}

func (s *Snapshot) addHost(host string, ips []netip.Addr) {
	if s.Hosts == nil {
		s.Hosts = make(map[string][]netip.Addr)
	}
	s.Hosts[host] = ips
}

// Dump writes all files in the form of nginx -T.
func (s *Snapshot) Dump(w io.Writer) error {
	for _, f := range s.Files {
		text := slices.Concat([]byte("# configuration file "+f.Path+":\n"), f.Text, []byte("\n"))
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}

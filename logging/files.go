package logging

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Files is the registry of the log files that a configuration names. A path
// that several directives name is one File. The zero value is ready for use.
type Files struct {
	mu     sync.Mutex
	byPath map[string]*File
	all    []*File
	stderr *File
}

// Open returns the File of that path, which must be absolute. It is opened by
// OpenAll, once the whole configuration is known to be good.
func (fs *Files) Open(path string) *File {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.byPath[path]; f != nil {
		return f
	}
	if fs.byPath == nil {
		fs.byPath = make(map[string]*File)
	}
	f := newFile(path)
	fs.byPath[path] = f
	fs.all = append(fs.all, f)
	return f
}

// Stderr returns the File that is the standard error of the process.
func (fs *Files) Stderr() *File {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.stderr == nil {
		fs.stderr = stderrFile()
	}
	return fs.stderr
}

func stderrFile() *File {
	f := NewFile("", 2)
	f.stderr = true
	f.journal = stderrIsJournal()
	return f
}

// UsesStderr reports whether Stderr has been asked for: then nginx leaves the
// standard error of the process alone instead of pointing it at the log.
func (fs *Files) UsesStderr() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.stderr != nil
}

// All returns the files with a path, in the order they were first named.
func (fs *Files) All() []*File {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return append([]*File(nil), fs.all...)
}

// OpenAll opens the files that are not open yet. After an error, which is
// nginx's `open() "/x" failed (2: No such file or directory)`, the files that
// this call has opened are closed again.
func (fs *Files) OpenAll() error {
	var opened []*File
	for _, f := range fs.All() {
		if f.FD() >= 0 {
			continue
		}
		if err := f.open(); err != nil {
			for _, o := range opened {
				o.Close()
			}
			return err
		}
		opened = append(opened, f)
	}
	return nil
}

// ReopenAll opens every file anew, as USR1 asks. With uid ≥ 0 a new file is
// given to that user and made readable and writable for him, so that workers
// of another user can reopen it. A file that fails keeps its old descriptor,
// and the others are still reopened; the errors are nginx's messages, joined.
func (fs *Files) ReopenAll(uid int) error {
	var errs []error
	for _, f := range fs.All() {
		if f.FD() < 0 {
			continue
		}
		if err := f.reopenFor(uid); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f *File) reopenFor(uid int) error {
	fd, err := openPath(f.path)
	if err != nil {
		return err
	}
	if uid >= 0 {
		if err := give(fd, f.path, uid); err != nil {
			unix.Close(fd)
			return err
		}
	}
	return f.Replace(fd)
}

func give(fd int, path string, uid int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat() \"%s\" failed %w", path, &sysError{err})
	}
	if int(st.Uid) != uid {
		if err := unix.Fchown(fd, uid, -1); err != nil {
			return fmt.Errorf("chown(\"%s\", %d) failed %w", path, uid, &sysError{err})
		}
	}
	const rw = unix.S_IRUSR | unix.S_IWUSR
	if st.Mode&rw != rw {
		if err := unix.Fchmod(fd, st.Mode&0o7777|rw); err != nil {
			return fmt.Errorf("chmod() \"%s\" failed %w", path, &sysError{err})
		}
	}
	return nil
}

// CloseAll closes every file.
func (fs *Files) CloseAll() {
	for _, f := range fs.All() {
		f.Close()
	}
}

// Counters returns the sum over all files; LastError is that of any of them.
func (fs *Files) Counters() Counters {
	var sum Counters
	for _, f := range fs.All() {
		c := f.Counters()
		sum.Lines += c.Lines
		sum.Bytes += c.Bytes
		sum.Lost += c.Lost
		sum.LostBytes += c.LostBytes
		sum.Short += c.Short
		sum.Reopens += c.Reopens
		if c.LastError != 0 {
			sum.LastError = c.LastError
		}
	}
	return sum
}

package logging

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"perilune/ipc/shm"
)

// Files is the registry of the log files that a configuration names. A path
// that several directives name is one File. The zero value is ready for use.
type Files struct {
	mu     sync.Mutex
	byPath map[string]*File
	all    []*File
	stderr *File // what Stderr has returned

	latches *shm.Zone
	log     *Log // of the process, for complaints about files
	buffers []*Buffer
	reopens atomic.Uint64

	reopening sync.Mutex // held while files are opened or closed: what is dropped is not opened again
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
	fs.join(f, true)
	fs.byPath[path] = f
	fs.all = append(fs.all, f)
	return f
}

// Use returns the File of that path for a logger that is made while the process
// runs (by Lua code, say), and opens it if no directive has. It is the one File
// of the process for that path: lines of all that use it are whole, it is opened
// anew at USR1 by this process itself, and is closed when the process ends. Its
// Write is one write(2) a line, which must end with its newline; Counters tell
// what was lost. The path must be absolute. File.SetSync is not for a File that
// is shared. mode is that of a new file, 0 is the usual one.
func (fs *Files) Use(path string, mode uint32) (*File, error) {
	fs.reopening.Lock()
	defer fs.reopening.Unlock()
	f := fs.Open(path)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.users++
	if f.FD() >= 0 {
		return f, nil
	}
	if mode != 0 {
		f.mode = mode
	}
	if err := f.open(); err != nil {
		fs.remove(f)
		return nil, err
	}
	f.own = true
	return f, nil
}

// Drop is the end of a use. With the last one a file that Use has opened is closed;
// others are left alone.
func (fs *Files) Drop(f *File) {
	fs.reopening.Lock()
	defer fs.reopening.Unlock()
	fs.mu.Lock()
	f.users--
	over := f.users <= 0 && f.own
	if over {
		fs.remove(f)
	}
	fs.mu.Unlock()
	switch {
	case !over:
	case f.queue.busy.Load():
		go func() { _ = f.Close() }() // which waits for the queue
	default:
		_ = f.Close()
	}
}

func (fs *Files) remove(f *File) {
	delete(fs.byPath, f.path)
	fs.all = slices.DeleteFunc(slices.Clone(fs.all), func(o *File) bool { return o == f })
}

// Transient opens a file that is not one of the registry: a log whose path
// depends on the request. Lines of others in the same file are not harmed.
func (fs *Files) Transient(path string) (*File, error) {
	f := newFile(path)
	fs.mu.Lock()
	fs.join(f, false)
	fs.mu.Unlock()
	f.sync = true
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reopens counts the times that USR1 has been obeyed.
func (fs *Files) Reopens() uint64 { return fs.reopens.Load() }

// Share lets the files use the latches of a zone that all processes have which
// may write to them. It is called before anything is written.
func (fs *Files) Share(z *shm.Zone) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.latches = z
	for _, f := range fs.all {
		fs.join(f, true)
	}
	if fs.stderr != nil {
		fs.countStderr()
	}
}

// countStderr has standard error counted with that of the other processes. Its
// latch stays its own: what it is, and who else writes to it, is not known.
func (fs *Files) countStderr() {
	l := shm.NewLatch()
	l.Counts = fs.latches.Latch("stderr", true).Counts
	fs.stderr.latch.Store(l)
}

// ReportTo makes log the one that says when lines are lost.
func (fs *Files) ReportTo(log *Log) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.log = log
	for _, f := range fs.all {
		f.report.log.Store(log)
	}
}

// join gives a file what all files of the registry have. One to keep is counted
// by itself.
func (fs *Files) join(f *File, keep bool) {
	if fs.latches != nil {
		f.latch.Store(fs.latches.Latch(f.path, keep))
		f.shared = true
	}
	f.report.log.Store(fs.log)
}

// ReopenOwn opens the files anew that Use has opened: the master knows nothing
// of them.
func (fs *Files) ReopenOwn() error {
	fs.reopening.Lock()
	defer fs.reopening.Unlock()
	fs.reopens.Add(1)
	var errs []error
	for _, f := range fs.All() {
		if f.own {
			errs = append(errs, f.Reopen())
		}
	}
	return errors.Join(errs...)
}

// Flush has what the buffers hold written soon. It does not wait.
func (fs *Files) Flush() { fs.flush() }

func (fs *Files) flush() []*Buffer {
	fs.mu.Lock()
	buffers := fs.buffers
	fs.mu.Unlock()
	for _, b := range buffers {
		b.Flush()
	}
	return buffers
}

// flushWait flushes, and waits, until end at most, for what was held.
func (fs *Files) flushWait(d time.Duration) {
	end := time.Now().Add(d)
	for _, b := range fs.flush() {
		b.wait(time.Until(end))
	}
}

// Drain flushes, and waits, d at most, until the files have taken what waits
// for them: what a process does before it ends.
func (fs *Files) Drain(d time.Duration) {
	end := time.Now().Add(d)
	fs.flushWait(d)
	for _, f := range fs.All() {
		f.Drain(time.Until(end))
	}
}

// Stderr returns the File that is the standard error of the process.
func (fs *Files) Stderr() *File {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.stderr == nil {
		fs.stderr = stderrFile()
		if fs.latches != nil {
			fs.countStderr()
		}
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

// BeforeReopen flushes the buffers, and waits for a moment: what they hold belongs
// to the file before.
func (fs *Files) BeforeReopen() { fs.flushWait(longPatience) }

// ReopenAll opens every file anew, as USR1 asks, after buffers are flushed. With uid ≥ 0 a new file is
// given to that user and made readable and writable for him, so that workers
// of another user can reopen it. A file that fails keeps its old descriptor,
// and the others are still reopened; the errors are nginx's messages, joined.
func (fs *Files) ReopenAll(uid int) error {
	fs.BeforeReopen()
	fs.reopening.Lock()
	defer fs.reopening.Unlock()
	fs.reopens.Add(1)
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
	fd, err := openPath(f.path, f.mode)
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

// CloseAll flushes the buffers and closes every file.
func (fs *Files) CloseAll() {
	fs.flushWait(DrainTime)
	for _, f := range fs.All() {
		f.Close()
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.stderr != nil {
		fs.stderr.latch.Store(shm.NewLatch()) // the memory of the other may go
	}
}

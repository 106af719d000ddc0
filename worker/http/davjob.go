package http

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"perilune/logging"
)

// davJob does what may take long with files. It runs while others have the baton; its messages are logged afterwards.
type davJob struct{ notes []davNote }

type davNote struct {
	level logging.Level
	text  string
}

func (j *davJob) log(r *Request) {
	for _, n := range j.notes {
		r.Log(n.level, "%s", n.text)
	}
}

// failed notes a system call that failed; it returns false.
func (j *davJob) failed(level logging.Level, what string, err error) bool {
	j.notes = append(j.notes, davNote{level, fmt.Sprintf("%s failed %s", what, logging.ErrnoText(err))})
	return false
}

func quoted(call, path string) string { return call + " \"" + path + "\"" }

// place gives a file another name. access, unless it is 0, and date, unless it is -1, are set before. The
// directories above are made if need be, unless pathAccess is 0.
func (j *davJob) place(from, to string, access uint32, date int64, pathAccess uint32) bool {
	if access != 0 {
		if err := unix.Chmod(from, access); err != nil {
			return j.failed(logging.Crit, quoted("chmod()", from), err)
		}
	}
	if date != -1 {
		t := unix.Timespec{Sec: date}
		if err := unix.UtimesNano(from, []unix.Timespec{t, t}); err != nil {
			return j.failed(logging.Crit, quoted("futimes()/utimes()", from), err)
		}
	}
	err := unix.Rename(from, to)
	if err == unix.ENOENT && pathAccess != 0 {
		if err := makePath(to, dirAccess(pathAccess)); err != nil {
			return j.failed(logging.Crit, quoted("mkdir()", to), err)
		}
		err = unix.Rename(from, to)
	}
	if err == unix.EXDEV {
		return j.placeAcross(from, to)
	}
	if err != nil {
		return j.failed(logging.Crit, quoted("rename()", from)+" to \""+to+"\"", err)
	}
	return true
}

// placeAcross is for names on two file systems.
func (j *davJob) placeAcross(from, to string) bool {
	var st unix.Stat_t
	if err := unix.Stat(from, &st); err != nil {
		return j.failed(logging.Crit, quoted("stat()", from), err)
	}
	name := fmt.Sprintf("%s.%010d", to, rand.Uint32())
	if !j.copyFile(from, name, st.Mode, st.Mtim) {
		_ = unix.Unlink(name)
		return false
	}
	if err := unix.Rename(name, to); err != nil {
		_ = unix.Unlink(name)
		return j.failed(logging.Crit, quoted("rename()", name)+" to \""+to+"\"", err)
	}
	if err := unix.Unlink(from); err != nil {
		return j.failed(logging.Crit, quoted("unlink()", from), err)
	}
	return true
}

// makePath makes the directories above a file.
func makePath(file string, access uint32) error {
	for i := 1; i < len(file); i++ {
		if file[i] != '/' {
			continue
		}
		if err := unix.Mkdir(file[:i], access); err != nil && err != unix.EEXIST && err != unix.EACCES {
			return err
		}
	}
	return nil
}

// copyFile copies the content of a file, with access and time.
func (j *davJob) copyFile(from, to string, mode uint32, mtime unix.Timespec) bool {
	src, err := unix.Open(from, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return j.failed(logging.Crit, quoted("open()", from), err)
	}
	in := os.NewFile(uintptr(src), from)
	defer func() { _ = in.Close() }()
	dst, err := unix.Open(to, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, mode&0o777)
	if err != nil {
		return j.failed(logging.Crit, quoted("open()", to), err)
	}
	out := os.NewFile(uintptr(dst), to)
	defer func() { _ = out.Close() }()
	if _, err := io.Copy(out, in); err != nil {
		return j.failed(logging.Alert, quoted("copying", from)+" to \""+to+"\"", err)
	}
	mtime.Nsec = 0
	if err := unix.UtimesNano(to, []unix.Timespec{mtime, mtime}); err != nil {
		return j.failed(logging.Alert, quoted("futimes()/utimes()", to), err)
	}
	return true
}

// walk calls one function for the files of a tree, and others before and after what is in a directory. Unlike nginx it does not
// enter a directory by a symbolic link: what is there belongs to no request for this tree.
func (j *davJob) walk(dir string, file func(path string, st *unix.Stat_t), before, after func(path string, st *unix.Stat_t)) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return j.failed(logging.Crit, quoted("opendir()", dir), errnoOf(err))
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		if err == unix.ENOENT || err == unix.ELOOP {
			err = unix.Lstat(path, &st)
		}
		if err != nil {
			j.failed(logging.Crit, quoted("stat()", path), err)
			continue
		}
		if !e.IsDir() {
			file(path, &st)
			continue
		}
		before(path, &st)
		j.walk(path, file, before, after)
		after(path, &st)
	}
	return true
}

// removeTree deletes what is in a directory.
func (j *davJob) removeTree(dir string) bool {
	note := func(call, path string, err error) {
		if err != nil {
			level, _ := davLevel(err, 0)
			j.failed(level, quoted(call, path), err)
		}
	}
	return j.walk(dir,
		func(path string, _ *unix.Stat_t) { note("unlink()", path, unix.Unlink(path)) },
		func(string, *unix.Stat_t) {},
		func(path string, _ *unix.Stat_t) { note("rmdir()", path, unix.Rmdir(path)) })
}

// copyTree copies what is in a directory to another; special files are left out.
func (j *davJob) copyTree(from, to string) bool {
	return j.walk(from,
		func(path string, st *unix.Stat_t) {
			if st.Mode&unix.S_IFMT == unix.S_IFREG {
				j.copyFile(path, to+path[len(from):], st.Mode, st.Mtim)
			}
		},
		func(path string, st *unix.Stat_t) {
			name := to + path[len(from):]
			if err := unix.Mkdir(name, dirAccess(st.Mode&0o777)); err != nil {
				level, _ := davLevel(err, 0)
				j.failed(level, quoted("mkdir()", name), err)
			}
		},
		func(path string, st *unix.Stat_t) {
			t := unix.Timespec{Sec: st.Mtim.Sec}
			name := to + path[len(from):]
			if err := unix.UtimesNano(name, []unix.Timespec{t, t}); err != nil {
				j.failed(logging.Alert, quoted("futimes()/utimes()", name), err)
			}
		})
}

// errnoOf takes the number out of an error of the os package.
func errnoOf(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

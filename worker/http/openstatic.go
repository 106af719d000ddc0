package http

import (
	"bytes"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"perilune/conf"
)

// staticFile is a file, or directory, that has been opened.
type staticFile struct {
	fd     int // -1 of directories that come from the cache
	mode   uint32
	size   int64
	mtime  int64
	ino    uint64
	cached *cachedFile // whose descriptor it is, if not its own
}

func (f *staticFile) isDir() bool { return f.mode&unix.S_IFMT == unix.S_IFDIR }

func (f *staticFile) close() {
	if f.cached != nil {
		f.cached.release()
		return
	}
	if f.fd >= 0 {
		closeFile(f.fd)
	}
}

// release is for who has handed the file on: close does nothing any more.
func (f *staticFile) release() { f.fd, f.cached = -1, nil }

// openStatic opens what is to be sent. The call is the one that has failed, for the log.
func (r *Request) openStatic(path []byte) (f staticFile, call string, errno syscall.Errno) {
	way := r.openWay(path)
	lc := r.Loc
	if cache := lc.OpenFileCache.V; cache != nil {
		f, call, errno = cache.open(r, path, way)
	} else {
		f, call, errno = way.open(path)
	}
	if errno == 0 && lc.ReadAhead.V > 0 && f.size > lc.ReadAhead.V {
		_ = unix.Fadvise(f.fd, 0, 0, unix.FADV_SEQUENTIAL)
	}
	return f, call, errno
}

// statPath gets the mode of a file.
func (r *Request) statPath(path []byte) (mode uint32, call string, errno syscall.Errno) {
	way := r.openWay(path)
	if way.symlinks == symlinksFollowed && r.Loc.OpenFileCache.V == nil {
		mode, errno = statFile(path)
		return mode, "stat()", errno
	}
	f, call, errno := r.openStatic(path)
	if errno != 0 {
		return 0, call, errno
	}
	f.close()
	return f.mode, "", 0
}

// symlinkMode is the value of disable_symlinks.
type symlinkMode uint8

const (
	symlinksFollowed symlinkMode = iota
	symlinksRefused
	symlinksOfOwner // followed if link and file have one owner
)

// symlinksConf is the value of disable_symlinks.
type symlinksConf struct {
	mode symlinkMode
	from *Script // the part of a path in which links are followed, nil for none
}

func setDisableSymlinks(cf *conf.Conf, c any) error {
	s := &c.(*LocConf).DisableSymlinks
	if s.IsSet {
		return conf.ErrDuplicate
	}
	var v symlinksConf
	given := false
	for _, arg := range cf.Args[1:] {
		from, isFrom := strings.CutPrefix(arg, "from=")
		switch {
		case isFrom:
			var err error
			if v.from, err = CompileScript(cf, from); err != nil {
				return err
			}
			continue
		case arg == "off":
			v.mode = symlinksFollowed
		case arg == "on":
			v.mode = symlinksRefused
		case arg == "if_not_owner":
			v.mode = symlinksOfOwner
		default:
			return conf.Errorf("invalid parameter \"%s\"", arg)
		}
		given = true
	}
	switch {
	case !given:
		return conf.Errorf("\"%s\" must have \"off\", \"on\" or \"if_not_owner\" parameter", cf.Args[0])
	case len(cf.Args) == 3 && v.from == nil:
		return conf.Errorf("duplicate parameters \"%s %s\"", cf.Args[1], cf.Args[2])
	case v.from != nil && v.mode == symlinksFollowed:
		return conf.Errorf("\"from=\" cannot be used with \"off\" parameter")
	}
	s.Set(v)
	return nil
}

// openWay is how a path is opened.
type openWay struct {
	symlinks symlinkMode
	from     int // length of the part in which links are followed
}

func (r *Request) openWay(path []byte) openWay {
	c := r.Loc.DisableSymlinks.V
	way := openWay{symlinks: c.mode}
	if c.mode == symlinksFollowed || c.from == nil {
		return way
	}
	from := c.from.AppendTo(r, nil)
	n := len(from)
	switch {
	case n == 0 || !bytes.HasPrefix(path, from):
	case n == len(path):
		way.symlinks = symlinksFollowed
	case path[n] == '/':
		way.from = n
	case path[n-1] == '/':
		way.from = n - 1
	}
	return way
}

// open opens a path, and looks at what it is.
func (w openWay) open(path []byte) (f staticFile, call string, errno syscall.Errno) {
	if w.symlinks == symlinksFollowed {
		f.fd, errno = openFile(path)
		call = "open()"
	} else {
		f.fd, call, errno = w.walk(path)
	}
	if errno != 0 {
		return f, call, errno
	}
	var st unix.Stat_t
	if errno = statOpen(f.fd, &st); errno != 0 {
		closeFile(f.fd)
		return f, "fstat()", errno
	}
	f.set(&st)
	return f, "", 0
}

func (f *staticFile) set(st *unix.Stat_t) {
	f.mode, f.size, f.mtime, f.ino = st.Mode, st.Size, st.Mtim.Sec, st.Ino
}

const (
	openFlags   = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
	searchFlags = unix.O_PATH | unix.O_CLOEXEC
)

// walk opens a path one part after the other, looking at each for a link.
func (w openWay) walk(path []byte) (fd int, call string, errno syscall.Errno) {
	if bytes.IndexByte(path, 0) >= 0 {
		return -1, "openat()", unix.ENOENT
	}
	start, call := "/", "openat()"
	rest := string(path[1:]) // paths are absolute
	if w.from > 0 {
		start, rest, call = string(path[:w.from]), string(path[w.from+1:]), "open()"
	}
	at, err := unix.Open(start, searchFlags, 0)
	if err != nil {
		return -1, call, err.(syscall.Errno)
	}
	for {
		name, more, found := strings.Cut(rest, "/")
		if found && name == "" {
			rest = more
			continue
		}
		flags := openFlags
		if found {
			flags = searchFlags
		}
		fd, err = w.step(at, name, flags)
		_ = unix.Close(at)
		if err != nil {
			return -1, "openat()", err.(syscall.Errno)
		}
		if !found {
			return fd, "", 0
		}
		at, rest = fd, more
	}
}

// step opens one part of a path.
func (w openWay) step(at int, name string, flags int) (int, error) {
	if name == "" {
		return unix.Openat(at, ".", flags, 0)
	}
	if w.symlinks == symlinksRefused {
		if flags&unix.O_PATH != 0 {
			flags |= unix.O_DIRECTORY // O_PATH would open the link itself
		}
		return unix.Openat(at, name, flags|unix.O_NOFOLLOW, 0)
	}
	fd, err := unix.Openat(at, name, flags, 0)
	if err != nil {
		return -1, err
	}
	var link, file unix.Stat_t
	if err = unix.Fstatat(at, name, &link, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		err = unix.Fstat(fd, &file)
	}
	if err == nil && link.Uid != file.Uid {
		err = unix.ELOOP
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

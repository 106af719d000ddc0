package http

import (
	"container/list"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
)

// fileCache is an open_file_cache of the worker. Blocks that inherit the directive
// share it.
type fileCache struct {
	max      int
	inactive int64 // seconds
	files    map[string]*cachedFile
	recent   list.List // of *cachedFile, the last used one first
}

// cachedFile is what is known of a path: a file, a directory, or an error.
type cachedFile struct {
	cache    *fileCache
	path     string
	place    *list.Element
	way      openWay
	f        staticFile // fd is -1 if it is not kept open
	call     string     // of the error
	errno    syscall.Errno
	created  int64 // when it was looked at, and when it was used last
	accessed int64
	uses     int
	minUses  int
	users    int  // that have the descriptor now
	dropped  bool // no longer in the cache
}

func setOpenFileCache(cf *conf.Conf, c any) error {
	s := &c.(*LocConf).OpenFileCache
	if s.IsSet {
		return conf.ErrDuplicate
	}
	cache := &fileCache{inactive: 60, files: make(map[string]*cachedFile)}
	off := false
	for _, arg := range cf.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		switch {
		case name == "max":
			if cache.max, err = conf.ParseNum(value); cache.max <= 0 {
				err = conf.Errorf("")
			}
		case name == "inactive":
			var d time.Duration
			d, err = conf.ParseTime(value, true)
			cache.inactive = int64(d / time.Second)
		case arg == "off":
			off = true
		default:
			err = conf.Errorf("")
		}
		if err != nil {
			return conf.Errorf("invalid \"open_file_cache\" parameter \"%s\"", arg)
		}
	}
	switch {
	case off:
		s.Set(nil)
	case cache.max == 0:
		return conf.Errorf("\"open_file_cache\" must have the \"max\" parameter")
	default:
		s.Set(cache)
	}
	return nil
}

// open gets a file from the cache, or opens it and keeps it there.
func (c *fileCache) open(r *Request, path []byte, way openWay) (staticFile, string, syscall.Errno) {
	now := r.Loop().Now().Unix()
	valid := int64(r.Loc.OpenFileCacheValid.V / time.Second)
	e := c.files[string(path)]
	if e != nil {
		e.uses++
		kept := e.f.fd >= 0 || e.errno != 0 || e.f.isDir()
		fresh := now-e.created < valid && e.way == way
		if kept && (fresh || e.unchanged(path, way, now)) {
			return e.use(r, now)
		}
	}
	f, call, errno := way.open(path)
	if errno != 0 && !r.Loc.OpenFileCacheErrors.V {
		if e != nil {
			e.drop()
		}
		return f, call, errno
	}
	uses := 1
	if e != nil {
		uses = e.uses
		e.drop()
	} else if len(c.files) >= c.max {
		c.expire(now, true)
	}
	if errno != 0 {
		f.fd = -1
	} else if f.isDir() {
		closeFile(f.fd)
		f.fd = -1
	}
	e = &cachedFile{cache: c, path: string(path), way: way, f: f, call: call, errno: errno, created: now, uses: uses}
	e.f.cached = e
	c.files[e.path] = e
	e.place = c.recent.PushFront(e)
	return e.use(r, now)
}

// unchanged looks whether the path still names the open file; then what is known
// of it is fresh again.
func (e *cachedFile) unchanged(path []byte, way openWay, now int64) bool {
	if e.errno != 0 || e.f.isDir() || way != e.way || way.symlinks != symlinksFollowed {
		return false
	}
	var st unix.Stat_t
	if unix.Stat(string(path), &st) != nil || st.Ino != e.f.ino || st.Mode&unix.S_IFMT != e.f.mode&unix.S_IFMT {
		return false
	}
	e.f.set(&st)
	e.created = now
	return true
}

func (e *cachedFile) use(r *Request, now int64) (staticFile, string, syscall.Errno) {
	e.accessed = now
	e.cache.recent.MoveToFront(e.place)
	if e.errno != 0 {
		return e.f, e.call, e.errno
	}
	e.minUses = r.Loc.OpenFileCacheMinUses.V
	e.users++
	return e.f, "", 0
}

// release is called when a request is done with the file.
func (e *cachedFile) release() {
	e.users--
	if e.users == 0 && (e.dropped || e.uses < e.minUses) {
		e.closeFile()
	}
	if !e.dropped {
		e.cache.expire(e.accessed, false)
	}
}

func (e *cachedFile) closeFile() {
	if e.f.fd >= 0 {
		closeFile(e.f.fd)
		e.f.fd = -1
	}
}

// drop takes a path out of the cache; who has its file goes on with it.
func (e *cachedFile) drop() {
	e.dropped = true
	delete(e.cache.files, e.path)
	e.cache.recent.Remove(e.place)
	if e.users == 0 {
		e.closeFile()
	}
}

// expire drops up to two paths that have not been used for long; with force the
// one that has not been used for longest in any case.
func (c *fileCache) expire(now int64, force bool) {
	n := 0
	if force {
		n = -1
	}
	for ; n < 2; n++ {
		last := c.recent.Back()
		if last == nil {
			return
		}
		e := last.Value.(*cachedFile)
		if n >= 0 && now-e.accessed <= c.inactive {
			return
		}
		e.drop()
	}
}

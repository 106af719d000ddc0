package http

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// logCache is open_log_file_cache: the files of logs whose paths depend on the request, kept open. The one used last is the last
// of the order.
type logCache struct {
	max      int
	inactive time.Duration
	valid    time.Duration
	minUses  int

	files   map[string]*cachedLog
	order   []*cachedLog
	reopens uint64 // of the registry, when the files were opened
}

type cachedLog struct {
	path         string
	file         *logging.File // nil until it has been used often enough
	ino, dev     uint64
	used, looked time.Time
	uses         int
}

// setLogCache handles open_log_file_cache.
func setLogCache(cf *conf.Conf, c any) error {
	lc := c.(*logConf)
	if lc.cacheSet {
		return conf.ErrDuplicate
	}
	cache := &logCache{inactive: 10 * time.Second, valid: time.Minute, minUses: 1}
	off := false
	for _, arg := range cf.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		switch {
		case arg == "off":
			off = true
		case name == "max":
			cache.max, err = conf.ParseNum(value)
		case name == "inactive":
			cache.inactive, err = conf.ParseTime(value, true)
		case name == "valid":
			cache.valid, err = conf.ParseTime(value, true)
		case name == "min_uses":
			cache.minUses, err = conf.ParseNum(value)
		default:
			err = conf.ErrDuplicate
		}
		if err != nil {
			return conf.Errorf("invalid \"open_log_file_cache\" parameter \"%s\"", arg)
		}
	}
	lc.cacheSet = true
	if off {
		return nil
	}
	if cache.max == 0 {
		return conf.Errorf("\"open_log_file_cache\" must have \"max\" parameter")
	}
	cache.files = make(map[string]*cachedLog)
	lc.cache = cache
	return nil
}

// writeToPath writes a line to the log whose path the script makes. As in nginx the line is dropped when the root of the
// request is no directory, lest a Host header that is made up makes files.
func (al *accessLog) writeToPath(r *Request, lc *logConf, line []byte) {
	root := r.appendRoot(nil)
	if mode, errno := statFile(root); errno != 0 || mode&unix.S_IFMT != unix.S_IFDIR {
		if errno == 0 {
			errno = unix.ENOTDIR
		}
		r.Log(logging.Error, "testing \"%s\" existence failed %s", root, logging.ErrnoText(errno))
		return
	}
	files := r.Server.cycle.Files
	path := string(al.path.AppendTo(r, nil))
	f, done, err := lc.cache.open(files, path, r.Server.loop.Now())
	if err != nil {
		r.Log(logging.Crit, "%s", err.Error())
		return
	}
	_, _ = f.Write(line) // counted and complained about by the file
	done()
}

// open gets the file of a path; done is to be called when the line is written.
func (c *logCache) open(files *logging.Files, path string, now time.Time) (f *logging.File, done func(), err error) {
	if c == nil {
		f, err = files.Transient(path)
		return f, func() { _ = f.Close() }, err
	}
	c.tidy(files, now)
	e := c.files[path]
	if e != nil {
		c.touch(e, now)
		if e.file != nil && now.Sub(e.looked) >= c.valid {
			e.look(now)
		}
		if e.file != nil {
			return e.file, func() {}, nil
		}
	}
	if f, err = files.Transient(path); err != nil {
		return nil, nil, err
	}
	if e == nil {
		e = c.add(path)
		c.touch(e, now)
	}
	if e.uses < c.minUses {
		return f, func() { _ = f.Close() }, nil
	}
	e.keep(f, now)
	return f, func() {}, nil
}

// add makes room for a file, and a place for it.
func (c *logCache) add(path string) *cachedLog {
	e := &cachedLog{path: path}
	if len(c.order) >= c.max {
		c.drop(0)
	}
	c.files[path] = e
	c.order = append(c.order, e)
	return e
}

// touch makes the file the one used last.
func (c *logCache) touch(e *cachedLog, now time.Time) {
	e.uses++
	e.used = now
	if last := len(c.order) - 1; c.order[last] != e {
		for i, o := range c.order {
			if o == e {
				copy(c.order[i:], c.order[i+1:])
				c.order[last] = e
				break
			}
		}
	}
}

// tidy closes what has not been used for long, and everything when the logs have been reopened.
func (c *logCache) tidy(files *logging.Files, now time.Time) {
	if n := files.Reopens(); n != c.reopens {
		c.reopens = n
		for len(c.order) > 0 {
			c.drop(0)
		}
	}
	for len(c.order) > 0 && now.Sub(c.order[0].used) >= c.inactive {
		c.drop(0)
	}
}

func (c *logCache) drop(i int) {
	e := c.order[i]
	if e.file != nil {
		_ = e.file.Close()
	}
	delete(c.files, e.path)
	c.order = append(c.order[:i], c.order[i+1:]...)
}

func (e *cachedLog) keep(f *logging.File, now time.Time) {
	var st unix.Stat_t
	if unix.Fstat(f.FD(), &st) == nil {
		e.ino, e.dev = st.Ino, st.Dev
	}
	e.file, e.looked = f, now
}

// look closes a file that is no longer what its path leads to.
func (e *cachedLog) look(now time.Time) {
	e.looked = now
	var st unix.Stat_t
	if unix.Stat(e.path, &st) != nil || st.Ino != e.ino || st.Dev != e.dev {
		_ = e.file.Close()
		e.file = nil
	}
}

package http

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// davConf is the dav module's struct of a location.
type davConf struct {
	methods  conf.Setting[uint]
	fullPath conf.Setting[bool]
	minDepth conf.Setting[int]
	access   conf.Setting[uint32]
}

const davOff = 1 << 31

var davModule = &conf.Module{
	Name:      "http_dav",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &davConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, dc := prev.(*davConf), c.(*davConf)
		dc.methods.Merge(p.methods, davOff)
		dc.fullPath.Merge(p.fullPath, false)
		dc.minDepth.Merge(p.minDepth, 0)
		dc.access.Merge(p.access, 0o600)
		return nil
	},
}

func init() {
	davModule.Commands = []conf.Command{
		loc("dav_methods", conf.OneMore, conf.SetBits(func(c *davConf) *conf.Setting[uint] { return &c.methods }, map[string]uint{
			"off": davOff, "put": uint(MethodPut), "delete": uint(MethodDelete), "mkcol": uint(MethodMkcol), "copy": uint(MethodCopy), "move": uint(MethodMove)}),
			"Methods of WebDAV that are served with files: put, delete, mkcol, copy, move; off by default."),
		loc("create_full_put_path", conf.Flag, conf.SetFlag(func(c *davConf) *conf.Setting[bool] { return &c.fullPath }),
			"Whether PUT makes the directories above the file; off by default."),
		loc("min_delete_depth", conf.Take1, conf.SetNum(func(c *davConf) *conf.Setting[int] { return &c.minDepth }),
			"How many parts a URI must have at least for DELETE; 0 by default."),
		loc("dav_access", conf.Take123, setDavAccess,
			"Access rights of new files and directories, as in user:rw group:rw all:r; user:rw by default."),
	}
}

func setDavAccess(cf *conf.Conf, c any) error {
	s := &c.(*davConf).access
	if s.IsSet {
		return conf.ErrDuplicate
	}
	shifts := map[string]uint{"user": 6, "group": 3, "all": 0}
	access, user := uint32(0), uint32(0o600)
	for _, arg := range cf.Args[1:] {
		who, what, _ := strings.Cut(arg, ":")
		shift, known := shifts[who]
		right, ok := map[string]uint32{"rw": 6, "r": 4}[what]
		if !known || !ok {
			return conf.Errorf("invalid value \"%s\"", arg)
		}
		if who == "user" {
			user = 0
		}
		access |= right << shift
	}
	s.Set(access | user)
	return nil
}

// dirAccess lets those enter a directory who may read it.
func dirAccess(access uint32) uint32 { return access | access&0o444>>2 }

// davHandler is a content handler.
func davHandler(r *Request) int {
	dc := r.LocCtx[davModule.Index].(*davConf)
	if dc.methods.V&uint(r.MethodID) == 0 || dc.methods.V&davOff != 0 {
		return Declined
	}
	switch r.MethodID {
	case MethodPut:
		return r.davPut(dc)
	case MethodDelete:
		return r.davDelete(dc)
	case MethodMkcol:
		return r.davMkcol(dc)
	}
	return r.davCopy(dc)
}

// davPath is the path of the file that the URI means; that there is none, or a NUL in it, which the kernel would end it
// at, is an error.
func (r *Request) davPath() (path string, ok bool) {
	path = string(r.filename())
	return path, path != "" && strings.IndexByte(path, 0) < 0
}

func (r *Request) isCollection() bool { return r.URI[len(r.URI)-1] == '/' }

// davError logs a system call that failed, and returns the status for it.
func (r *Request) davError(call, path string, err error, notFound int) int {
	level, status := davLevel(err, notFound)
	r.Log(level, "%s \"%s\" failed %s", call, path, logging.ErrnoText(err))
	return status
}

func davLevel(err error, notFound int) (logging.Level, int) {
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG:
		return logging.Error, notFound
	case unix.EACCES, unix.EPERM:
		return logging.Error, 403
	case unix.EEXIST:
		return logging.Error, 405
	case unix.ENOSPC:
		return logging.Crit, 507
	}
	return logging.Crit, 500
}

// headerValue finds a header of the request by its name in any case.
func (r *Request) headerValue(name string) (value []byte, found bool) {
	for i := range r.HeadersIn.List {
		if h := &r.HeadersIn.List[i]; equalFoldASCII(h.Name, name) {
			return h.Value, true
		}
	}
	return nil, false
}

// davLocation tells the client where what it has made is.
func (r *Request) davLocation() { r.HeadersOut.Location = string(AppendEscapedURI(nil, r.URI)) }

func (r *Request) davPut(dc *davConf) int {
	if r.isCollection() {
		r.Log(logging.Error, "cannot PUT to a collection")
		return 409
	}
	if r.HeadersIn.Get(HeaderContentRange) != nil {
		r.Log(logging.Error, "PUT with range is unsupported")
		return 501
	}
	r.Main.bodyFileSilent = true
	if err := r.ReadBody(); err != nil {
		return StatusOf(err)
	}
	if r.HeadersIn.ContentLengthN < 0 && !r.HeadersIn.Chunked {
		r.Log(logging.Error, "PUT request body must be in a file")
		return 500
	}
	if err := r.SpillBody(); err != nil {
		return StatusOf(err)
	}
	path, ok := r.davPath()
	if !ok {
		return 400
	}
	body := &r.bodyOwner().body
	temp := body.path
	var st unix.Stat_t
	status := 204
	if unix.Stat(path, &st) != nil {
		status = 201
	} else if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		r.Log(logging.Error, "\"%s\" could not be created %s", path, logging.ErrnoText(unix.EISDIR))
		return 409
	}
	job := &davJob{}
	date := int64(-1)
	if v, found := r.headerValue("Date"); found {
		date = parseHTTPDate(v)
	}
	pathAccess := uint32(0)
	if dc.fullPath.V {
		pathAccess = dc.access.V
	}
	r.Loop().Block(func() { ok = job.place(temp, path, dc.access.V, date, pathAccess) })
	body.keep = ok // it has another name now
	job.log(r)
	if !ok {
		return 500
	}
	if status == 201 {
		r.davLocation()
		r.HeadersOut.ContentLengthN = 0
	}
	r.HeadersOut.Status = status
	r.HeaderOnly = true
	return sent(r.SendHeader())
}

// hasBody complains about a body where there must be none.
func (r *Request) hasBody(what string) bool {
	if r.HeadersIn.ContentLengthN <= 0 && !r.HeadersIn.Chunked {
		return false
	}
	r.Log(logging.Error, "%s unsupported", what)
	return true
}

// Values of the Depth header.
const (
	depthInvalid  = -2
	depthInfinity = -1
)

func (r *Request) davDepth(standard int) int {
	v, found := r.headerValue("Depth")
	switch {
	case !found:
		return standard
	case string(v) == "0":
		return 0
	case string(v) == "1":
		return 1
	case string(v) == "infinity":
		return depthInfinity
	}
	r.Log(logging.Error, "client sent invalid \"Depth\" header: \"%s\"", v)
	return depthInvalid
}

func (r *Request) davDelete(dc *davConf) int {
	if r.hasBody("DELETE with body is") {
		return 415
	}
	if least := dc.minDepth.V; least > 0 {
		depth := bytes.Count(r.URI, []byte{'/'})
		if parts := depth - bytes.Count(r.URI[len(r.URI)-1:], []byte{'/'}); parts < least {
			r.Log(logging.Error, "insufficient URI depth:%d to DELETE", depth)
			return 409
		}
	}
	path, ok := r.davPath()
	if !ok {
		return 400
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		status := 404
		if err == unix.ENOTDIR {
			status = 409
		}
		return r.davError("lstat()", path, err, status)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if isDir {
		if !r.isCollection() {
			r.Log(logging.Error, "DELETE \"%s\" failed %s", path, logging.ErrnoText(unix.EISDIR))
			return 409
		}
		if r.davDepth(depthInfinity) != depthInfinity {
			r.Log(logging.Error, "\"Depth\" header must be infinity")
			return 400
		}
	} else if depth := r.davDepth(0); depth != 0 && depth != depthInfinity {
		r.Log(logging.Error, "\"Depth\" header must be 0 or infinity")
		return 400
	}
	if rc := r.davRemove(path, isDir); rc != OK {
		return rc
	}
	return 204
}

// davRemove deletes a file, or a directory with all that is in it.
func (r *Request) davRemove(path string, isDir bool) int {
	if !isDir {
		if err := unix.Unlink(path); err != nil {
			return r.davError("unlink()", path, err, 404)
		}
		return OK
	}
	path = strings.TrimSuffix(path, "/")
	job := &davJob{}
	var ok bool
	r.Loop().Block(func() { ok = job.removeTree(path) })
	job.log(r)
	if !ok {
		return 500
	}
	if err := unix.Rmdir(path); err != nil {
		return r.davError("rmdir()", path, err, 404)
	}
	return OK
}

func (r *Request) davMkcol(dc *davConf) int {
	if r.hasBody("MKCOL with body is") {
		return 415
	}
	if !r.isCollection() {
		r.Log(logging.Error, "MKCOL can create a collection only")
		return 409
	}
	path, ok := r.davPath()
	if !ok {
		return 400
	}
	path = strings.TrimSuffix(path, "/")
	if err := unix.Mkdir(path, dirAccess(dc.access.V)); err != nil {
		return r.davError("mkdir()", path, err, 409)
	}
	r.davLocation()
	return 201
}

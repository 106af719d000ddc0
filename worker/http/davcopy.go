package http

import (
	"bytes"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/logging"
)

// davDestination is the URI of the Destination header, decoded; rc is a status if there is none that is on this server.
func (r *Request) davDestination() (uri, header []byte, rc int) {
	dest, found := r.headerValue("Destination")
	if !found {
		r.Log(logging.Error, "client sent no \"Destination\" header")
		return nil, nil, 400
	}
	invalid := func() ([]byte, []byte, int) {
		r.Log(logging.Error, "client sent invalid \"Destination\" header: \"%s\"", dest)
		return nil, nil, 400
	}
	uri = dest
	if len(dest) == 0 || dest[0] != '/' {
		host := r.HeadersIn.Host
		if len(host) == 0 {
			r.Log(logging.Error, "client sent no \"Host\" header")
			return nil, nil, 400
		}
		rest, ok := bytes.CutPrefix(dest, []byte("http://"))
		if !ok {
			return invalid()
		}
		slash := bytes.IndexByte(rest, '/')
		if slash < 0 {
			slash = len(rest)
		}
		port := bytes.TrimPrefix(rest[:slash], host)
		if !bytes.HasPrefix(rest, host) || len(port) > 0 && port[0] != ':' {
			r.Log(logging.Error, "\"Destination\" URI \"%s\" is handled by different repository than the source URI", dest)
			return nil, nil, 400
		}
		if uri = rest[slash:]; len(uri) == 0 {
			return invalid()
		}
	}
	uri, ok := r.safeURI(uri)
	fc := fileConfOf(r)
	if !ok || fc.Alias > 0 && (len(uri) < fc.Alias || !bytes.HasPrefix(uri, []byte(r.Loc.Name))) {
		return invalid()
	}
	return uri, dest, OK
}

// safeURI decodes the path of a URI unless it leads up, or has a NUL in it.
func (r *Request) safeURI(uri []byte) ([]byte, bool) {
	decoded, ok := SafePath(uri)
	if !ok {
		r.Log(logging.Error, "unsafe URI \"%s\" was detected", decoded)
	}
	return decoded, ok && len(decoded) > 0
}

// SafePath decodes the path of a URI unless it leads up, or has a NUL in it; if it does, what comes back is the text to complain
// about.
func SafePath(uri []byte) ([]byte, bool) {
	path, _, _ := bytes.Cut(uri, []byte{'?'})
	if len(path) == 0 || leadsUp(path) {
		return uri, false
	}
	decoded := unescapeURI(nil, path, false)
	return decoded, !leadsUp(decoded) && bytes.IndexByte(decoded, 0) < 0
}

// leadsUp reports whether a part of a path is "..".
func leadsUp[T string | []byte](path T) bool {
	begin := 0
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if i-begin == 2 && path[begin] == '.' && path[begin+1] == '.' {
			return true
		}
		begin = i + 1
	}
	return false
}

// davCopy is COPY and MOVE.
func (r *Request) davCopy(dc *davConf) int {
	if r.hasBody("COPY and MOVE with body are") {
		return 415
	}
	uri, dest, rc := r.davDestination()
	if rc != OK {
		return rc
	}
	path, _, _ := bytes.Cut(dest, []byte{'?'})
	if slash := len(path) > 0 && path[len(path)-1] == '/'; slash != r.isCollection() || slash != (uri[len(uri)-1] == '/') {
		r.Log(logging.Error, "both URI \"%s\" and \"Destination\" URI \"%s\" should be either collections or non-collections", r.URI, dest)
		return 409
	}
	if depth := r.davDepth(depthInfinity); depth != depthInfinity {
		if r.MethodID != MethodCopy {
			r.Log(logging.Error, "\"Depth\" header must be infinity")
			return 400
		}
		if depth != 0 {
			r.Log(logging.Error, "\"Depth\" header must be 0 or infinity")
			return 400
		}
	}
	overwrite := true
	if v, found := r.headerValue("Overwrite"); found {
		switch string(bytes.ToUpper(v)) {
		case "T":
		case "F":
			overwrite = false
		default:
			r.Log(logging.Error, "client sent invalid \"Overwrite\" header: \"%s\"", v)
			return 400
		}
	}
	from, ok := r.davPath()
	source := r.URI
	r.URI = uri
	to, ok2 := r.davPath()
	r.URI = source
	if !ok || !ok2 {
		return 400
	}
	return r.copyOrMove(dc, from, to, dest, overwrite)
}

// copyOrMove goes on when the paths are known.
func (r *Request) copyOrMove(dc *davConf, from, to string, dest []byte, overwrite bool) int {
	to, slash := strings.CutSuffix(to, "/")
	var st, old unix.Stat_t
	exists := true
	if err := unix.Lstat(to, &old); err != nil {
		if err != unix.ENOENT {
			return r.davError("lstat()", to, err, 404)
		}
		exists = false
	}
	oldDir := exists && old.Mode&unix.S_IFMT == unix.S_IFDIR
	if oldDir && !slash {
		r.Log(logging.Error, "\"%s\" could not be %sed to collection \"%s\"", r.URI, r.Method, dest)
		return 409
	}
	if exists && !overwrite {
		r.Log(logging.Error, "\"%s\" could not be created %s", to, logging.ErrnoText(unix.EEXIST))
		return 412
	}
	if err := unix.Lstat(from, &st); err != nil {
		return r.davError("lstat()", from, err, 404)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	// nginx destroys the source here, or copies without end.
	if within(to, strings.TrimSuffix(from, "/")) || isDir && within(strings.TrimSuffix(from, "/"), to) || exists && old.Dev == st.Dev && old.Ino == st.Ino {
		r.Log(logging.Error, "\"%s\" could not be %sed to \"%s\", which is the same or within it", r.URI, r.Method, dest)
		return 403
	}
	job := &davJob{}
	move := r.MethodID == MethodMove
	if !isDir {
		var ok bool
		r.Loop().Block(func() {
			if move {
				ok = job.place(from, to, 0, -1, dc.access.V)
			} else {
				ok = job.copyFile(from, to, st.Mode, st.Mtim)
			}
		})
		job.log(r)
		if !ok {
			return 500
		}
		return 204
	}
	if !r.isCollection() {
		r.Log(logging.Error, "\"%s\" is collection", r.URI)
		return 400
	}
	if exists {
		if rc := r.davRemove(to, oldDir); rc != OK {
			return rc
		}
	}
	return r.copyCollection(strings.TrimSuffix(from, "/"), to, st.Mode, move)
}

// within reports whether a path is a directory or in it.
func within(path, dir string) bool {
	path, dir = filepath.Clean(path), filepath.Clean(dir)
	return path == dir || strings.HasPrefix(path, dir+"/")
}

func (r *Request) copyCollection(from, to string, mode uint32, move bool) int {
	if move && unix.Rename(from, to) == nil {
		return 201
	}
	if err := unix.Mkdir(to, mode&0o777); err != nil {
		return r.davError("mkdir()", to, err, 404)
	}
	job := &davJob{}
	var ok bool
	r.Loop().Block(func() { ok = job.copyTree(from, to) })
	job.log(r)
	if !ok {
		return 500
	}
	if move {
		if rc := r.davRemove(from, true); rc != OK {
			return rc
		}
	}
	return 201
}

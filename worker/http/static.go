package http

import (
	"bytes"
	"errors"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"perilune/logging"
)

// appendRoot appends the root of the location: what an absolute path of a file begins with.
func (r *Request) appendRoot(dst []byte) []byte {
	fc := fileConfOf(r)
	if fc.Root == nil {
		return append(dst, fc.RootPath...)
	}
	begin := len(dst)
	dst = fc.Root.AppendTo(r, dst)
	if len(dst) == begin || dst[begin] != '/' {
		prefix := r.Server.cycle.Prefix
		dst = append(dst, prefix...)
		copy(dst[begin+len(prefix):], dst[begin:len(dst)-len(prefix)])
		copy(dst[begin:], prefix)
	}
	return dst
}

// AppendFilename appends the path of the file that the URI means ($request_filename).
func (r *Request) AppendFilename(dst []byte) []byte {
	fc := fileConfOf(r)
	dst = r.appendRoot(dst)
	switch {
	case fc.aliasRE && !r.engine.behindAlias:
		return dst
	case fc.aliasRE:
	case fc.Alias > 0 && fc.Alias <= len(r.URI):
		return append(dst, r.URI[fc.Alias:]...)
	}
	return append(dst, r.URI...)
}

// aliasLost reports, with a line in the log, that the location's alias no longer says where the URI's file is: what it stands
// for is not in a URI that rewrite has changed in the location.
func (r *Request) aliasLost() bool {
	fc := fileConfOf(r)
	if !r.engine.displaced && !r.engine.changed || fc.Alias == 0 && !fc.aliasRE {
		return false
	}
	r.Log(logging.Alert, "\"alias\" cannot be used in location \"%s\" where URI was rewritten", r.Loc.Name)
	return true
}

// filename is AppendFilename into memory that the next call for the request uses again; nil if there is none.
func (r *Request) filename() []byte {
	if r.aliasLost() {
		return nil
	}
	r.parts.path = r.AppendFilename(r.parts.path[:0])
	return r.parts.path
}

// staticHandler is the content handler of last resort: the file that the URI names.
func staticHandler(r *Request) int {
	if r.MethodID&(MethodGet|MethodHead|MethodPost) == 0 {
		return 405
	}
	if r.URI[len(r.URI)-1] == '/' {
		return Declined
	}
	path := r.filename()
	if path == nil {
		return 500
	}
	f, call, errno := r.openStatic(path)
	if errno != 0 {
		return r.fileError(call, path, errno)
	}
	defer f.close()
	switch f.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return r.redirectToDirectory()
	case unix.S_IFREG:
	default:
		r.Log(logging.Crit, "\"%s\" is not a regular file", path)
		return 404
	}
	if r.MethodID == MethodPost {
		return 405
	}
	if rc := r.discardForHandler(); rc != OK {
		return rc
	}
	r.fileHeader(&f)
	return r.sendFile(&f)
}

// fileHeader makes the header of a response that is a file.
func (r *Request) fileHeader(f *staticFile) {
	r.Conn.action = "sending response to client"
	r.HeadersOut.Status = 200
	r.HeadersOut.ContentLengthN = f.size
	r.HeadersOut.LastModified = f.mtime
	if fileConfOf(r).ETag.V {
		r.HeadersOut.Add("ETag", etagOf(f.mtime, f.size))
	}
	r.SetContentType()
}

// etagOf makes the entity tag of a file.
func etagOf(mtime, size int64) string {
	b := make([]byte, 0, 32)
	b = append(b, '"')
	b = strconv.AppendUint(b, uint64(mtime), 16)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(size), 16)
	return string(append(b, '"'))
}

// fileError turns the error of a system call into a status, and logs it as nginx does.
func (r *Request) fileError(call string, path []byte, err error) int {
	level, status := logging.Crit, 500
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG:
		level, status = logging.Error, 404
	case unix.EACCES, unix.EMLINK, unix.ELOOP:
		level, status = logging.Error, 403
	}
	if status != 404 || r.Loc.LogNotFound.V {
		r.Log(level, "%s \"%s\" failed %s", call, path, logging.ErrnoText(err))
	}
	return status
}

// redirectToDirectory answers a request for a directory without the slash at its end.
func (r *Request) redirectToDirectory() int {
	b := AppendEscapedURI(make([]byte, 0, len(r.URI)+len(r.Args)+2), r.URI)
	b = append(b, '/')
	if len(r.Args) > 0 {
		b = append(append(b, '?'), r.Args...)
	}
	r.HeadersOut.Location = string(b)
	return 301
}

// sendFile sends header and body of a file.
func (r *Request) sendFile(f *staticFile) int {
	r.AllowRanges = true
	if err := r.SendHeader(); err != nil || r.HeaderOnly {
		return sent(err)
	}
	r.out.detached = r.sub == nil
	if err := r.output(Buf{File: f.fd, FileLen: f.size, Last: true}); err != nil || r.out.rest.FileLen == 0 {
		return sent(err)
	}
	return r.sendLast(f)
}

// sent is what a handler returns when its response has been sent, or could not be.
func sent(err error) int {
	if err != nil {
		return StatusOf(err)
	}
	return OK
}

// discardForHandler has the request's body thrown away; what it returns, unless OK, is for the handler to return.
func (r *Request) discardForHandler() int {
	if err := r.DiscardBody(); err != nil {
		return StatusOf(err)
	}
	return OK
}

// indexHandler looks for the file that stands for a directory.
func indexHandler(r *Request) int {
	if r.URI[len(r.URI)-1] != '/' || r.MethodID&(MethodGet|MethodHead|MethodPost) == 0 {
		return Declined
	}
	dir := r.filename()
	if dir == nil {
		return 500
	}
	tested := false
	for _, index := range fileConfOf(r).Index.V {
		path := index.AppendTo(r, dir)
		name := path[len(dir):]
		if len(name) > 0 && name[0] == '/' {
			return r.InternalRedirect(bytes.Clone(name), r.Args)
		}
		_, call, err := r.statPath(path)
		switch {
		case err == 0:
			return r.InternalRedirect(append(bytes.Clone(r.URI), name...), r.Args)
		case err == unix.EMLINK || err == unix.ELOOP:
			return 403
		case err == unix.EACCES, err == unix.ENOTDIR, err == unix.ENAMETOOLONG:
			return r.indexError(path, err)
		}
		if !tested {
			if rc := r.testDirectory(path, dir); rc != OK {
				return rc
			}
			tested = true
		}
		if err != unix.ENOENT {
			r.Log(logging.Crit, "%s \"%s\" failed %s", call, path, logging.ErrnoText(err))
			return 500
		}
	}
	return Declined
}

// testDirectory tells a directory without index from one that is not there.
func (r *Request) testDirectory(path, dir []byte) int {
	dir = bytes.Clone(bytes.TrimSuffix(dir, []byte{'/'})) // path has more behind it
	mode, call, err := r.statPath(dir)
	switch {
	case err == unix.EMLINK || err == unix.ELOOP:
		return 403
	case err == unix.ENOENT:
		return r.indexError(path, err)
	case err == unix.EACCES:
		return OK
	case err != 0:
		r.Log(logging.Crit, "%s \"%s\" failed %s", call, dir, logging.ErrnoText(err))
		return 500
	case mode&unix.S_IFMT != unix.S_IFDIR:
		r.Log(logging.Alert, "\"%s\" is not a directory", path)
		return 500
	}
	return OK
}

func (r *Request) indexError(path []byte, err error) int {
	if errors.Is(err, unix.EACCES) {
		r.Log(logging.Error, "\"%s\" is forbidden %s", path, logging.ErrnoText(err))
		return 403
	}
	if r.Loc.LogNotFound.V {
		r.Log(logging.Error, "\"%s\" is not found %s", path, logging.ErrnoText(err))
	}
	return 404
}

// realpathRoot is the value of $realpath_root.
func realpathRoot(r *Request, dst []byte, _ string) ([]byte, bool) {
	root := r.appendRoot(nil)
	real, err := filepath.EvalSymlinks(string(root))
	if err != nil {
		r.Log(logging.Crit, "realpath() \"%s\" failed %s", root, logging.ErrnoText(err))
		return dst, false
	}
	return append(dst, real...), true
}

var fileVariables = []Variable{
	{Name: "document_root", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		return r.appendRoot(dst), true
	}, Doc: "root of the location"},
	{Name: "realpath_root", Get: realpathRoot, Doc: "root of the location, symbolic links resolved"},
	{Name: "request_filename", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		if r.aliasLost() {
			return dst, false
		}
		return r.AppendFilename(dst), true
	}, Doc: "path of the file that the URI means"},
}

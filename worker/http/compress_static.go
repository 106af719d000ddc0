package http

import (
	"golang.org/x/sys/unix"

	"perilune/logging"
)

// staticMode is the value of gzip_static and the like.
type staticMode int

const (
	staticOff staticMode = iota
	staticOn
	staticAlways
)

// precompressedHandler sends the file with the suffix of a coding instead of the
// file that the URI names.
func precompressedHandler(r *Request) int {
	if r.MethodID&(MethodGet|MethodHead) == 0 || r.URI[len(r.URI)-1] == '/' {
		return Declined
	}
	for _, k := range codings {
		mode := k.conf(r).static.V
		if mode == staticOff {
			continue
		}
		if rc := r.sendPrecompressed(k, mode); rc != Declined {
			return rc
		}
	}
	return Declined
}

func (r *Request) sendPrecompressed(k *coding, mode staticMode) int {
	ok := mode == staticAlways || k.accepted(r)
	if !ok && !gzipConfOf(r).vary.V {
		return Declined
	}
	path := r.filename()
	if path == nil {
		return 500
	}
	path = append(path, k.suffix...)
	r.parts.path = path
	f, call, err := r.openStatic(path)
	switch err {
	case 0:
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG:
		return Declined
	case unix.EACCES, unix.EMLINK, unix.ELOOP:
		r.Log(logging.Error, "%s \"%s\" failed %s", call, path, logging.ErrnoText(err))
		return Declined
	default:
		r.Log(logging.Crit, "%s \"%s\" failed %s", call, path, logging.ErrnoText(err))
		return Declined
	}
	defer f.close()
	if mode == staticOn {
		r.filters.gzipVary = true
		if !ok {
			return Declined
		}
	}
	switch f.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return Declined
	case unix.S_IFREG:
	default:
		r.Log(logging.Crit, "\"%s\" is not a regular file", path)
		return 404
	}
	if rc := r.discardForHandler(); rc != OK {
		return rc
	}
	r.fileHeader(&f)
	r.HeadersOut.Add("Content-Encoding", k.name)
	return r.sendFile(&f)
}

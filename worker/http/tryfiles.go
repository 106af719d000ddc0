package http

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

func setTryFiles(cf *conf.Conf, c any) error {
	pc := c.(*pagesConf)
	if pc.try != nil {
		return conf.ErrDuplicate
	}
	last := len(cf.Args) - 1
	for i, name := range cf.Args[1:] {
		tf := tryFile{fixed: !HasVariables(name)}
		if i+1 == last {
			if code, ok := strings.CutPrefix(name, "="); ok {
				if tf.code, ok = statusOfCode(code); !ok {
					return conf.Errorf("invalid code \"%s\"", code)
				}
			}
		} else if s, ok := strings.CutSuffix(name, "/"); ok {
			tf.dir, name = true, s
		}
		var err error
		if tf.name, err = CompileScript(cf, name); err != nil {
			return err
		}
		if i+1 == last {
			pc.fallback = &tf
		} else {
			pc.try = append(pc.try, tf)
		}
	}
	return nil
}

// tryFilesHandler works in the precontent phase.
func tryFilesHandler(r *Request) int {
	pc := r.LocCtx[pagesModule.Index].(*pagesConf)
	if pc.try == nil {
		return Declined
	}
	if r.aliasLost() {
		return 500
	}
	fc := fileConfOf(r)
	for i := range pc.try {
		tf := &pc.try[i]
		path := r.appendRoot(r.parts.path[:0])
		begin := len(path)
		path = tf.name.AppendTo(r, path)
		if n := r.aliasedPart(tf, path[begin:]); n > 0 {
			path = append(path[:begin], path[begin+n:]...)
		}
		r.parts.path = path
		name := path[begin:]
		mode, call, err := r.statPath(path)
		if err != 0 {
			if err != unix.ENOENT && err != unix.ENOTDIR && err != unix.ENAMETOOLONG {
				r.Log(logging.Crit, "%s \"%s\" failed %s", call, path, logging.ErrnoText(err))
			}
			continue
		}
		if (mode&unix.S_IFMT == unix.S_IFDIR) != tf.dir {
			continue
		}
		switch {
		case fc.aliasRE && tf.dir:
		case fc.aliasRE:
			r.URI = r.view(name)
			r.SetExten()
			r.engine.behindAlias = true
		case fc.Alias > 0:
			r.URI = append(bytes.Clone(r.URI[:min(fc.Alias, len(r.URI))]), name...)
			r.SetExten()
		default:
			r.URI = r.view(name)
			r.SetExten()
		}
		return Declined
	}
	tf := pc.fallback
	if tf.code != 0 {
		return tf.code
	}
	r.parts.path = tf.name.AppendTo(r, r.parts.path[:0])
	uri := r.view(r.parts.path)
	if n := r.aliasedPart(tf, uri); n < len(uri) {
		uri = uri[n:] // as nginx does it, of use or not
	}
	if len(uri) > 0 && uri[0] == '@' {
		r.NamedLocation(uri)
	} else {
		r.InternalRedirect(splitArgs(uri))
	}
	r.Finalize(Done)
	return Done
}

// aliasedPart is how much an alias replaces of the name of a file to try.
func (r *Request) aliasedPart(tf *tryFile, name []byte) int {
	fc := fileConfOf(r)
	if !tf.fixed && fc.Alias > 0 && !fc.aliasRE && fc.Alias <= len(r.URI) && bytes.HasPrefix(name, r.URI[:fc.Alias]) {
		return fc.Alias
	}
	return 0
}

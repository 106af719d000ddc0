package http

import (
	"strings"

	"perilune/conf"
)

// defaultTypes are the content types where no types block is given.
var defaultTypes = map[string]string{
	"html": "text/html",
	"gif":  "image/gif",
	"jpg":  "image/jpeg",
}

// setTypes handles types { … }.
func setTypes(cf *conf.Conf, c any) error {
	fc := c.(*fileConf)
	if fc.Types == nil {
		fc.Types = make(map[string]string)
	}
	return cf.ParseEntries(func(cf *conf.Conf) error {
		kind := cf.Args[0]
		if kind == "include" {
			if len(cf.Args) != 2 {
				return conf.Errorf("invalid number of arguments in \"include\" directive")
			}
			return cf.Include(cf.Args[1])
		}
		for _, ext := range cf.Args[1:] {
			ext = strings.ToLower(ext)
			if old, found := fc.Types[ext]; found {
				cf.Warnf("duplicate extension \"%s\", content type: \"%s\", previous content type: \"%s\"", ext, kind, old)
			}
			fc.Types[ext] = kind
		}
		return nil
	})
}

// SetContentType sets the response's type by the URI's extension, unless it has one.
func (r *Request) SetContentType() {
	if r.HeadersOut.ContentType != "" {
		return
	}
	if len(r.Exten) > 0 {
		types := fileConfOf(r).Types
		kind, found := types[string(r.Exten)]
		if !found {
			var buf [64]byte
			kind, found = types[string(AppendLower(buf[:0], r.Exten))]
		}
		if found {
			r.HeadersOut.ContentType = kind
			return
		}
	}
	r.HeadersOut.ContentType = r.Loc.DefaultType.V
}

// SetExten finds the extension of a URI that has not come from the request line.
func (r *Request) SetExten() {
	r.Exten = nil
	for i := len(r.URI) - 1; i > 1; i-- {
		switch {
		case r.URI[i] == '/':
			return
		case r.URI[i] == '.' && r.URI[i-1] != '/':
			r.Exten = r.URI[i+1:]
			return
		}
	}
}

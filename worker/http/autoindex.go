package http

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// autoindexConf is the struct of a location for autoindex and random_index.
type autoindexConf struct {
	on        conf.Setting[bool]
	format    conf.Setting[indexFormat]
	exactSize conf.Setting[bool]
	localtime conf.Setting[bool]
	random    conf.Setting[bool]
}

// indexFormat is the value of autoindex_format.
type indexFormat uint8

const (
	indexHTML indexFormat = iota
	indexJSON
	indexJSONP
	indexXML
)

var autoindexModule = &conf.Module{
	Name:      "http_autoindex",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &autoindexConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, ac := prev.(*autoindexConf), c.(*autoindexConf)
		ac.on.Merge(p.on, false)
		ac.format.Merge(p.format, indexHTML)
		ac.exactSize.Merge(p.exactSize, true)
		ac.localtime.Merge(p.localtime, false)
		ac.random.Merge(p.random, false)
		return nil
	},
}

func init() {
	flag := func(f func(*autoindexConf) *conf.Setting[bool]) func(*conf.Conf, any) error { return conf.SetFlag(f) }
	random := loc("random_index", conf.Flag, flag(func(c *autoindexConf) *conf.Setting[bool] { return &c.random }),
		"Whether a random file of a directory stands for it; off by default.")
	random.Ctx = conf.Location
	autoindexModule.Commands = []conf.Command{
		loc("autoindex", conf.Flag, flag(func(c *autoindexConf) *conf.Setting[bool] { return &c.on }),
			"Whether a directory without an index is answered with a list of its files; off by default."),
		loc("autoindex_format", conf.Take1, conf.SetEnum(func(c *autoindexConf) *conf.Setting[indexFormat] { return &c.format },
			map[string]indexFormat{"html": indexHTML, "json": indexJSON, "jsonp": indexJSONP, "xml": indexXML}),
			"Format of the list: html, json, jsonp (the argument callback names the function) or xml; html by default."),
		loc("autoindex_exact_size", conf.Flag, flag(func(c *autoindexConf) *conf.Setting[bool] { return &c.exactSize }),
			"Whether the list in HTML has exact sizes, not rounded ones; on by default."),
		loc("autoindex_localtime", conf.Flag, flag(func(c *autoindexConf) *conf.Setting[bool] { return &c.localtime }),
			"Whether the times of the list in HTML are local ones; off by default."),
		random,
	}
}

// indexEntry is a file of a list.
type indexEntry struct {
	name  string
	mode  uint32
	size  int64
	mtime time.Time
}

func (e *indexEntry) kind() string {
	switch e.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFREG:
		return "file"
	}
	return "other"
}

// autoindexHandler is a content handler.
func autoindexHandler(r *Request) int {
	ac := r.LocCtx[autoindexModule.Index].(*autoindexConf)
	if r.URI[len(r.URI)-1] != '/' || r.MethodID&(MethodGet|MethodHead) == 0 || !ac.on.V {
		return Declined
	}
	if rc := r.discardForHandler(); rc != OK {
		return rc
	}
	path := string(r.filename())
	if path == "" {
		return 500
	}
	if len(path) > 1 {
		path = path[:len(path)-1]
	}
	format, callback := ac.format.V, ""
	if format == indexJSONP {
		var ok bool
		if callback, ok = r.jsonpCallback(); !ok {
			return 400
		}
		if callback == "" {
			format = indexJSON
		}
	}
	files, rc := r.readDirectory(path)
	if rc != OK {
		return rc
	}
	h := &r.HeadersOut
	h.Status = 200
	switch format {
	case indexJSON:
		h.ContentType = "application/json"
	case indexJSONP:
		h.ContentType = "application/javascript"
	case indexXML:
		h.ContentType, h.Charset = "text/xml", "utf-8"
	default:
		h.ContentType = "text/html"
	}
	if err := r.SendHeader(); err != nil || r.HeaderOnly {
		return sent(err)
	}
	entries, ok := r.indexEntries(path, files)
	if !ok {
		return Error
	}
	var text []byte
	switch format {
	case indexJSON:
		text = appendIndexJSON(nil, entries)
	case indexJSONP:
		text = append(appendIndexJSON([]byte("/* callback */\r\n"+callback+"("), entries), ");"...)
	case indexXML:
		text = appendIndexXML(entries)
	default:
		text = r.appendIndexHTML(ac, entries)
	}
	return sent(r.output(Buf{Data: text, Last: true}))
}

// readDirectory reads the names in a directory but those that begin with a dot. rc is a status where it cannot.
func (r *Request) readDirectory(path string) (files []os.DirEntry, rc int) {
	files, err := os.ReadDir(path)
	if err != nil {
		level, status := logging.Crit, 500
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENAMETOOLONG):
			level, status = logging.Error, 404
		case errors.Is(err, unix.EACCES):
			level, status = logging.Error, 403
		}
		r.Log(level, "opendir() \"%s\" failed %s", path, logging.ErrnoText(errnoOf(err)))
		return nil, status
	}
	return slices.DeleteFunc(files, func(f os.DirEntry) bool { return f.Name()[0] == '.' }), OK
}

// indexEntries finds out about the files of a directory, and puts the directories among them first.
func (r *Request) indexEntries(path string, files []os.DirEntry) (entries []indexEntry, ok bool) {
	for _, f := range files {
		name := path + "/" + f.Name()
		var st unix.Stat_t
		call, err := "stat()", unix.Stat(name, &st)
		if err == unix.ENOENT || err == unix.ELOOP {
			call, err = "lstat()", unix.Lstat(name, &st)
		}
		if err != nil {
			r.Log(logging.Crit, "%s \"%s\" failed %s", call, name, logging.ErrnoText(err))
			if err == unix.EACCES {
				continue
			}
			return nil, false
		}
		entries = append(entries, indexEntry{f.Name(), st.Mode, st.Size, time.Unix(st.Mtim.Unix()).UTC()})
	}
	slices.SortFunc(entries, func(a, b indexEntry) int {
		if x, y := a.kind() == "directory", b.kind() == "directory"; x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return entries, true
}

// jsonpCallback is the name of the function that the client asks for.
func (r *Request) jsonpCallback() (string, bool) {
	name, _ := FindArg(r.Args, "callback")
	if len(name) > 128 {
		r.Log(logging.Info, "client sent too long callback name: \"%s\"", name)
		return "", false
	}
	for _, c := range name {
		if charClass[c]&(chAlpha|chDigit) == 0 && c != '_' && c != '.' {
			r.Log(logging.Info, "client sent invalid callback name: \"%s\"", name)
			return "", false
		}
	}
	return string(name), true
}

func appendIndexJSON(b []byte, entries []indexEntry) []byte {
	b = append(b, '[')
	for i := range entries {
		e := &entries[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(append(b, "\r\n{ \"name\":\""...), []byte(e.name), upperHex)
		b = append(append(b, "\", \"type\":\""...), e.kind()...)
		b = appendHTTPDate(append(b, "\", \"mtime\":\""...), e.mtime.Unix())
		b = append(b, '"')
		if e.kind() == "file" {
			b = appendInt(append(b, ", \"size\":"...), e.size)
		}
		b = append(b, " }"...)
	}
	return append(b, "\r\n]"...)
}

func appendIndexXML(entries []indexEntry) []byte {
	b := []byte("<?xml version=\"1.0\"?>\r\n<list>\r\n")
	for i := range entries {
		e := &entries[i]
		b = append(append(append(b, '<'), e.kind()...), " mtime=\""...)
		b = e.mtime.AppendFormat(b, "2006-01-02T15:04:05Z")
		if e.kind() == "file" {
			b = appendInt(append(b, "\" size=\""...), e.size)
		}
		b = appendHTML(append(b, "\">"...), e.name)
		b = append(append(append(b, "</"...), e.kind()...), ">\r\n"...)
	}
	return append(b, "</list>\r\n"...)
}

// appendHTML appends a text with what means something in HTML escaped.
func appendHTML[T string | []byte](b []byte, text T) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '&':
			b = append(b, "&amp;"...)
		case '"':
			b = append(b, "&quot;"...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// escapeName are the bytes of a file's name that are escaped in a link to it.
var escapeName = func() (t [256]bool) {
	for i := range t {
		t[i] = charClass[i]&(chAlpha|chDigit) == 0 && !strings.ContainsRune("-._~", rune(i))
	}
	return t
}()

// indexNameWidth is how much of a file's name is shown.
const indexNameWidth = 50

func (r *Request) appendIndexHTML(ac *autoindexConf, entries []indexEntry) []byte {
	b := appendHTML([]byte("<html>\r\n<head><title>Index of "), r.URI)
	b = appendHTML(append(b, "</title></head>\r\n<body>\r\n<h1>Index of "...), r.URI)
	b = append(b, "</h1><hr><pre><a href=\"../\">../</a>\r\n"...)
	isUTF8 := strings.EqualFold(r.HeadersOut.Charset, "utf-8")
	for i := range entries {
		e := &entries[i]
		dir := e.kind() == "directory"
		b = appendEscaped(append(b, "<a href=\""...), []byte(e.name), &escapeName)
		if dir {
			b = append(b, '/')
		}
		b = e.appendName(append(b, "\">"...), dir, isUTF8 && utf8.ValidString(e.name))
		t := e.mtime
		if ac.localtime.V {
			_, offset := r.Loop().Now().Local().Zone()
			t = t.Add(time.Duration(offset) * time.Second)
		}
		b = t.AppendFormat(append(b, ' '), "02-Jan-2006 15:04 ")
		b = append(appendIndexSize(b, e.size, dir, ac.exactSize.V), "\r\n"...)
	}
	return append(b, "</pre><hr></body>\r\n</html>\r\n"...)
}

// appendName appends the name as the text of a link that is followed by spaces.
func (e *indexEntry) appendName(b []byte, dir, isUTF8 bool) []byte {
	name, width := e.name, len(e.name)
	if isUTF8 {
		width = utf8.RuneCountInString(name)
	}
	if width > indexNameWidth {
		end := indexNameWidth - 3
		if isUTF8 {
			end = 0
			for range indexNameWidth - 3 {
				_, n := utf8.DecodeRuneInString(name[end:])
				end += n
			}
		}
		return append(appendHTML(b, name[:end]), "..&gt;</a>"...)
	}
	b = appendHTML(b, name)
	if dir && width < indexNameWidth {
		b = append(b, '/')
		width++
	}
	b = append(b, "</a>"...)
	for ; width < indexNameWidth; width++ {
		b = append(b, ' ')
	}
	return b
}

func appendIndexSize(b []byte, size int64, dir, exact bool) []byte {
	text, width := strconv.FormatInt(size, 10), 7
	if exact {
		width = 19
	} else {
		for _, scale := range []struct {
			above, unit int64
			letter      string
		}{{1<<30 - 1, 1 << 30, "G"}, {1<<20 - 1, 1 << 20, "M"}, {9999, 1 << 10, "K"}} {
			if size > scale.above {
				n := size / scale.unit
				if size%scale.unit > scale.unit/2-1 {
					n++
				}
				text = strconv.FormatInt(n, 10) + scale.letter
				break
			}
		}
	}
	if dir {
		text = "-"
	}
	for n := width - len(text); n > 0; n-- {
		b = append(b, ' ')
	}
	return append(b, text...)
}

// randomIndexHandler is a content handler.
func randomIndexHandler(r *Request) int {
	if r.URI[len(r.URI)-1] != '/' || r.MethodID&(MethodGet|MethodHead|MethodPost) == 0 || !r.LocCtx[autoindexModule.Index].(*autoindexConf).random.V {
		return Declined
	}
	path := string(r.filename())
	if path == "" {
		return 500
	}
	path = strings.TrimSuffix(path, "/")
	files, rc := r.readDirectory(path)
	if rc != OK {
		return rc
	}
	files = slices.DeleteFunc(files, func(f os.DirEntry) bool {
		if f.Type()&os.ModeSymlink != 0 {
			fi, err := os.Stat(path + "/" + f.Name())
			return err != nil || !fi.Mode().IsRegular()
		}
		return !f.Type().IsRegular()
	})
	if len(files) == 0 {
		return Declined
	}
	name := files[rand.IntN(len(files))].Name()
	return r.InternalRedirect(append(r.URI[:len(r.URI):len(r.URI)], name...), r.Args)
}

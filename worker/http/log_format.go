package http

import (
	"strings"

	"perilune/conf"
)

// logEscape is how the values of variables are written to an access log.
type logEscape int

const (
	escapeDefault logEscape = iota
	escapeJSON
	escapeNone
)

var logEscapes = map[string]logEscape{"default": escapeDefault, "json": escapeJSON, "none": escapeNone}

// combinedFormat is the format that is always there.
const combinedFormat = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

// logFormat is a log_format, compiled to a list of texts and variables.
type logFormat struct {
	name   string
	escape logEscape
	parts  []scriptPart
}

// compileFormat compiles the strings of a log_format, which are joined without anything between.
func compileFormat(cf *conf.Conf, name string, texts []string) (*logFormat, error) {
	f := &logFormat{name: name}
	if len(texts) > 0 {
		if word, found := strings.CutPrefix(texts[0], "escape="); found {
			var known bool
			if f.escape, known = logEscapes[word]; !known {
				return nil, conf.Errorf("unknown log format escaping \"%s\"", word)
			}
			texts = texts[1:]
		}
	}
	for _, text := range texts {
		complaint := eachPart(text, false, func(p scriptPart, variable string) {
			if variable != "" {
				p.ref = NewVarRef(cf, variable)
			}
			f.parts = append(f.parts, p)
		})
		switch {
		case complaint == badVariableName:
			return nil, conf.Errorf("invalid parameter \"%s\"", text)
		case complaint != "":
			return nil, conf.Errorf("%s", complaint)
		}
	}
	return f, nil
}

// appendLine appends a line with its newline.
func (f *logFormat) appendLine(r *Request, dst []byte) []byte {
	for i := range f.parts {
		p := &f.parts[i]
		if p.ref == nil {
			dst = append(dst, p.text...)
			continue
		}
		begin := len(dst)
		var found bool
		dst, found = p.ref.Append(r, dst)
		switch {
		case !found && f.escape == escapeDefault:
			dst = append(dst[:begin], '-')
		case !found:
			dst = dst[:begin]
		default:
			dst = f.escape.tail(dst, begin)
		}
	}
	return append(dst, '\n')
}

// escaped tells which bytes are written as an escape sequence.
var escaped = func() (t [2][256]bool) {
	for i := range 256 {
		t[escapeDefault][i] = i < 0x20 || i >= 0x7f || i == '"' || i == '\\'
		t[escapeJSON][i] = i < 0x20 || i == '"' || i == '\\'
	}
	return t
}()

// tail escapes what stands in dst from begin on.
func (e logEscape) tail(dst []byte, begin int) []byte {
	if e == escapeNone {
		return dst
	}
	table := &escaped[e]
	first := begin
	for first < len(dst) && !table[dst[first]] {
		first++
	}
	if first == len(dst) {
		return dst
	}
	// The text is put behind its own copy and moved back, so that no other memory is needed.
	end := len(dst)
	for _, c := range dst[first:end] {
		switch {
		case !table[c]:
			dst = append(dst, c)
		case e == escapeJSON:
			dst = appendJSONEscape(dst, c)
		default:
			dst = append(dst, '\\', 'x', upperHex[c>>4], upperHex[c&15])
		}
	}
	n := copy(dst[first:], dst[end:])
	return dst[:first+n]
}

const upperHex = "0123456789ABCDEF"

func appendJSONEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	}
	return append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
}

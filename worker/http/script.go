package http

import (
	"strings"

	"perilune/conf"
)

// VarFunc appends a variable's value to dst, or says that the variable has none. For variables whose name is only a
// prefix ("arg_") rest is what follows it; otherwise it is empty.
type VarFunc func(r *Request, dst []byte, rest string) ([]byte, bool)

// Variable is an entry of the table of variables.
type Variable struct {
	Name   string
	Prefix bool // Name is the beginning of the names of a family
	Get    VarFunc
	Set    func(r *Request, value []byte) // nil: the value cannot be changed
	Config bool                           // only the configuration sees it, as with NGX_HTTP_VAR_NOHASH: scripts do not
	Doc    string                         // one line for the documentation
}

// VarRef is a use of a variable in the configuration.
type VarRef struct {
	Name string
	get  VarFunc
	rest string
}

// Append appends the variable's value to dst.
func (v *VarRef) Append(r *Request, dst []byte) ([]byte, bool) { return v.get(r, dst, v.rest) }

// scriptPart is literal text, a captured group, or a variable.
type scriptPart struct {
	text  string
	group int // $1 … $9
	ref   *VarRef
}

// Script is a text of the configuration with variables in it, compiled once.
type Script struct {
	parts []scriptPart
	text  string
}

// CompileScript compiles "text $name ${name} $1 text". Unknown variables are found when the whole configuration is.
func CompileScript(cf *conf.Conf, text string) (*Script, error) {
	s := &Script{text: text}
	err := eachPart(text, true, func(p scriptPart, name string) {
		if name != "" {
			p.ref = variablesOf(cf).Ref(name)
		}
		s.parts = append(s.parts, p)
	})
	if err != "" {
		return nil, conf.Errorf("%s", err)
	}
	return s, nil
}

// Constant is the script's text if there are no variables in it.
func (s *Script) Constant() (string, bool) {
	switch {
	case len(s.parts) == 0:
		return "", true
	case len(s.parts) == 1 && s.parts[0].ref == nil && s.parts[0].group == 0:
		return s.parts[0].text, true
	}
	return "", false
}

// Text is the script as written.
func (s *Script) Text() string { return s.text }

// AppendTo appends the script's value; variables without one count as empty.
func (s *Script) AppendTo(r *Request, dst []byte) []byte { return s.appendQuoted(r, dst, false) }

// appendQuoted is AppendTo in which, with quote, captured groups are escaped if the URI was.
func (s *Script) appendQuoted(r *Request, dst []byte, quote bool) []byte {
	for i := range s.parts {
		p := &s.parts[i]
		switch {
		case p.ref != nil:
			dst, _ = p.ref.get(r, dst, p.ref.rest)
		case p.group != 0:
			v, _ := r.parts.captures.Group(p.group)
			if quote && (r.Quoted || r.Plus) {
				dst = appendEscapedArgs(dst, v)
			} else {
				dst = append(dst, v...)
			}
		default:
			dst = append(dst, p.text...)
		}
	}
	return dst
}

const badVariableName = "invalid variable name"

// eachPart cuts a text into its parts; the name is that of a variable, or empty. It answers with nginx's complaint.
func eachPart(text string, groups bool, add func(p scriptPart, name string)) string {
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i != 0 {
			if i < 0 {
				i = len(text)
			}
			add(scriptPart{text: text[:i]}, "")
			text = text[i:]
			continue
		}
		rest := text[1:]
		if groups && rest != "" && rest[0] >= '1' && rest[0] <= '9' {
			add(scriptPart{group: int(rest[0] - '0')}, "")
			text = rest[1:]
			continue
		}
		bracket := strings.HasPrefix(rest, "{")
		if bracket {
			rest = rest[1:]
		}
		n := 0
		for n < len(rest) && (charClass[rest[n]]&(chAlpha|chDigit) != 0 || rest[n] == '_') {
			n++
		}
		name := rest[:n]
		if bracket {
			if n == len(rest) && n == 0 {
				return badVariableName
			}
			if n == len(rest) || rest[n] != '}' {
				return "the closing bracket in \"" + name + "\" variable is missing"
			}
			n++
		}
		if name == "" {
			return badVariableName
		}
		add(scriptPart{}, name)
		text = rest[n:]
	}
	return ""
}

// HasVariables tells whether a text of the configuration names variables.
func HasVariables(text string) bool { return strings.IndexByte(text, '$') >= 0 }

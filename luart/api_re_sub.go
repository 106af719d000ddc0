package luart

import "perilune/luart/vm"

// template is a compiled replacement: texts and numbers of captures.
type template []templatePart

type templatePart struct {
	text  string
	group int // when there is no text
}

// compileTemplate compiles a replacement; the text says what is wrong with it.
func compileTemplate(s string) (template, string) {
	tpl := template{}
	for i := 0; i < len(s); {
		if s[i] != '$' {
			start := i
			for i < len(s) && s[i] != '$' {
				i++
			}
			tpl = append(tpl, templatePart{text: s[start:i]})
			continue
		}
		if i++; i == len(s) {
			return nil, invalidTemplate(s)
		}
		if s[i] == '$' {
			tpl = append(tpl, templatePart{text: "$"})
			i++
			continue
		}
		bracket := s[i] == '{'
		if bracket {
			if i++; i == len(s) {
				return nil, invalidTemplate(s)
			}
		}
		start := i
		number := isDigit(s[i])
		n := 0
		for i < len(s) && (isDigit(s[i]) || !number && isNameChar(s[i])) {
			n = min(n*10+int(s[i]-'0'), 1<<30)
			i++
		}
		name := s[start:i]
		switch {
		case bracket && (i == len(s) || s[i] != '}'):
			return nil, "the closing bracket in \"" + name + "\" variable is missing"
		case name == "":
			return nil, invalidTemplate(s)
		case !number:
			return nil, "attempt to use named capturing variable \"" + name + "\" (named captures not supported yet)"
		}
		if bracket {
			i++
		}
		tpl = append(tpl, templatePart{group: n})
	}
	return tpl, ""
}

func invalidTemplate(s string) string {
	return "lua script: invalid capturing variable name found in \"" + s + "\""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameChar(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// maxTemplates is how many replacements are kept with a pattern.
const maxTemplates = 64

func (rt *Runtime) template(p *pattern, s string) (template, bool) {
	if tpl, ok := p.templates[s]; ok {
		return tpl, true
	}
	tpl, text := compileTemplate(s)
	if text != "" {
		logText(rt.cfg.Log, LevelError, text)
		return nil, false
	}
	if p.templates == nil || len(p.templates) >= maxTemplates {
		p.templates = make(map[string]template)
	}
	p.templates[s] = tpl
	return tpl, true
}

// append adds the replacement of the last match.
func (tpl template) append(dst []byte, s string, caps []int32, groups int) []byte {
	for i := range tpl {
		part := &tpl[i]
		if part.text != "" {
			dst = append(dst, part.text...)
			continue
		}
		if part.group <= groups {
			if lo, hi := caps[2*part.group], caps[2*part.group+1]; lo >= 0 && lo < hi {
				dst = append(dst, s[lo:hi]...)
			}
		}
	}
	return dst
}

// reSub is ngx.re.sub and ngx.re.gsub.
func reSub(t *vm.Thread, c *Ctx, global bool) int {
	rt := c.rt
	replace := t.Arg(3)
	isFunc := replace.IsFunction()
	text := ""
	if !isFunc {
		var ok bool
		if text, ok = replace.AsString(); !ok {
			text = t.ToString(replace)
		}
	}
	p, msg := rt.patternArgs(t, 4)
	if p == nil {
		return findError(t, msg)
	}
	var tpl template
	if !isFunc {
		var ok bool
		if tpl, ok = rt.template(p, text); !ok {
			return findError(t, "failed to compile the replacement template")
		}
	}
	s := subject(t)
	// A function may use the scratch buffer itself, and gives the baton away.
	buf := rt.scratch[:0]
	if isFunc {
		buf = nil
	}
	count, pos, copied, charged := 0, 0, 0, 0
	for {
		t.Charge(1)
		if n := len(buf) - charged; n >= chargeBytes {
			charged = len(buf)
			t.ChargeBytes(n)
		}
		found, msg := rt.exec(t, p, s, pos, pos > 0)
		if msg != "" {
			return findError(t, msg)
		}
		if !found {
			break
		}
		count++
		caps := rt.re.matcher.Caps
		lo, hi := int(caps[0]), int(caps[1])
		if lo > copied {
			buf = append(buf, s[copied:lo]...)
		}
		if isFunc {
			results := t.CallValueAsLua(replace, -1, rt.captures(p, s, nil).Value())
			if len(results) == 0 {
				return raise(t, "bad argument #1 to 'tostring' (value expected)")
			}
			v := results[0]
			if piece, ok := v.AsString(); ok {
				buf = append(buf, piece...)
			} else {
				buf = append(buf, t.ToString(v)...)
			}
		} else {
			buf = tpl.append(buf, s, caps, p.groups())
		}
		copied, pos = hi, hi
		if lo == hi {
			if pos++; pos > len(s) {
				break
			}
		}
		if !global {
			break
		}
	}
	if count == 0 {
		t.Push(stringArg(t.Arg(1), s))
		t.PushInt(0)
		return 2
	}
	buf = append(buf, s[copied:]...)
	t.PushBytes(buf)
	t.PushInt(count)
	if !isFunc {
		rt.keepScratch(buf)
	}
	return 2
}

// stringArg is the value of s, which v is or was made of.
func stringArg(v vm.Value, s string) vm.Value {
	if v.IsString() {
		return v
	}
	return vm.String(s)
}

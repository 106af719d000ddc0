package luart

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"perilune/luart/vm"
)

// measured is a string argument that OpenResty's Lua code takes the length of: it says
// so when it is none.
func measured(t *vm.Thread, i int, name string) string {
	s, ok := t.Arg(i).AsString()
	if !ok {
		raise(t, "attempt to get length of local '%s' (a %s value)", name, t.Arg(i).TypeName())
	}
	return s
}

func openRestyString(rt *Runtime) *vm.Table {
	tab, _ := rt.class("0.16", map[string]vm.GoFunction{
		"to_hex": func(t *vm.Thread) int {
			t.PushBytes(hex.AppendEncode(nil, bytesOf(measured(t, 1, "s"))))
			return 1
		},
		"atoi": func(t *vm.Thread) int {
			n, err := strconv.ParseUint(measured(t, 1, "s"), 10, 63)
			if err != nil {
				t.PushInt(-1) // as nginx's own function
				return 1
			}
			t.PushNumber(float64(n))
			return 1
		},
	})
	return tab
}

var base64URL = strings.NewReplacer("-", "+", "_", "/", "+", "!", "/", "!")

func openBase64URL(rt *Runtime) *vm.Table {
	fail := func(t *vm.Thread, text string) int {
		t.PushNil()
		t.PushString(text)
		return 2
	}
	tab := rt.fill(rt.vm.NewTable(0, 3), map[string]vm.GoFunction{
		"encode_base64url": func(t *vm.Thread) int {
			s, ok := t.Arg(1).AsString()
			if !ok {
				return fail(t, "must provide a string")
			}
			t.PushBytes(base64.RawURLEncoding.AppendEncode(nil, bytesOf(s)))
			return 1
		},
		"decode_base64url": func(t *vm.Thread) int {
			s, ok := t.Arg(1).AsString()
			if !ok {
				return fail(t, "must provide a string")
			}
			b, ok := appendBase64Decoded(nil, base64URL.Replace(s))
			if !ok {
				return fail(t, "invalid input")
			}
			t.PushBytes(b)
			return 1
		},
	})
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

// maxPooledTables is how many tables of one tag are kept.
const maxPooledTables = 200

func openTablePool(rt *Runtime) *vm.Table {
	pools := map[string][]*vm.Table{}
	tab, _ := rt.class("0.03", map[string]vm.GoFunction{
		"fetch": func(t *vm.Thread) int {
			tag := t.CheckString(1)
			if p := pools[tag]; len(p) > 0 {
				t.Push(p[len(p)-1].Value())
				pools[tag] = p[:len(p)-1]
				return 1
			}
			t.Push(rt.vm.NewTable(min(max(t.CheckInt(2), 0), 1<<20), min(max(t.CheckInt(3), 0), 1<<20)).Value())
			return 1
		},
		"release": func(t *vm.Thread) int {
			tag := t.CheckString(1)
			if t.Arg(2).IsNil() {
				return raise(t, "object empty")
			}
			obj := t.CheckTable(2)
			if !t.Arg(3).Truthy() {
				obj.SetMetatable(nil)
				obj.Clear()
			}
			if len(pools[tag]) < maxPooledTables {
				pools[tag] = append(pools[tag], obj)
			}
			return 0
		},
	})
	return tab
}

func openNgxRe(rt *Runtime) *vm.Table {
	tab := rt.fill(rt.vm.NewTable(0, 3), map[string]vm.GoFunction{
		"split": func(t *vm.Thread) int { return rt.reSplit(t) },
		"opt": func(t *vm.Thread) int {
			if name := t.CheckString(1); name != "jit_stack_size" {
				return raise(t, "unrecognized option name")
			}
			t.CheckNumber(2) // there is no such stack: any size will do
			return 0
		},
	})
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

// reSplit is ngx.re.split(subject, regex, options?, ctx?, max?, res?).
func (rt *Runtime) reSplit(t *vm.Thread) int {
	s := subject(t)
	ctx, _ := t.Arg(4).AsTable()
	from := 1
	if ctx != nil {
		if v := ctx.Get(rt.posKey()); v.Truthy() {
			f, _ := v.AsNumber()
			from = int(f)
		}
	}
	limit := t.OptInt(5, 0)
	res, ok := t.Arg(6).AsTable()
	if !ok {
		if t.Arg(6).Truthy() {
			return raise(t, "res is not a table")
		}
		res = rt.vm.NewTable(4, 0)
	}
	if from > len(s) {
		res.SetInt(1, vm.Nil)
		t.Push(res.Value())
		return 1
	}
	p, text := rt.patternArgs(t, 3)
	if p == nil {
		t.PushNil()
		t.PushString(text)
		return 2
	}
	sp := splitter{rt: rt, t: t, p: p, s: s, pos: max(from-1, 0), start: max(from, 1), res: res}
	if text = sp.run(limit); text != "" {
		t.PushNil()
		t.PushString(text)
		return 2
	}
	if ctx != nil {
		_ = ctx.Set(rt.posKey(), vm.Int(sp.pos))
	}
	sp.finish(limit)
	t.Push(res.Value())
	return 1
}

// splitter splits a subject; start is where the next piece begins, from 1.
type splitter struct {
	rt         *Runtime
	t          *vm.Thread
	p          *pattern
	s          string
	pos, start int
	res        *vm.Table
	n          int
	empty      int // where the last empty match was, 0 for none
}

func (sp *splitter) add(v vm.Value) {
	sp.n++
	sp.res.SetInt(sp.n, v)
}

func (sp *splitter) run(limit int) string {
	for count := 1; limit <= 0 || count < limit; {
		found, text := sp.rt.exec(sp.t, sp.p, sp.s, min(sp.pos, len(sp.s)+1), sp.n > 0)
		if text != "" {
			if sp.pos > len(sp.s) {
				return ""
			}
			return text
		}
		if !found {
			return ""
		}
		caps := sp.rt.re.matcher.Caps
		from, to := int(caps[0])+1, int(caps[1])+1
		sp.pos = to - 1
		if from == to {
			sp.pos = to
		}
		if sp.empty > 0 {
			sp.start = sp.empty
		}
		if from == to {
			sp.empty = from
		}
		if from <= sp.start && sp.empty > 0 {
			continue
		}
		count++
		sp.add(vm.CopiedString(sp.s[sp.start-1 : max(from-1, sp.start-1)]))
		if sp.p.groups() > 0 && caps[2] >= 0 {
			sp.add(sp.rt.capture(sp.s, 1))
		}
		if sp.start = to; sp.start > len(sp.s) {
			return ""
		}
	}
	return ""
}

// finish adds what is left; without a limit empty pieces at the end are dropped.
func (sp *splitter) finish(limit int) {
	if limit > 0 || sp.start <= len(sp.s) {
		sp.add(vm.CopiedString(sp.s[min(sp.start-1, len(sp.s)):]))
	} else {
		for sp.n > 0 {
			if s, _ := sp.res.GetInt(sp.n).AsString(); s != "" {
				break
			}
			sp.res.SetInt(sp.n, vm.Nil)
			sp.n--
		}
	}
	sp.res.SetInt(sp.n+1, vm.Nil)
}

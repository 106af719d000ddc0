package luart

import "perilune/luart/vm"

// maxArgs and maxHeaders are how many arguments and headers functions return
// unless they are told otherwise.
const (
	maxArgs    = maxHeaders
	maxHeaders = 100
)

func argsAPI() []Function {
	const in = phasesRequest
	return []Function{
		{Name: "ngx.req.get_uri_args", Args: "(max?, table?)", Phases: in, fn: reqGetURIArgs, noRequest: errNoRequest, fake: true,
			Doc: "returns the arguments of the request line as a table; at most 100, or max, 0 for all"},
		{Name: "ngx.req.set_uri_args", Args: "(args)", Phases: in, fn: reqSetURIArgs, fake: true,
			Doc: "replaces the arguments by a string or a table"},
		{Name: "ngx.req.get_post_args", Args: "(max?)", Phases: in, fn: reqGetPostArgs, fake: true,
			Doc: "returns the arguments of a body of the type application/x-www-form-urlencoded, which must have been read"},
	}
}

// addMulti sets a field of a table of arguments or headers; a second value of the
// same name makes it an array.
func addMulti(m *vm.VM, tab *vm.Table, k, v vm.Value) {
	old := tab.Get(k)
	if old.IsNil() {
		_ = tab.Set(k, v)
		return
	}
	if arr, ok := old.AsTable(); ok {
		arr.Append(v)
		return
	}
	arr := m.NewTable(4, 0)
	arr.Append(old)
	arr.Append(v)
	_ = tab.Set(k, arr.Value())
}

// decoded is a piece of a query string as a value of Lua.
func decoded[T string | []byte](rt *Runtime, s T) vm.Value {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' || s[i] == '+' {
			rt.unescaped = appendUnescaped(rt.unescaped[:0], s)
			return rt.vm.Recent(rt.unescaped)
		}
	}
	return rt.vm.Recent([]byte(s))
}

// parseArgs adds the arguments in s to tab. It stops after max pairs, when max is
// not 0, and says whether it did. Pairs with an empty name are left out, but
// countEmpty says whether they count.
func parseArgs[T string | []byte](rt *Runtime, tab *vm.Table, s T, max int, countEmpty bool) (truncated bool) {
	count := 0
	for len(s) > 0 {
		end, eq := 0, -1
		for end < len(s) && s[end] != '&' {
			if s[end] == '=' && eq < 0 {
				eq = end
			}
			end++
		}
		pair := s[:end]
		more := end < len(s)
		if more {
			s = s[end+1:]
		} else {
			s = s[:0]
		}
		name := pair
		if eq >= 0 {
			name = pair[:eq]
		}
		if len(name) > 0 {
			v := vm.True
			if eq >= 0 {
				v = decoded(rt, pair[eq+1:])
			}
			addMulti(rt.vm, tab, decoded(rt, name), v)
		}
		if (len(name) > 0 || countEmpty) && more {
			if count++; count == max {
				return true
			}
		}
	}
	return false
}

func pushArgs[T string | []byte](t *vm.Thread, c *Ctx, s T, max int) int {
	tab := c.rt.vm.NewTable(0, 4)
	truncated := parseArgs(c.rt, tab, s, max, true)
	t.Push(tab.Value())
	if truncated {
		logText(c.logger(c.rt), LevelDebug, "lua hit query args limit "+itoa(max))
		t.PushString("truncated")
		return 2
	}
	return 1
}

func reqGetURIArgs(t *vm.Thread, c *Ctx) int {
	max := limit(t, "ngx_http_lua_ffi_req_get_uri_args_count")
	tab, ok := t.Arg(2).AsTable()
	switch {
	case ok:
		clearTable(tab)
	case t.Arg(2).Truthy():
		return raise(t, "bad argument #1 to 'clear_tab' (table expected, got %s)", t.Arg(2).TypeName())
	}
	args := c.req.Args()
	pairs := 0
	if len(args) > 0 {
		pairs = 1
		for _, b := range args {
			if b == '&' {
				pairs++
			}
		}
	}
	if tab == nil {
		n := pairs
		if n > maxArgs {
			n = maxArgs
		}
		tab = c.rt.vm.NewTable(0, n)
	}
	// What counts here is the number of pairs in the text, empty ones included.
	truncated := max > 0 && pairs > max
	limit := 0
	if truncated {
		limit = max
	}
	parseArgs(c.rt, tab, args, limit, false)
	t.Push(tab.Value())
	if truncated {
		logText(c.req, LevelDebug, "lua hit query args limit "+itoa(max))
		t.PushString("truncated")
		return 2
	}
	return 1
}

func clearTable(tab *vm.Table) {
	for {
		k, _, ok, err := tab.Next(vm.Nil)
		if err != nil || !ok {
			return
		}
		_ = tab.Set(k, vm.Nil)
	}
}

func reqSetURIArgs(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "expecting 1 argument but seen %d", n)
	}
	v := t.Arg(1)
	rt := c.rt
	switch v.Type() {
	case vm.TypeNumber:
		n, _ := v.AsNumber()
		buf := appendNumber(rt.scratch[:0], n)
		c.req.SetArgs(buf)
		rt.keepScratch(buf)
	case vm.TypeString:
		s, _ := v.AsString()
		buf := appendEscaped(rt.scratch[:0], s, queryStringSet)
		c.req.SetArgs(buf)
		rt.keepScratch(buf)
	case vm.TypeTable:
		tab, _ := v.AsTable()
		buf := appendArgs(t, rt.scratch[:0], tab)
		c.req.SetArgs(buf)
		rt.keepScratch(buf)
	default:
		return argError(t, 1, "string, number, or table expected, but got "+v.TypeName())
	}
	return 0
}

// appendArgs appends a table as a query string.
func appendArgs(t *vm.Thread, buf []byte, tab *vm.Table) []byte {
	start, charged := len(buf), len(buf)
	add := func(key string, v vm.Value) {
		t.Charge(1)
		if n := len(buf) - charged; n >= chargeBytes {
			charged = len(buf)
			t.ChargeBytes(n)
		}
		text := ""
		if v.Type() == vm.TypeBoolean {
			if !v.Truthy() {
				return
			}
		} else {
			var ok bool
			if text, ok = v.ToStringCoerced(); !ok {
				t.Errorf("attempt to use %s as query arg value", v.TypeName())
			}
		}
		if len(buf) > start {
			buf = append(buf, '&')
		}
		buf = appendEscaped(buf, key, escapeSets[escapeURIComponent])
		if v.Type() != vm.TypeBoolean {
			buf = append(buf, '=')
			buf = appendEscaped(buf, text, escapeSets[escapeURIComponent])
		}
	}
	each(tab, func(k, v vm.Value) {
		key, ok := k.AsString()
		if !ok {
			t.Errorf("attempt to use a non-string key in the \"args\" option table")
		}
		arr, ok := v.AsTable()
		if !ok {
			add(key, v)
			return
		}
		each(arr, func(_, e vm.Value) { add(key, e) })
	})
	return buf
}

// each calls f for every field of a table.
func each(tab *vm.Table, f func(k, v vm.Value)) {
	for k := vm.Nil; ; {
		nk, nv, ok, err := tab.Next(k)
		if err != nil || !ok {
			return
		}
		f(nk, nv)
		k = nk
	}
}

func reqGetPostArgs(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n > 1 {
		return raise(t, "expecting 0 or 1 arguments but seen %d", n)
	}
	max := maxArgs
	if n == 1 {
		max = t.CheckInt(1)
	}
	if c.req.BodyDiscarded() {
		t.Push(c.rt.vm.NewTable(0, 0).Value())
		return 1
	}
	if !c.req.BodyRead() {
		return raise(t, "no request body found; maybe you should turn on lua_need_request_body?")
	}
	if c.req.BodyFile() != "" {
		return fail(t, "request body in temp file not supported")
	}
	return pushArgs(t, c, c.req.Body(), max)
}

package luart

import "perilune/luart/vm"

// maxHeaderValues is how many values of one name reading ngx.header returns.
const maxHeaderValues = 100

func headerAPI() []Function {
	return []Function{
		{Name: "ngx.resp.get_headers", Args: "(max?, raw?)", Phases: phasesRequest, fn: respGetHeaders, fake: true,
			Doc: "the response's headers as a table, with names in lower case unless raw; at most 100, or max, 0 for all"},
	}
}

// openResp makes the module ngx.resp.
func openResp(rt *Runtime) *vm.Table {
	tab := rt.fill(rt.vm.NewTable(0, 4), map[string]vm.GoFunction{
		"add_header": respAddHeader, "set_status": respSetStatus, "bypass_if_checks": respBypassIfChecks,
	})
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

// respBypassIfChecks has conditional requests answered as others.
func respBypassIfChecks(t *vm.Thread) int {
	realRequest(t).req.BypassConditions()
	return 0
}

// respSetStatus sets the status and its text.
func respSetStatus(t *vm.Thread) int {
	c := realRequest(t)
	n, ok := t.Arg(1).ToNumberCoerced()
	if !ok {
		return ffiError(t, 2, "ngx_http_lua_ffi_set_resp_status_and_reason", vm.Nil)
	}
	c.setStatus(int(n), t.CheckString(2))
	return 0
}

// respAddHeader adds a header beside those of the same name.
func respAddHeader(t *vm.Thread) int {
	c := realRequest(t)
	v := t.Arg(2)
	if v.IsNil() {
		return raise(t, "invalid header value")
	}
	if tab, ok := v.AsTable(); ok && tab.Len() == 0 {
		return 0
	}
	return setHeaderOut(t, c, t.Arg(1), v, false)
}

// openHeader makes ngx.header.
func (rt *Runtime) openHeader(ngx *vm.Table) {
	tab := rt.vm.NewTable(0, 0)
	mt := rt.vm.NewTable(0, 2)
	mt.SetStr("__index", rt.vm.NewFunction("__index", headerIndex))
	mt.SetStr("__newindex", rt.vm.NewFunction("__newindex", headerNewIndex))
	tab.SetMetatable(mt)
	ngx.SetStr("header", tab.Value())
}

// headerName is the name of a header as Lua code gives it.
func (c *Ctx) headerName(t *vm.Thread, v vm.Value) string {
	name, ok := v.AsString()
	if !ok {
		name = t.ToString(v)
	}
	if !c.settings.TransformUnderscores {
		return name
	}
	return c.rt.dashed(name)
}

// dashed is the name with dashes for underscores. Those of the scripts are few and
// come again, so that they are made once.
func (rt *Runtime) dashed(name string) string {
	for i := 0; i < len(name); i++ {
		if name[i] != '_' {
			continue
		}
		if s, ok := rt.dashedNames[name]; ok {
			return s
		}
		b := []byte(name)
		for ; i < len(b); i++ {
			if b[i] == '_' {
				b[i] = '-'
			}
		}
		s := string(b)
		if len(name) <= 64 && len(rt.dashedNames) < maxKnownHeaders {
			rt.dashedNames[name] = s
		}
		return s
	}
	return name
}

func headerIndex(t *vm.Thread) int {
	c := realRequest(t)
	name := c.headerName(t, t.Arg(2))
	first, ok := c.req.HeaderOut(name, 0)
	if !ok {
		t.PushNil()
		return 1
	}
	v := c.rt.vm.Recent(bytesOf(first))
	second, ok := c.req.HeaderOut(name, 1)
	if !ok {
		t.Push(v)
		return 1
	}
	tab := c.rt.vm.NewTable(4, 0)
	tab.Append(v)
	for i := 2; ok && i <= maxHeaderValues; i++ {
		tab.Append(c.rt.vm.Recent(bytesOf(second)))
		second, ok = c.req.HeaderOut(name, i)
	}
	t.Push(tab.Value())
	return 1
}

func headerNewIndex(t *vm.Thread) int {
	c := realRequest(t)
	return setHeaderOut(t, c, t.Arg(2), t.Arg(3), true)
}

// setHeaderOut sets or adds a header of the response from a value of Lua.
func setHeaderOut(t *vm.Thread, c *Ctx, key, v vm.Value, override bool) int {
	if c.sent() {
		logText(c.req, LevelError, "attempt to set ngx.header.HEADER after sending out response headers")
		return 0
	}
	name := c.headerName(t, key)
	c.headersSet = true
	if s, ok := v.AsString(); ok {
		c.putHeaderOut(t, name, s, override)
		return 0
	}
	tab, ok := v.AsTable()
	switch {
	case v.IsNil():
		c.putHeaderOut(t, name, "", override)
	case !ok:
		c.putHeaderOut(t, name, t.ToString(v), override)
	case tab.Len() == 0:
		c.putHeaderOut(t, name, "", override)
	default:
		for i, n := 1, tab.Len(); i <= n; i++ {
			c.putHeaderOut(t, name, t.ToString(tab.GetInt(i)), override && i == 1)
		}
	}
	return 0
}

// headerCharge is the work that writing a header counts as: others are looked at.
const headerCharge = 16

func (c *Ctx) putHeaderOut(t *vm.Thread, name, value string, override bool) {
	name = escapeString(name, escapeSets[escapeHeaderName])
	value = escapeString(value, escapeSets[escapeHeaderValue])
	t.Charge(headerCharge)
	mime, err := c.req.SetHeaderOut(name, value, override)
	if err != nil {
		t.Errorf("failed to set header")
	}
	if mime {
		c.mimeSet = true
	}
}

func respGetHeaders(t *vm.Thread, c *Ctx) int {
	max, raw := maxHeaders, t.ToBool(2)
	if !t.Arg(1).IsNil() {
		if n := t.CheckInt(1); n >= 0 {
			max = n
		}
	}
	rt := c.rt
	own, n := 0, 0
	c.req.EachHeaderOut(func(_, _ string, isOwn bool) bool {
		n++
		if isOwn {
			own++
		}
		return true
	})
	tab := rt.vm.NewTable(0, n)
	// As in ngx_lua the engine's own headers and one other are there in any case.
	left := n - own
	truncated := max > 0 && n > max
	if truncated {
		logText(c.req, LevelDebug, "lua exceeding response header limit "+itoa(n)+" > "+itoa(max))
		left = max - own
	}
	c.req.EachHeaderOut(func(name, value string, isOwn bool) bool {
		addMulti(rt.vm, tab, rt.headerField(bytesOf(name), raw), rt.vm.Recent(bytesOf(value)))
		if !isOwn {
			left--
		}
		return isOwn || left > 0
	})
	if !raw {
		tab.SetMetatable(rt.headersMeta)
	}
	t.Push(tab.Value())
	if truncated {
		t.PushString("truncated")
		return 2
	}
	return 1
}

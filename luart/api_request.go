package luart

import (
	"perilune/luart/vm"
)

func requestAPI() []Function {
	const in = phasesRequest
	return []Function{
		{Name: "ngx.req.get_method", Args: "()", Phases: in, fn: reqGetMethod, noRequest: errNoRequest, fake: true, Doc: "the method's name"},
		{Name: "ngx.req.set_method", Args: "(method)", Phases: in, fn: reqSetMethod, noRequest: errNoRequest, fake: true, Doc: "changes the method, given by its constant"},
		{Name: "ngx.req.get_headers", Args: "(max?, raw?)", Phases: in, fn: reqGetHeaders, noRequest: errNoRequest, fake: true,
			Doc: "the request's headers as a table, with names in lower case unless raw; at most 100, or max, 0 for all"},
		{Name: "ngx.req.set_header", Args: "(name, value)", Phases: in, fn: reqSetHeader, noRequest: errNoRequest, fake: true, Doc: "sets a header of the request; a table sets several of the name"},
		{Name: "ngx.req.clear_header", Args: "(name)", Phases: in, fn: reqClearHeader, noRequest: errNoRequest, fake: true, Doc: "removes a header of the request"},
		{Name: "ngx.req.raw_header", Args: "(no_request_line?)", Phases: in, fn: reqRawHeader, fake: true, Doc: "the header as it was received"},
		{Name: "ngx.req.http_version", Args: "()", Phases: in, fn: reqHTTPVersion, fake: true, Doc: "the version as a number: 0.9, 1.0, 1.1, 2.0"},
		{Name: "ngx.req.start_time", Args: "()", Phases: in | PhaseTimer | PhaseInitWorker | PhaseExitWorker, fn: reqStartTime, noRequest: errNoRequest, Doc: "when the request began, in seconds"},
		{Name: "ngx.req.is_internal", Args: "()", Phases: in, fn: reqIsInternal, noRequest: errNoRequest, fake: true, Doc: "whether the request comes from an internal redirect or a subrequest"},
	}
}

func reqGetMethod(t *vm.Thread, c *Ctx) int {
	if v, ok := c.rt.methods[c.req.MethodID()]; ok {
		t.Push(v)
		return 1
	}
	t.PushBytes(c.req.MethodName())
	return 1
}

func reqSetMethod(t *vm.Thread, c *Ctx) int {
	n, ok := t.Arg(1).AsNumber()
	if !ok {
		return raise(t, "bad method number")
	}
	id := uint32(0)
	if n > 0 && n < 1<<31 {
		id = uint32(n)
	}
	name, ok := methodNames[id]
	if !ok {
		return raise(t, "unsupported HTTP method: %s", string(appendNumber(nil, n)))
	}
	c.req.SetMethod(id, name)
	return 0
}

func reqHTTPVersion(t *vm.Thread, c *Ctx) int {
	switch c.req.HTTPVersion() {
	case 9:
		t.PushNumber(0.9)
	case 1000:
		t.PushNumber(1)
	case 1001:
		t.PushNumber(1.1)
	case 2000:
		t.PushNumber(2)
	case 3000:
		t.PushNumber(3)
	default:
		t.PushNil()
	}
	return 1
}

func reqStartTime(t *vm.Thread, c *Ctx) int {
	if c.req == nil {
		t.PushInt(0)
	} else {
		t.PushNumber(seconds(c.req.StartTime()))
	}
	return 1
}

func reqIsInternal(t *vm.Thread, c *Ctx) int {
	t.PushBool(c.req.Internal())
	return 1
}

func reqRawHeader(t *vm.Thread, c *Ctx) int {
	rt := c.rt
	buf := c.req.AppendRawHeader(rt.scratch[:0], t.ToBool(1))
	t.PushBytes(buf)
	rt.keepScratch(buf)
	return 1
}

// maxKnownHeaders bounds the cache of header names.
const maxKnownHeaders = 512

// lowerName is a header's name in lower case as a value. Names are few, so that
// they are made once.
func (rt *Runtime) lowerName(name []byte) vm.Value {
	n := len(name)
	if n == 0 {
		return vm.String("")
	}
	known := &rt.knownNames[(n<<4^int(name[0])^int(name[n-1])<<2)%len(rt.knownNames)]
	if known.name != string(name) {
		known.name, known.lower = string(name), rt.findName(name)
	}
	return known.lower
}

// knownName is a name that was asked for, where it is found at a glance.
type knownName struct {
	name  string
	lower vm.Value
}

func (rt *Runtime) findName(name []byte) vm.Value {
	if v, ok := rt.headerNames[string(name)]; ok {
		return v
	}
	v := rt.vm.Intern(lower(string(name)))
	if len(name) <= 64 && len(rt.headerNames) < maxKnownHeaders {
		rt.headerNames[string(name)] = v
	}
	return v
}

// headerField is the name that a table of headers has for a header.
func (rt *Runtime) headerField(name []byte, raw bool) vm.Value {
	if raw {
		return rt.vm.Recent(name)
	}
	return rt.lowerName(name)
}

// lower is strings.ToLower for ASCII alone.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; c >= 'A' && c <= 'Z' {
					b[i] = c | 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// limit reads the argument max of functions of the request, which ngx_lua passes on to
// a function of that name.
func limit(t *vm.Thread, name string) int {
	v := t.Arg(1)
	if !v.Truthy() {
		return maxHeaders
	}
	if v.Type() == vm.TypeBoolean {
		return 1
	}
	n, ok := v.AsNumber()
	if !ok {
		ffiError(t, 2, name, v)
	}
	if n < 0 {
		return maxHeaders
	}
	return int(n)
}

func reqGetHeaders(t *vm.Thread, c *Ctx) int {
	max, raw := limit(t, "ngx_http_lua_ffi_req_get_headers_count"), t.ToBool(2)
	rt := c.rt
	n := c.req.HeadersInLen()
	truncated := max > 0 && n > max
	if truncated {
		logText(c.req, LevelDebug, "lua exceeding request header limit "+itoa(n)+" > "+itoa(max))
		n = max
	}
	tab := rt.vm.NewTable(0, n)
	for i := 0; i < n; i++ {
		name, value := c.req.HeaderIn(i)
		addMulti(rt.vm, tab, rt.headerField(name, raw), rt.vm.Recent(value))
	}
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

// headersIndex is the __index of tables of headers: names are found whatever
// their case, and with underscores for dashes.
func headersIndex(t *vm.Thread) int {
	tab, ok := t.Arg(1).AsTable()
	key, isStr := t.Arg(2).ToStringCoerced()
	if !ok || !isStr {
		return argError(t, 1, "string expected, got "+t.Arg(2).TypeName())
	}
	t.Push(tab.GetStr(headerKey(key)))
	return 1
}

// headerKey is a name in lower case with dashes for underscores.
func headerKey(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' || c == '_' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; c >= 'A' && c <= 'Z' {
					b[i] = c | 0x20
				} else if c == '_' {
					b[i] = '-'
				}
			}
			return string(b)
		}
	}
	return s
}

func reqSetHeader(t *vm.Thread, c *Ctx) int {
	if t.Arg(1).IsNil() {
		return raise(t, "bad 'name' argument: string expected, got nil")
	}
	return setHeaderIn(t, c, text(t, 1), t.Arg(2), true)
}

// openReq makes the module ngx.req.
func openReq(rt *Runtime) *vm.Table {
	tab := rt.fill(rt.vm.NewTable(0, 2), map[string]vm.GoFunction{"add_header": reqAddHeader})
	tab.SetStr("version", vm.String(coreVersion))
	return tab
}

// reqAddHeader adds a header to the request beside those of its name.
func reqAddHeader(t *vm.Thread) int {
	c := realRequest(t)
	name, v := t.Arg(1), t.Arg(2)
	tab, ok := v.AsTable()
	switch {
	case name.IsNil():
		return raise(t, "bad 'name' argument: string expected, got nil")
	case v.IsNil():
		return raise(t, "bad 'value' argument: string or table expected, got nil")
	case ok && tab.Len() == 0:
		return raise(t, "bad 'value' argument: non-empty table expected")
	}
	return setHeaderIn(t, c, t.ToString(name), v, false)
}

func reqClearHeader(t *vm.Thread, c *Ctx) int {
	name := t.Arg(1)
	return setHeaderIn(t, c, t.ToString(name), vm.Nil, true)
}

// setHeaderIn sets a header of the request, or adds it to those of its name.
func setHeaderIn(t *vm.Thread, c *Ctx, name string, v vm.Value, override bool) int {
	if c.req.HTTPVersion() < 1000 {
		return 0
	}
	set := func(value string, override bool) {
		t.Charge(headerCharge)
		err := c.req.SetHeaderIn(escapeString(name, escapeSets[escapeHeaderName]),
			escapeString(value, escapeSets[escapeHeaderValue]), override)
		if err != nil {
			t.Errorf("failed to set header")
		}
	}
	tab, ok := v.AsTable()
	switch {
	case v.IsNil():
		set("", true)
	case !ok:
		set(t.ToString(v), override)
	case tab.Len() == 0:
		set("", true)
	default:
		for i, n := 1, tab.Len(); i <= n; i++ {
			set(t.ToString(tab.GetInt(i)), override && i == 1)
		}
	}
	return 0
}

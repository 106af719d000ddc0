package luart

import "perilune/luart/vm"

// SubrequestOptions say what a subrequest is to be.
type SubrequestOptions struct {
	URI, Args   string
	MethodID    uint32
	MethodName  string
	Body        []byte // nil: the request's own, if ForwardBody says so
	ForwardBody bool
	ShareVars   bool
	CopyVars    bool
	Vars        [][2]string
	Headers     [][2]string
	Ctx         *vm.Table // ngx.ctx, nil for a new one
}

// Subrequest is a subrequest whose response is kept from the client.
type Subrequest interface {
	// Start has it run beside the caller; Wait parks until it has ended, and runs it on
	// the goroutine of the caller if it was not started.
	Start()
	Wait() error
	Abort() // ends its Lua code, because the client has gone
	Status() int
	Body() (data []byte, truncated bool)
	EachHeaderOut(f func(name, value string)) // but for the length
	ContentLength() int64                     // of the body, -1 if it is not known or a header that is listed
}

func captureAPI() []Function {
	return []Function{
		{Name: "ngx.location.capture", Args: "(uri, options?)", Phases: PhasesResponse, fn: locationCapture,
			Doc: "makes a subrequest and returns a table with status, header, body and truncated; options: method, body, args, ctx, vars, headers, copy_all_vars, share_all_vars, always_forward_body"},
		{Name: "ngx.location.capture_multi", Args: "({{uri, options?}, ...})", Phases: PhasesResponse, fn: locationCaptureMulti,
			Doc: "makes several subrequests at the same time and returns their results when all have ended"},
	}
}

func locationCapture(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		return raise(t, "expecting one or two arguments")
	}
	// As in ngx_lua the arguments are an array, which ends before a nil.
	if t.Arg(2).IsNil() {
		n = 1
		if t.Arg(1).IsNil() {
			n = 0
		}
	}
	return capture(t, c, []query{{t.Arg(1), t.Arg(2), n}})
}

// query is a subrequest as it is asked for: its URI and, if n is 2, the options.
type query struct {
	uri, options vm.Value
	n            int
}

func locationCaptureMulti(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "only one argument is expected, but got %d", n)
	}
	tab := t.CheckTable(1)
	n := tab.Len()
	if n == 0 {
		return raise(t, "at least one subrequest should be specified")
	}
	queries := make([]query, n)
	for i := range queries {
		v := tab.GetInt(i + 1)
		if v.IsNil() {
			return raise(t, "only array-like tables are allowed")
		}
		q, ok := v.AsTable()
		if !ok {
			return raise(t, "the query argument %d is not a table, but a %s", i, v.TypeName())
		}
		queries[i] = query{q.GetInt(1), q.GetInt(2), q.Len()}
	}
	return capture(t, c, queries)
}

// capture runs subrequests and pushes a table for each.
func capture(t *vm.Thread, c *Ctx, queries []query) int {
	options := make([]SubrequestOptions, len(queries))
	for i, q := range queries {
		if q.n != 1 && q.n != 2 {
			return raise(t, "query argument %d expecting one or two arguments", i)
		}
		o := &options[i]
		o.MethodID, o.MethodName = 2, "GET"
		if q.n == 2 {
			opts, ok := q.options.AsTable()
			if !ok {
				return raise(t, "expecting table as the 2nd argument for subrequest %d, but got %s", i, q.options.TypeName())
			}
			o.read(t, opts)
		}
		uri, ok := q.uri.ToStringCoerced()
		if !ok {
			return argError(t, 3, "string expected, got "+q.uri.TypeName())
		}
		path, args, ok := c.req.CheckURI(uri, false)
		if !ok {
			return raise(t, "unsafe uri in argument #1: %s", cString(uri))
		}
		o.URI = path
		if args != "" && o.Args != "" {
			args += "&"
		}
		o.Args = args + o.Args
	}
	subs := make([]Subrequest, len(options))
	for i := range options {
		var err error
		if subs[i], err = c.req.NewSubrequest(&options[i]); err != nil {
			start(subs[:i])
			return raise(t, "%s", err.Error())
		}
	}
	start(subs[1:])
	u := c.current(t)
	if u != nil {
		u.subrequests += len(subs)
		u.cancel = func() {
			for _, s := range subs {
				s.Abort()
			}
		}
	}
	phase := c.phase
	for _, s := range subs {
		if err := s.Wait(); err != nil {
			c.exitCode, c.exited = Error, true
			return t.Abort(errExit)
		}
	}
	if u != nil {
		u.subrequests -= len(subs)
		u.cancel = nil
	}
	if !c.waited(t, phase) {
		return t.Abort(errKilled)
	}
	logText(c.req, LevelDebug, "lua run subrequests done, resuming lua thread")
	for _, s := range subs {
		t.Push(c.rt.captured(s).Value())
	}
	return len(subs)
}

func start(subs []Subrequest) {
	for _, s := range subs {
		s.Start()
	}
}

// captured is the result of a subrequest.
func (rt *Runtime) captured(s Subrequest) *vm.Table {
	res := rt.vm.NewTable(0, 4)
	body, truncated := s.Body()
	res.SetStr("status", vm.Int(s.Status()))
	res.SetStr("body", rt.vm.Recent(body))
	res.SetStr("truncated", vm.Bool(truncated))
	header := rt.vm.NewTable(0, 8)
	s.EachHeaderOut(func(name, value string) {
		addMulti(rt.vm, header, rt.vm.Recent(bytesOf(name)), rt.vm.Recent(bytesOf(value)))
	})
	if n := s.ContentLength(); n >= 0 {
		header.SetStr("Content-Length", vm.Number(float64(n)))
	}
	res.SetStr("header", header.Value())
	return res
}

// read takes the options of a subrequest from their table.
func (o *SubrequestOptions) read(t *vm.Thread, opts *vm.Table) {
	switch v := opts.GetStr("args"); v.Type() {
	case vm.TypeTable:
		tab, _ := v.AsTable()
		o.Args = string(appendArgs(t, nil, tab))
	case vm.TypeNil:
	case vm.TypeNumber, vm.TypeString:
		o.Args, _ = v.ToStringCoerced()
	default:
		t.Errorf("Bad args option value")
	}
	o.Vars = pairsOption(t, opts, "vars")
	o.Headers = pairsOption(t, opts, "headers")
	o.ShareVars = boolOption(t, opts, "share_all_vars")
	o.CopyVars = boolOption(t, opts, "copy_all_vars")
	o.ForwardBody = opts.GetStr("always_forward_body").Truthy()
	if v := opts.GetStr("method"); !v.IsNil() {
		n, ok := v.AsNumber()
		if !ok {
			t.Errorf("Bad http request method")
		}
		o.MethodID = uint32(n)
		o.MethodName = methodNames[o.MethodID] // "": the subrequest cannot be made
	}
	if v := opts.GetStr("ctx"); !v.IsNil() {
		var ok bool
		if o.Ctx, ok = v.AsTable(); !ok {
			t.Errorf("Bad ctx option value type %s, expected a Lua table", v.TypeName())
		}
	}
	if v := opts.GetStr("body"); !v.IsNil() {
		s, ok := v.ToStringCoerced()
		if !ok {
			t.Errorf("Bad http request body")
		}
		o.Body = append([]byte{}, s...)
	}
}

func boolOption(t *vm.Thread, opts *vm.Table, name string) bool {
	v := opts.GetStr(name)
	if !v.IsNil() && v.Type() != vm.TypeBoolean {
		t.Errorf("Bad %s option value", name)
	}
	return v.Truthy()
}

func pairsOption(t *vm.Thread, opts *vm.Table, name string) (list [][2]string) {
	v := opts.GetStr(name)
	if v.IsNil() {
		return nil
	}
	tab, ok := v.AsTable()
	if !ok {
		t.Errorf("Bad %s option value", name)
	}
	each(tab, func(k, v vm.Value) {
		key, ok := k.AsString()
		if !ok {
			t.Errorf("attempt to use a non-string key in the \"%s\" option table", name)
		}
		value, ok := v.ToStringCoerced()
		if !ok {
			t.Errorf("attempt to use bad variable value type %s", v.TypeName())
		}
		list = append(list, [2]string{key, value})
	})
	return list
}

// checkAbortable raises an error when another thread waits for subrequests, which
// cannot be ended.
func (c *Ctx) checkAbortable(t *vm.Thread) {
	if c.pendingSubrequests() > 0 {
		t.Errorf("attempt to abort with pending subrequests")
	}
}

// pendingSubrequests is how many subrequests the threads wait for.
func (c *Ctx) pendingSubrequests() int {
	n := c.entry.subrequests
	for u := c.first; u != nil; u = u.next {
		n += u.subrequests
	}
	return n
}

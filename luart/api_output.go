package luart

import (
	"math"
	"strconv"
	"unsafe"

	"perilune/luart/vm"
)

func outputAPI() []Function {
	const in = PhasesResponse
	return []Function{
		{Name: "ngx.print", Args: "(...)", Phases: in, fn: func(t *vm.Thread, c *Ctx) int { return echo(t, c, false) },
			Doc: "sends its arguments as a part of the response body"},
		{Name: "ngx.say", Args: "(...)", Phases: in, fn: func(t *vm.Thread, c *Ctx) int { return echo(t, c, true) },
			Doc: "like ngx.print, with a newline after the last argument"},
		{Name: "ngx.flush", Args: "(wait?)", Phases: in, fn: ngxFlush,
			Doc: "sends what is buffered; with true it waits until all is in the client's hands"},
		{Name: "ngx.eof", Args: "()", Phases: in, late: true, fn: ngxEOF, Doc: "ends the response body"},
		{Name: "ngx.send_headers", Args: "()", Phases: in, fn: ngxSendHeaders, noRequest: errNoRequest, Doc: "sends the response header"},
	}
}

const (
	errOutputFilter = "nginx output filter error"
	errRaw          = "raw request socket acquired"
)

// fail pushes nil and a text, as functions that report errors return them.
func fail(t *vm.Thread, text string) int {
	t.PushNil()
	t.PushString(text)
	return 2
}

func succeed(t *vm.Thread) int {
	t.PushInt(1)
	return 1
}

// bytesOf is a view of a string, which must not be written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func echo(t *vm.Thread, c *Ctx, newline bool) int {
	if c.raw {
		return fail(t, errRaw)
	}
	if c.headerOnly && c.eof || c.req.HeaderOnly() {
		return fail(t, "header only")
	}
	if c.eof {
		return fail(t, "seen eof")
	}
	n := t.NArgs()
	if n == 1 && !newline {
		// The commonest piece of a big body is copied by the engine alone.
		if s, ok := t.Arg(1).AsString(); ok && s != "" {
			return finishEcho(t, c, bytesOf(s))
		}
	}
	// Writing may park, and another request may then print: the scratch buffer is
	// taken away from the runtime meanwhile.
	buf := c.rt.scratch[:0]
	c.rt.scratch = nil
	for i := 1; i <= n; i++ {
		buf = appendEcho(t, buf, i)
	}
	if newline {
		buf = append(buf, '\n')
	}
	var rc int
	if len(buf) == 0 {
		if rc = c.sendHeader(); rc == Error || rc > OK {
			rc = fail(t, errOutputFilter)
		} else {
			rc = succeed(t)
		}
	} else {
		rc = finishEcho(t, c, buf)
	}
	c.rt.keepScratch(buf)
	return rc
}

func finishEcho(t *vm.Thread, c *Ctx, p []byte) int {
	c.seenBody = true
	if rc := c.send(p); rc == Error || rc >= statusSpecial {
		return fail(t, errOutputFilter)
	}
	return succeed(t)
}

// appendEcho appends the i-th argument as ngx.print does.
func appendEcho(t *vm.Thread, buf []byte, i int) []byte {
	v := t.Arg(i)
	switch v.Type() {
	case vm.TypeString:
		s, _ := v.AsString()
		return append(buf, s...)
	case vm.TypeTable:
		tab, _ := v.AsTable()
		return appendEchoTable(t, buf, tab, i, false)
	}
	buf, ok := appendScalar(buf, v)
	if !ok {
		t.ArgError(i, "string, number, boolean, nil, ngx.null, or array table expected, but got "+v.TypeName())
	}
	return buf
}

// appendScalar appends a number, nil, a boolean or ngx.null.
func appendScalar(buf []byte, v vm.Value) ([]byte, bool) {
	switch v.Type() {
	case vm.TypeString:
		s, _ := v.AsString()
		return append(buf, s...), true
	case vm.TypeNumber:
		n, _ := v.AsNumber()
		return appendNumber(buf, n), true
	case vm.TypeNil:
		return append(buf, "nil"...), true
	case vm.TypeBoolean:
		return strconv.AppendBool(buf, v.Truthy()), true
	case vm.TypeLightUserdata:
		if vm.RawEqual(v, Null) {
			buf = append(buf, "null"...)
		}
		return buf, true
	}
	return buf, false
}

// appendEchoTable appends the elements of an array, and of the arrays in it.
// strict, for bodies of other kinds, allows nothing but strings and numbers.
func appendEchoTable(t *vm.Thread, buf []byte, tab *vm.Table, arg int, strict bool) []byte {
	t.Charge(1) // a table may be in another one many times
	max := 0
	for k := vm.Nil; ; {
		nk, _, ok, err := tab.Next(k)
		if err != nil || !ok {
			break
		}
		n, isNum := nk.AsNumber()
		if !isNum || n < 1 || math.Floor(n) != n {
			t.ArgError(arg, "non-array table found")
		}
		if int(n) > max {
			max = int(n)
		}
		k = nk
	}
	from := len(buf)
	for i := 1; i <= max; i++ {
		if i%chargeEvery == 0 { // or may have a huge index
			t.Charge(chargeEvery)
			t.ChargeBytes(len(buf) - from)
			from = len(buf)
		}
		v := tab.GetInt(i)
		if sub, ok := v.AsTable(); ok {
			buf = appendEchoTable(t, buf, sub, arg, strict)
			continue
		}
		ok := true
		if strict && v.Type() != vm.TypeString && v.Type() != vm.TypeNumber {
			ok = false
		} else {
			buf, ok = appendScalar(buf, v)
		}
		if !ok {
			t.ArgError(arg, "bad data type "+v.TypeName()+" found")
		}
	}
	return buf
}

// The work of going through a table is charged after so many elements, its memory
// after so many bytes.
const (
	chargeEvery = 1024
	chargeBytes = 64 << 10
)

// appendNumber appends a number as Lua prints it ("%.14g").
func appendNumber(buf []byte, n float64) []byte {
	if i := int32(n); float64(i) == n {
		return strconv.AppendInt(buf, int64(i), 10)
	}
	switch {
	case math.IsNaN(n):
		if math.Signbit(n) {
			return append(buf, "-nan"...)
		}
		return append(buf, "nan"...)
	case math.IsInf(n, 1):
		return append(buf, "inf"...)
	case math.IsInf(n, -1):
		return append(buf, "-inf"...)
	}
	return strconv.AppendFloat(buf, n, 'g', 14, 64)
}

func itoa(n int) string { return strconv.Itoa(n) }

func ngxFlush(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n > 1 {
		return raise(t, "attempt to pass %d arguments, but accepted 0 or 1", n)
	}
	wait := false
	if n == 1 && !c.req.Subrequest() {
		if t.Arg(1).Type() != vm.TypeBoolean {
			return typeError(t, 1, "boolean")
		}
		wait = t.ToBool(1)
	}
	switch {
	case c.raw:
		return fail(t, errRaw)
	case c.headerOnly && c.eof || c.req.HeaderOnly():
		return fail(t, "header only")
	case c.eof:
		return fail(t, "seen eof")
	case c.buffering:
		logText(c.req, LevelDebug, "lua http 1.0 buffering makes ngx.flush() a no-op")
		return fail(t, "buffering")
	case !c.sent(), !c.seenBody && !wait:
		return fail(t, "nothing to flush")
	}
	phase := c.phase
	err := c.req.Flush(wait)
	if !c.waited(t, phase) {
		return t.Abort(errKilled)
	}
	switch {
	case err == nil:
		return succeed(t)
	case err == ErrTimeout, err == ErrClientAborted:
		return fail(t, err.Error())
	}
	return fail(t, errOutputFilter)
}

func ngxEOF(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 0 {
		return raise(t, "no argument is expected")
	}
	if c.raw {
		return fail(t, errRaw)
	}
	if c.eof {
		return fail(t, "seen eof")
	}
	c.checkPhase(t, PhasesResponse)
	logText(c.req, LevelDebug, "lua send eof")
	if rc := c.sendLast(); rc == Error || rc >= statusSpecial {
		return fail(t, errOutputFilter)
	}
	return succeed(t)
}

func ngxSendHeaders(t *vm.Thread, c *Ctx) int {
	logText(c.req, LevelDebug, "lua send headers")
	if rc := c.sendHeader(); rc == Error || rc > OK {
		return fail(t, errOutputFilter)
	}
	return succeed(t)
}

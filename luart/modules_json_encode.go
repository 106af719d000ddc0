package luart

import (
	"math"
	"strconv"

	"perilune/luart/vm"
)

// jsonWriter encodes one value.
type jsonWriter struct {
	cfg *jsonConfig
	st  *jsonState
	t   *vm.Thread
	buf []byte
	err string

	charged int // bytes of buf that are accounted for
}

// account charges the work, and what buf has grown by.
func (w *jsonWriter) account(work int) {
	w.t.Charge(work)
	w.accountBytes()
}

func (w *jsonWriter) accountBytes() {
	if n := len(w.buf) - w.charged; n >= chargeBytes {
		w.charged = len(w.buf)
		w.t.ChargeBytes(n)
	}
}

func (rt *Runtime) jsonEncode(t *vm.Thread, cfg *jsonConfig, safe bool) int {
	if t.NArgs() != 1 {
		return argError(t, 1, "expected 1 argument")
	}
	w := jsonWriter{cfg: cfg, st: rt.jsonShared(), t: t, buf: rt.scratch[:0]}
	w.value(t.Arg(1), 0)
	rt.keepScratch(w.buf)
	if w.err != "" {
		return jsonFail(t, safe, w.err)
	}
	t.PushBytes(w.buf)
	return 1
}

func (w *jsonWriter) fail(v vm.Value, reason string) {
	if w.err == "" {
		w.err = "Cannot serialise " + v.TypeName() + ": " + reason
	}
}

// value writes v; false says that it was left out.
func (w *jsonWriter) value(v vm.Value, depth int) bool {
	switch v.Type() {
	case vm.TypeString:
		s, _ := v.AsString()
		w.string(s)
		w.accountBytes()
	case vm.TypeNumber:
		f, _ := v.AsNumber()
		w.number(v, f)
	case vm.TypeBoolean:
		if v.Truthy() {
			w.buf = append(w.buf, "true"...)
		} else {
			w.buf = append(w.buf, "false"...)
		}
	case vm.TypeTable:
		tab, _ := v.AsTable()
		w.table(v, tab, depth+1)
	case vm.TypeNil:
		w.buf = append(w.buf, "null"...)
	case vm.TypeLightUserdata:
		switch v {
		case Null:
			w.buf = append(w.buf, "null"...)
			return true
		case w.st.emptyArray:
			w.buf = append(w.buf, "[]"...)
			return true
		}
		fallthrough
	default:
		if w.cfg.skipUnsupported {
			return false
		}
		w.fail(v, "type not supported")
	}
	return true
}

func (w *jsonWriter) table(v vm.Value, tab *vm.Table, depth int) {
	w.account(1) // a table may be in another one many times
	if depth > w.cfg.encodeDepth {
		if w.err == "" {
			w.err = "Cannot serialise, excessive nesting (" + itoa(depth) + ")"
		}
		return
	}
	if mt := tab.Metatable(); mt != nil && mt == w.st.arrayMT {
		w.array(tab, tab.Len(), depth)
		return
	}
	n := w.arrayLen(v, tab)
	switch {
	case n > 0:
		w.array(tab, n, depth)
	case n == 0 && (tab.Metatable() == w.st.emptyArrayMT || !w.cfg.emptyTableAsObject):
		w.buf = append(w.buf, "[]"...)
	default:
		w.object(tab, depth)
	}
}

// arrayLen is the length of a table that is an array, 0 if it is empty, and -1
// for an object.
func (w *jsonWriter) arrayLen(v vm.Value, tab *vm.Table) int {
	most, items := 0, 0
	for k := vm.Nil; ; {
		nk, _, ok, err := tab.Next(k)
		if !ok || err != nil {
			break
		}
		f, isNum := nk.AsNumber()
		if !isNum || f < 1 || f != math.Floor(f) {
			return -1
		}
		most = max(most, int(f))
		items++
		k = nk
	}
	if w.cfg.sparseRatio > 0 && most > items*w.cfg.sparseRatio && most > w.cfg.sparseSafe {
		if !w.cfg.sparseConvert {
			w.fail(v, "excessively sparse array")
		}
		return -1
	}
	return most
}

func (w *jsonWriter) newline(depth int) {
	if w.cfg.indent == "" {
		return
	}
	w.buf = append(w.buf, '\n')
	for range depth {
		w.buf = append(w.buf, w.cfg.indent...)
	}
}

func (w *jsonWriter) array(tab *vm.Table, n, depth int) {
	w.buf = append(w.buf, '[')
	first := true
	for i := 1; i <= n && w.err == ""; i++ {
		if i%chargeEvery == 0 { // there may be more holes than elements
			w.account(chargeEvery)
		}
		start := len(w.buf)
		if !first {
			w.buf = append(w.buf, ',')
		}
		w.newline(depth)
		if !w.value(tab.GetInt(i), depth) {
			w.buf = w.buf[:start]
			continue
		}
		first = false
	}
	if !first {
		w.newline(depth - 1)
	}
	w.buf = append(w.buf, ']')
}

func (w *jsonWriter) object(tab *vm.Table, depth int) {
	w.buf = append(w.buf, '{')
	first := true
	for k := vm.Nil; w.err == ""; {
		nk, v, ok, err := tab.Next(k)
		if !ok || err != nil {
			break
		}
		k = nk
		start := len(w.buf)
		if !first {
			w.buf = append(w.buf, ',')
		}
		w.newline(depth)
		switch s, isStr := nk.AsString(); {
		case isStr:
			w.string(s)
		case nk.IsNumber():
			f, _ := nk.AsNumber()
			w.buf = append(w.buf, '"')
			w.number(nk, f)
			w.buf = append(w.buf, '"')
		default:
			w.fail(nk, "table key must be a number or string")
			return
		}
		w.buf = append(w.buf, ':')
		if w.cfg.indent != "" {
			w.buf = append(w.buf, ' ')
		}
		if !w.value(v, depth) {
			w.buf = w.buf[:start]
			continue
		}
		first = false
	}
	if !first {
		w.newline(depth - 1)
	}
	w.buf = append(w.buf, '}')
}

func (w *jsonWriter) number(v vm.Value, f float64) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		switch w.cfg.encodeInvalid {
		case jsonInvalidOff:
			w.fail(v, "must not be NaN or Infinity")
		case jsonInvalidNull:
			w.buf = append(w.buf, "null"...)
		default:
			switch {
			case f > 0:
				w.buf = append(w.buf, "Infinity"...)
			case f < 0:
				w.buf = append(w.buf, "-Infinity"...)
			default:
				w.buf = append(w.buf, "NaN"...)
			}
		}
		return
	}
	if i := int64(f); float64(i) == f && i > -1e14 && i < 1e14 && w.cfg.precision >= 14 && (i != 0 || !math.Signbit(f)) {
		w.buf = strconv.AppendInt(w.buf, i, 10)
		return
	}
	w.buf = appendG(w.buf, f, w.cfg.precision)
}

// appendG writes a number as printf's %.Ng does.
func appendG(dst []byte, f float64, precision int) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', precision-1, 64)
	exp := 0
	for i := len(dst) - 1; i > start; i-- {
		if dst[i] == 'e' {
			exp, _ = strconv.Atoi(string(dst[i+1:]))
			dst = dst[:i]
			break
		}
	}
	if exp >= -4 && exp < precision {
		dst = strconv.AppendFloat(dst[:start], f, 'f', precision-1-exp, 64)
		return trimZeros(dst, start)
	}
	dst = append(trimZeros(dst, start), 'e')
	if exp < 0 {
		dst = append(dst, '-')
		exp = -exp
	} else {
		dst = append(dst, '+')
	}
	if exp < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}

func trimZeros(dst []byte, start int) []byte {
	for i := start; i < len(dst); i++ {
		if dst[i] == '.' {
			n := len(dst)
			for dst[n-1] == '0' {
				n--
			}
			if dst[n-1] == '.' {
				n--
			}
			return dst[:n]
		}
	}
	return dst
}

// jsonEscapes are the characters that are not written as they are; 'u' for those
// in hexadecimal.
var jsonEscapes = func() (t [256]byte) {
	for i := range 32 {
		t[i] = 'u'
	}
	t[127] = 'u'
	t['\b'], t['\t'], t['\n'], t['\f'], t['\r'] = 'b', 't', 'n', 'f', 'r'
	t['"'], t['\\'], t['/'] = '"', '\\', '/'
	return t
}()

func (w *jsonWriter) string(s string) {
	w.buf = append(w.buf, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		e := jsonEscapes[s[i]]
		if e == 0 || e == '/' && !w.cfg.escapeSlash {
			continue
		}
		w.buf = append(w.buf, s[start:i]...)
		start = i + 1
		if e == 'u' {
			const hex = "0123456789abcdef"
			w.buf = append(w.buf, '\\', 'u', '0', '0', hex[s[i]>>4], hex[s[i]&15])
		} else {
			w.buf = append(w.buf, '\\', e)
		}
	}
	w.buf = append(w.buf, s[start:]...)
	w.buf = append(w.buf, '"')
}

package luart

import (
	"math"
	"strings"

	"perilune/luart/vm"
)

// jsonConfig are the settings of a cjson table.
type jsonConfig struct {
	sparseConvert      bool
	sparseRatio        int
	sparseSafe         int
	encodeDepth        int
	decodeDepth        int
	encodeInvalid      int // jsonInvalidOff …
	decodeInvalid      bool
	keepBuffer         bool
	precision          int
	emptyTableAsObject bool
	decodeArrayMT      bool
	decodeComment      bool
	escapeSlash        bool
	skipUnsupported    bool
	indent             string
}

const (
	jsonInvalidOff = iota
	jsonInvalidOn
	jsonInvalidNull
)

func newJSONConfig() *jsonConfig {
	return &jsonConfig{sparseRatio: 2, sparseSafe: 10, encodeDepth: 1000, decodeDepth: 1000, decodeInvalid: true,
		keepBuffer: true, precision: 14, emptyTableAsObject: true, escapeSlash: true}
}

// jsonState is shared by all cjson tables of a runtime.
type jsonState struct {
	emptyArrayMT, arrayMT *vm.Table
	emptyArray            vm.Value
	keys                  map[string]vm.Value // keys of decoded objects seen before
}

func (rt *Runtime) jsonShared() *jsonState {
	if rt.modules.json == nil {
		rt.modules.json = &jsonState{
			emptyArrayMT: rt.vm.NewTable(0, 0), arrayMT: rt.vm.NewTable(0, 0),
			emptyArray: vm.LightUserdata(2), keys: make(map[string]vm.Value),
		}
	}
	return rt.modules.json
}

// newCJSON makes a cjson table with settings of its own.
func (rt *Runtime) newCJSON(cfg *jsonConfig, safe bool) *vm.Table {
	st := rt.jsonShared()
	encode := func(t *vm.Thread) int { return rt.jsonEncode(t, cfg, safe) }
	decode := func(t *vm.Thread) int { return rt.jsonDecode(t, cfg, safe) }
	tab := rt.fill(rt.vm.NewTable(0, 32), map[string]vm.GoFunction{
		"encode": encode, "decode": decode,
		"new": func(t *vm.Thread) int {
			t.Push(rt.newCJSON(newJSONConfig(), safe).Value())
			return 1
		},
		"encode_sparse_array":                 func(t *vm.Thread) int { return jsonSparse(t, cfg) },
		"encode_max_depth":                    func(t *vm.Thread) int { return jsonInt(t, &cfg.encodeDepth, 1, math.MaxInt32) },
		"decode_max_depth":                    func(t *vm.Thread) int { return jsonInt(t, &cfg.decodeDepth, 1, math.MaxInt32) },
		"encode_number_precision":             func(t *vm.Thread) int { return jsonInt(t, &cfg.precision, 1, 16) },
		"encode_keep_buffer":                  func(t *vm.Thread) int { return jsonBool(t, &cfg.keepBuffer) },
		"encode_invalid_numbers":              func(t *vm.Thread) int { return jsonInvalidNumbers(t, cfg) },
		"decode_invalid_numbers":              func(t *vm.Thread) int { return jsonBool(t, &cfg.decodeInvalid) },
		"decode_array_with_array_mt":          func(t *vm.Thread) int { return jsonBool(t, &cfg.decodeArrayMT) },
		"encode_empty_table_as_object":        func(t *vm.Thread) int { return jsonBool(t, &cfg.emptyTableAsObject) },
		"encode_escape_forward_slash":         func(t *vm.Thread) int { return jsonBool(t, &cfg.escapeSlash) },
		"encode_skip_unsupported_value_types": func(t *vm.Thread) int { return jsonBool(t, &cfg.skipUnsupported) },
		"decode_allow_comment":                func(t *vm.Thread) int { return jsonBool(t, &cfg.decodeComment) },
		"encode_indent":                       func(t *vm.Thread) int { return jsonIndent(t, cfg) },
	})
	tab.SetStr("null", Null)
	tab.SetStr("empty_array", st.emptyArray)
	tab.SetStr("empty_array_mt", st.emptyArrayMT.Value())
	tab.SetStr("array_mt", st.arrayMT.Value())
	tab.SetStr("_NAME", vm.String("cjson"))
	tab.SetStr("_VERSION", vm.String("2.1.0.11"))
	return tab
}

// jsonArgs checks how many arguments a setting has got.
func jsonArgs(t *vm.Thread, n int) {
	if t.NArgs() > n {
		argError(t, n+1, "found too many arguments")
	}
}

func jsonBool(t *vm.Thread, v *bool) int {
	jsonArgs(t, 1)
	if a := t.Arg(1); !a.IsNil() {
		*v = jsonFlag(t, 1) != 0
	}
	t.PushBool(*v)
	return 1
}

// jsonFlag reads "off", "on" or a boolean.
func jsonFlag(t *vm.Thread, i int) int {
	if b, ok := t.Arg(i).AsBool(); ok {
		if b {
			return 1
		}
		return 0
	}
	return t.CheckOption(i, "", "off", "on")
}

func jsonInt(t *vm.Thread, v *int, lo, hi int) int {
	jsonArgs(t, 1)
	if !t.Arg(1).IsNil() {
		n := t.CheckInt(1)
		if n < lo || n > hi {
			argError(t, 1, "expected integer between "+itoa(lo)+" and "+itoa(hi))
		}
		*v = n
	}
	t.PushInt(*v)
	return 1
}

func jsonInvalidNumbers(t *vm.Thread, cfg *jsonConfig) int {
	jsonArgs(t, 1)
	if a := t.Arg(1); !a.IsNil() {
		if b, ok := a.AsBool(); ok {
			cfg.encodeInvalid = jsonInvalidOff
			if b {
				cfg.encodeInvalid = jsonInvalidOn
			}
		} else {
			cfg.encodeInvalid = t.CheckOption(1, "", "off", "on", "null")
		}
	}
	switch cfg.encodeInvalid {
	case jsonInvalidNull:
		t.PushString("null")
	default:
		t.PushBool(cfg.encodeInvalid == jsonInvalidOn)
	}
	return 1
}

func jsonSparse(t *vm.Thread, cfg *jsonConfig) int {
	jsonArgs(t, 3)
	if !t.Arg(1).IsNil() {
		cfg.sparseConvert = jsonFlag(t, 1) != 0
	}
	for i, v := range []*int{&cfg.sparseRatio, &cfg.sparseSafe} {
		if t.Arg(i + 2).IsNil() {
			continue
		}
		n := t.CheckInt(i + 2)
		if n < 0 || n > math.MaxInt32 {
			argError(t, 1, "expected integer between 0 and "+itoa(math.MaxInt32))
		}
		*v = n
	}
	t.PushBool(cfg.sparseConvert)
	t.PushInt(cfg.sparseRatio)
	t.PushInt(cfg.sparseSafe)
	return 3
}

func jsonIndent(t *vm.Thread, cfg *jsonConfig) int {
	jsonArgs(t, 1)
	if !t.Arg(1).IsNil() {
		cfg.indent = strings.Clone(t.CheckString(1))
	}
	t.PushString(cfg.indent)
	return 1
}

// jsonFail raises an error, or returns it from a safe function.
func jsonFail(t *vm.Thread, safe bool, text string) int {
	if !safe {
		return raise(t, "%s", text)
	}
	t.PushNil()
	t.PushString(text)
	return 2
}

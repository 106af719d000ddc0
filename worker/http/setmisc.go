package http

import (
	"perilune/conf"
	"perilune/logging"
	"perilune/strftime"
	"time"
)

// setFunc appends to dst what a directive of the set-misc module makes of its values. Where it answers false it has logged why,
// and the request ends with 500.
type setFunc func(r *Request, dst []byte, v [][]byte) ([]byte, bool)

// setFunction is a directive of the set-misc module.
type setFunction struct {
	name string
	args conf.Args
	// values is how many values the function takes. It gets the last arguments of the directive; where one is missing the
	// variable itself stands for it.
	values int
	call   setFunc
	doc    string
}

// Values of setFunction.args besides the usual ones.
const (
	valueOrSelf = conf.Take12
	valueOnly   = conf.Take2
)

func setFunctions() []setFunction {
	const self = "; without a value, from the variable itself"
	return []setFunction{
		{"set_if_empty", valueOnly, 2, setIfEmpty, "Sets a variable that is empty or not set."},
		{"set_quote_sql_str", valueOrSelf, 1, quoteSQL, "Sets a variable to a value quoted for MySQL" + self + "."},
		{"set_quote_pgsql_str", valueOrSelf, 1, quotePgSQL, "Sets a variable to a value quoted for PostgreSQL" + self + "."},
		{"set_quote_json_str", valueOrSelf, 1, quoteJSON, "Sets a variable to a value as a string of JSON, null if it is empty" + self + "."},
		{"set_unescape_uri", valueOrSelf, 1, setUnescapeURI, "Sets a variable to a value with percent-encoding and plus decoded" + self + "."},
		{"set_escape_uri", valueOrSelf, 1, setEscapeURI, "Sets a variable to a value percent-encoded as a component of a URI" + self + "."},
		{"set_encode_base32", valueOrSelf, 1, setEncodeBase32, "Sets a variable to a value in base32" + self + "."},
		{"set_decode_base32", valueOrSelf, 1, setDecodeBase32, "Sets a variable to what a value in base32 means, nothing if it is none" + self + "."},
		{"set_encode_base64", valueOrSelf, 1, encodeBase64With(stdBase64), "Sets a variable to a value in base64" + self + "."},
		{"set_decode_base64", valueOrSelf, 1, decodeBase64With("set_decode_base64", stdBase64), "Sets a variable to what a value in base64 means" + self + "."},
		{"set_encode_base64url", valueOrSelf, 1, encodeBase64With(urlBase64), "Sets a variable to a value in the base64 of URLs" + self + "."},
		{"set_decode_base64url", valueOrSelf, 1, decodeBase64With("set_decode_base64url", urlBase64), "Sets a variable to what a value in the base64 of URLs means" + self + "."},
		{"set_encode_hex", valueOrSelf, 1, setEncodeHex, "Sets a variable to a value in hexadecimal digits" + self + "."},
		{"set_decode_hex", valueOrSelf, 1, setDecodeHex, "Sets a variable to the bytes of hexadecimal digits" + self + "."},
		{"set_sha1", valueOrSelf, 1, setSHA1, "Sets a variable to the SHA-1 of a value, in hexadecimal" + self + "."},
		{"set_md5", valueOrSelf, 1, setMD5, "Sets a variable to the MD5 of a value, in hexadecimal" + self + "."},
		{"set_hmac_sha1", conf.Take3, 2, hmacWith(newSHA1), "Sets a variable to the HMAC-SHA1, in bytes, of a secret and a text."},
		{"set_hmac_sha256", conf.Take3, 2, hmacWith(newSHA256), "Sets a variable to the HMAC-SHA256, in bytes, of a secret and a text."},
		{"set_random", conf.Take3, 2, setRandom, "Sets a variable to a random number between two, both included."},
		{"set_secure_random_alphanum", valueOrSelf, 1, secureRandom(alphanumerics), "Sets a variable to so many random letters and digits, 64 at most" + self + "."},
		{"set_secure_random_lcalpha", valueOrSelf, 1, secureRandom(alphanumerics[:26]), "Sets a variable to so many random lower-case letters, 64 at most" + self + "."},
		{"set_rotate", conf.Take3, 3, setRotate, "Sets a variable to the next number between two; the place in the row is the worker's and location's."},
		{"set_hashed_upstream", conf.Take3, 2, setHashedUpstream, "Sets a variable to the entry of an upstream_list that the hash of a key stands for."},
		{"set_local_today", conf.Take1, 1, setLocalToday, "Sets a variable to the date, as yyyy-mm-dd in local time."},
		{"set_formatted_gmt_time", valueOnly, 1, formattedTime(time.Time.UTC), "Sets a variable to the time of Greenwich, in a format of strftime(3)."},
		{"set_formatted_local_time", valueOnly, 1, formattedTime(time.Time.Local), "Sets a variable to the local time, in a format of strftime(3)."},
	}
}

// setMiscConf is the module's struct of a location.
type setMiscConf struct {
	padding  conf.Setting[bool]
	alphabet conf.Setting[string]
	digits   [256]byte // of the alphabet's bytes, noBase32 for others

	rotated conf.Setting[int64] // what set_rotate has set last
}

const noBase32 = 0xff

var setMiscModule = &conf.Module{
	Name:       "http_set_misc",
	Kind:       conf.HTTPKind,
	CreateMain: func(*conf.Conf) any { return &setMiscMain{lists: make(map[string][]string)} },
	CreateLoc:  func(*conf.Conf) any { return &setMiscConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, mc := prev.(*setMiscConf), c.(*setMiscConf)
		mc.padding.Merge(p.padding, true)
		mc.alphabet.Merge(p.alphabet, "0123456789abcdefghijklmnopqrstuv")
		for i := range mc.digits {
			mc.digits[i] = noBase32
		}
		for i := range len(mc.alphabet.V) {
			mc.digits[mc.alphabet.V[i]] = byte(i)
		}
		return nil
	},
}

func init() {
	padding := conf.SetFlag(func(c *setMiscConf) *conf.Setting[bool] { return &c.padding })
	where := anyLevel | conf.ServerIf | conf.LocationIf
	setMiscModule.Commands = []conf.Command{
		{Name: "set_base32_padding", Ctx: where, Args: conf.Flag, Level: conf.LocConf, Set: padding,
			Doc: "Whether set_encode_base32 pads with =; on by default."},
		{Name: "set_misc_base32_padding", Ctx: where, Args: conf.Flag, Level: conf.LocConf,
			Set: func(cf *conf.Conf, c any) error {
				cf.Warnf("the \"set_misc_base32_padding\" directive is deprecated, use the \"set_base32_padding\" directive instead")
				return padding(cf, c)
			},
			Doc: "The old name of set_base32_padding."},
		{Name: "set_base32_alphabet", Ctx: where, Args: conf.Take1, Level: conf.LocConf, Set: setBase32Alphabet,
			Doc: "The 32 digits of base32; 0123456789abcdefghijklmnopqrstuv by default."},
	}
	setMiscModule.Commands = append(setMiscModule.Commands, conf.Command{
		Name: "upstream_list", Ctx: conf.HTTP | conf.Server, Args: conf.TwoMore, Level: conf.MainConf, Set: setUpstreamList,
		Doc: "A name for a list of upstream groups, for set_hashed_upstream.",
	})
	for _, f := range setFunctions() {
		setMiscModule.Commands = append(setMiscModule.Commands, conf.Command{
			Name: f.name, Ctx: conf.Server | conf.ServerIf | conf.Location | conf.LocationIf, Args: f.args, Level: conf.LocConf, Doc: f.doc,
			Set: func(cf *conf.Conf, _ any) error {
				if f.name == "set_hashed_upstream" {
					if err := checkUpstreamList(cf); err != nil {
						return err
					}
				}
				return addSetFunction(cf, &f)
			},
		})
		if f.values == 1 {
			valueFunctions[f.name] = f.call
		}
	}
}

// valueFunctions are the functions of one value, by their names.
var valueFunctions = make(map[string]setFunc)

// SetFunction finds the function behind a directive such as set_escape_uri that makes one value of another.
func SetFunction(name string) (call func(r *Request, dst, value []byte) ([]byte, bool), found bool) {
	f, found := valueFunctions[name]
	return func(r *Request, dst, value []byte) ([]byte, bool) { return f(r, dst, [][]byte{value}) }, found
}

func setBase32Alphabet(cf *conf.Conf, c any) error {
	s := &c.(*setMiscConf).alphabet
	switch text := cf.Args[1]; {
	case len(text) != 32:
		return conf.Errorf("\"set_base32_alphabet\" directive takes an alphabet of %d bytes but 32 expected", len(text))
	case s.IsSet:
		return conf.ErrDuplicate
	default:
		s.Set(text)
	}
	return nil
}

// miscStep is a use of a setFunction.
type miscStep struct {
	values []*Script
	call   setFunc
	set    func(r *Request, value []byte)
}

func addSetFunction(cf *conf.Conf, f *setFunction) error {
	name, err := blockVariable(cf.Args[1])
	if err != nil {
		return err
	}
	step := &miscStep{call: f.call}
	if step.set, err = SettableVariable(cf, name); err != nil {
		return err
	}
	first := len(cf.Args) - f.values
	for _, text := range cf.Args[max(first, 1):] {
		s, err := CompileScript(cf, text)
		if err != nil {
			return err
		}
		step.values = append(step.values, s)
	}
	t := cf.Ctx.Loc[rewriteModule.Index].(*rewriteConf).target()
	t.steps = append(t.steps, step)
	return nil
}

func (s *miscStep) run(r *Request, e *rewriteState, at int) int {
	var ends [3]int
	text := e.left[:0]
	for i, v := range s.values {
		text = v.appendQuoted(r, text, e.quote)
		ends[i] = len(text)
	}
	e.left = text
	var values [3][]byte
	begin := 0
	for i := range s.values {
		values[i] = text[begin:ends[i]:ends[i]]
		begin = ends[i]
	}
	out, ok := s.call(r, e.right[:0], values[:len(s.values)])
	e.right = out
	if !ok {
		e.status = 500
		return rewriteEnd
	}
	s.set(r, out)
	return at + 1
}

func setIfEmpty(_ *Request, dst []byte, v [][]byte) ([]byte, bool) {
	if len(v[0]) == 0 {
		return append(dst, v[1]...), true
	}
	return append(dst, v[0]...), true
}

func setLocalToday(r *Request, dst []byte, _ [][]byte) ([]byte, bool) {
	return r.Loop().Now().AppendFormat(dst, time.DateOnly), true
}

// longestTime is how long a formatted time may be.
const longestTime = 255

func formattedTime(in func(time.Time) time.Time) setFunc {
	return func(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
		if len(v[0]) == 0 {
			return dst, true
		}
		begin := len(dst)
		dst = strftime.Append(dst, string(v[0]), in(r.Loop().Now()))
		n := len(dst) - begin
		return dst, n > 0 && n <= longestTime
	}
}

// setNumber reads a number of set_random or set_rotate.
func setNumber(v []byte) (int64, bool) {
	n, err := conf.ParseNum(string(v))
	return int64(n), err == nil
}

// setRange reads the two bounds of a range, in either order. The complaint has
// places for the bound's name and for its text.
func setRange(r *Request, from, to []byte, complaint string) (low, high int64, ok bool) {
	if low, ok = setNumber(from); !ok {
		r.Log(logging.Error, complaint, "from", from)
		return 0, 0, false
	}
	if high, ok = setNumber(to); !ok {
		r.Log(logging.Error, complaint, "to", to)
		return 0, 0, false
	}
	return min(low, high), max(low, high), true
}

func setRotate(r *Request, dst []byte, v [][]byte) ([]byte, bool) {
	from, to, ok := setRange(r, v[1], v[2], "set_rotate: bad \"%s\" argument value: \"%s\"")
	if !ok {
		return dst, false
	}
	last := &r.LocCtx[setMiscModule.Index].(*setMiscConf).rotated
	current := from - 1
	if last.IsSet {
		current = last.V
	}
	if len(v[0]) > 0 {
		if n, ok := setNumber(v[0]); ok {
			current = n
		} else {
			r.Log(logging.Error, "set_rotate: bad current value: \"%s\"", v[0])
		}
	}
	if current++; current > to || current < from {
		current = from
	}
	last.Set(current)
	return appendInt(dst, current), true
}

package regex

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what nginx and PCRE answer into testdata")

const table = "testdata/patterns.txt"

// A line of the table is a pattern, options, a subject and the result, between
// tabs. Fields with other than printable characters are quoted as in Go.
type tableCase struct{ pattern, opts, subject, want string }

func unquoteField(s string) (string, error) {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		return strconv.Unquote(s)
	}
	return s, nil
}

func quoteField(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return strconv.Quote(s)
		}
	}
	if s == "" || s[0] == '"' || s[0] == '#' {
		return strconv.Quote(s)
	}
	return s
}

func readTable(t testing.TB, path string) []tableCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []tableCase
	for n, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		for len(f) < 4 {
			f = append(f, "")
		}
		for i := range f[:3] {
			if f[i], err = unquoteField(f[i]); err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
		}
		if f[1] == "-" {
			f[1] = ""
		}
		cases = append(cases, tableCase{f[0], f[1], f[2], f[3]})
	}
	return cases
}

func parseOptions(s string) (o Options, longest bool) {
	for _, c := range s {
		o |= map[rune]Options{'a': Anchored, 'D': DupNames, 'i': Caseless, 'J': JavaScript, 'm': Multiline,
			's': DotAll, 'u': UTF, 'U': UTF | NoUTFCheck, 'x': Extended}[c]
		longest = longest || c == 'd'
	}
	return o, longest
}

func hexQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, "\\x%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// describe is the result of a match as in the table.
func describe(m *Matcher, pattern, opts, subject string) string {
	o, longest := parseOptions(opts)
	re, err := Compile(pattern, o)
	if err != nil {
		e := err.(*Error)
		if e.Offset == len(pattern) {
			return "error: " + e.Msg
		}
		return "error: " + e.Msg + " at " + strconv.Itoa(e.Offset)
	}
	if err := m.Exec(re, subject, 0, longest); err == ErrNoMatch {
		return "no"
	} else if err != nil {
		return "failed: " + strconv.Itoa(int(err.(ExecError)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%d", m.Caps[0], m.Caps[1])
	if longest {
		return b.String()
	}
	group := func(i int) string {
		if m.Caps[2*i] < 0 {
			return "-"
		}
		return hexQuote(subject[m.Caps[2*i]:m.Caps[2*i+1]])
	}
	for i := 1; i <= re.Groups(); i++ {
		b.WriteString(" " + group(i))
	}
	if o&DupNames != 0 {
		return b.String()
	}
	names := append([]Name(nil), re.Names()...)
	sort.Slice(names, func(i, j int) bool { return names[i].Name < names[j].Name })
	for i, n := range names {
		if i+1 < len(names) && names[i+1].Name == n.Name {
			continue
		}
		b.WriteString(" " + n.Name + "=" + group(n.Group))
	}
	return b.String()
}

// oracle is the Lua program that makes the results.
const oracle = `
local function quote(s)
	return '"' .. s:gsub('[^ -~]', function(c) return ("\\x%02x"):format(c:byte()) end):gsub('["]', '\\x22') .. '"'
end
local function q(s)
	if not s then return "-" end
	local out = {}
	for i = 1, #s do
		local c = s:sub(i, i)
		local b = c:byte()
		if b < 32 or b > 126 or c == '"' or c == "\\" then c = ("\\x%02x"):format(b) end
		out[i] = c
	end
	return '"' .. table.concat(out) .. '"'
end
local out = io.open(dir .. "/out", "w")
for _, c in ipairs(cases) do
	local p, o, s = c[1], c[2], c[3]
	local from, to, err = ngx.re.find(s, p, o)
	local r
	if err then
		local prefix = 'pcre_compile() failed: '
		if err:sub(1, #prefix) == prefix then
			err = err:sub(#prefix + 1)
			local i = err:find(' in "' .. p, 1, true)
			if i then
				local rest = err:sub(i + 5 + #p)
				err = err:sub(1, i - 1)
				if rest ~= '"' then err = err .. " at " .. (#p - (#rest - #'" at ""')) end
			end
			r = "error: " .. err
		else
			r = "failed: " .. err:gsub("pcre_exec%(%) failed: ", "")
		end
	elseif not from then
		r = "no"
	else
		r = (from - 1) .. "-" .. to
		if not o:find("d") then
			local m = ngx.re.match(s, p, o)
			for i = 1, #m + 100 do
				if m[i] == nil then break end
				r = r .. " " .. q(m[i])
			end
			if not o:find("D") then
				local names = {}
				for k in pairs(m) do if type(k) == "string" then names[#names + 1] = k end end
				table.sort(names)
				for _, k in ipairs(names) do r = r .. " " .. k .. "=" .. q(m[k]) end
			end
		end
	end
	out:write(r, "\n")
end
out:close()
os.exit(0)
`

// askOracle returns what nginx with PCRE answers; nil where it is not installed.
func askOracle(t testing.TB, cases []tableCase) []string {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		return nil
	}
	dir := t.TempDir()
	var lua strings.Builder
	fmt.Fprintf(&lua, "local dir, cases = %q, {}\n", dir)
	luaQuote := func(s string) string {
		var b strings.Builder
		b.WriteByte('"')
		for i := 0; i < len(s); i++ {
			fmt.Fprintf(&b, "\\%03d", s[i])
		}
		b.WriteByte('"')
		return b.String()
	}
	for _, c := range cases {
		fmt.Fprintf(&lua, "cases[#cases+1] = {%s,%s,%s}\n", luaQuote(c.pattern), luaQuote(c.opts), luaQuote(c.subject))
	}
	lua.WriteString(oracle)
	conf := "load_module /usr/lib/nginx/modules/ndk_http_module.so; load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;\n" +
		"error_log " + dir + "/log; pid " + dir + "/pid; daemon off; master_process off; events {}\nhttp { access_log off; init_by_lua_file " + dir + "/init.lua; }\n"
	for name, text := range map[string]string{"init.lua": lua.String(), "nginx.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(nginx, "-p", dir, "-c", dir+"/nginx.conf").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(cases) {
		t.Fatalf("%d answers to %d cases", len(lines), len(cases))
	}
	return lines
}

func writeTable(t *testing.T, path string, cases []tableCase, want []string) {
	t.Helper()
	var b strings.Builder
	for i, c := range cases {
		opts := c.opts
		if opts == "" {
			opts = "-"
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", quoteField(c.pattern), opts, quoteField(c.subject), want[i])
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// differs are the answers that are not PCRE's: verbs that do not exist here, and
// classes of POSIX that (*UCP) does not widen; in the DFA mode atomic groups; and
// patterns that PCRE gives up on.
var differs = map[string]string{
	`(?(-1)a|b)`:         "error: reference to non-existent subpattern at 5",
	`a(*THEN)b|ac`:       "error: (*VERB) not recognized or malformed at 7",
	`(?:a(*THEN)b|ac)`:   "error: (*VERB) not recognized or malformed at 10",
	`(*LIMIT_MATCH=10)a`: "error: (*VERB) not recognized or malformed at 13",
	`(*CRLF)a.b`:         "error: (*VERB) not recognized or malformed at 6",
	`(*ANYCRLF)^b`:       "error: (*VERB) not recognized or malformed at 9",
	`(*UCP)[[:alpha:]]+`: "2-3",
	`a(?>b|bc)d?`:        "0-2",
	`(?(1)a|b)(c)`:       "failed: -16",
	`^(?:a+)+$`:          "no",
}

// TestTable compares with what PCRE has answered.
func TestTable(t *testing.T) {
	cases := readTable(t, table)
	if *update {
		// The oracle makes the results; what differs stays in the list above.
		want := askOracle(t, cases)
		if want == nil {
			t.Skip("nginx is not installed")
		}
		writeTable(t, table, cases, want)
		cases = readTable(t, table)
	}
	var m Matcher
	bad := 0
	for _, c := range cases {
		got := describe(&m, c.pattern, c.opts, c.subject)
		if got != c.want && got != differs[c.pattern] {
			t.Errorf("%s  [%s]  %q\n got %s\nwant %s", c.pattern, c.opts, c.subject, got, c.want)
			bad++
		}
	}
	t.Logf("%d of %d cases", len(cases)-bad, len(cases))
}

// TestRandom compares random patterns with PCRE where nginx is installed.
func TestRandom(t *testing.T) {
	const seed = 1 // others find a difference in about one of ten thousand patterns
	r := rand.New(rand.NewPCG(seed, 0))
	var cases []tableCase
	for range 4000 {
		var b strings.Builder
		randomPattern(r, &b, 3)
		opts := []string{"", "", "i", "s", "m", "u", "x", "a"}[r.IntN(8)]
		subject := make([]byte, r.IntN(12))
		for i := range subject {
			subject[i] = "aaabbbcAB \n1-"[r.IntN(13)]
		}
		cases = append(cases, tableCase{b.String(), opts, string(subject), ""})
	}
	want := askOracle(t, cases)
	if want == nil {
		t.Skip("nginx is not installed")
	}
	var m Matcher
	bad := 0
	for i, c := range cases {
		got := describe(&m, c.pattern, c.opts, c.subject)
		if got == want[i] || strings.HasPrefix(got, "failed") || strings.HasPrefix(want[i], "failed") ||
			strings.HasPrefix(got, "error: "+errLeftRecursion) {
			continue // PCRE answers what it has not proved, and has limits of its own
		}
		if strings.HasPrefix(got, "error") && (strings.HasPrefix(want[i], "error") || strings.Contains(c.pattern, "(?(")) {
			continue
		}
		if bad++; bad < 20 {
			t.Errorf("%s\t%s\t%q\n got %s\nwant %s", c.pattern, c.opts, c.subject, got, want[i])
		}
	}
	t.Logf("%d of %d differ", bad, len(cases))
}

// randomPattern writes a pattern that is valid more often than not.
func randomPattern(r *rand.Rand, b *strings.Builder, depth int) {
	atoms := []string{"a", "b", "c", "ab", ".", "[ab]", "[^a]", "\\w", "\\d", "\\s", "\\W", "^", "$", "\\b", "\\B", "\\1", "\\2", "A", "[a-c]", "\\n", "(?i)", "\\z", "\\Z", "\\K"}
	groups := []string{"(", "(", "(", "(?:", "(?:", "(?>", "(?=", "(?!", "(?i:", "(?|", "(?<=a|", "(?(1)"}
	for range 1 + r.IntN(4) {
		if depth > 0 && r.IntN(3) == 0 {
			b.WriteString(groups[r.IntN(len(groups))])
			randomPattern(r, b, depth-1)
			b.WriteString(")")
		} else {
			b.WriteString(atoms[r.IntN(len(atoms))])
		}
		if r.IntN(3) == 0 {
			b.WriteString([]string{"*", "+", "?", "{2}", "{1,2}", "{0,2}", "{2,}"}[r.IntN(7)])
			b.WriteString([]string{"", "", "?", "+"}[r.IntN(4)])
		}
		if depth > 0 && r.IntN(6) == 0 {
			b.WriteString("|")
		}
	}
}

func FuzzMatch(f *testing.F) {
	for i, c := range readTable(f, table) {
		if i%5 == 0 {
			f.Add(c.pattern, c.opts, c.subject)
		}
	}
	var m Matcher
	m.Limit = 20000
	f.Fuzz(func(t *testing.T, pattern, opts, subject string) {
		if len(pattern) > 200 || len(subject) > 2000 {
			return
		}
		o, longest := parseOptions(opts)
		re, err := Compile(pattern, o&^NoUTFCheck)
		if err != nil {
			if e := err.(*Error); e.Offset < 0 || e.Offset > len(pattern) {
				t.Errorf("offset %d", e.Offset)
			}
			return
		}
		if m.Exec(re, subject, 0, longest) != nil {
			return
		}
		for i := 2; i < len(m.Caps); i += 2 {
			if lo, hi := m.Caps[i], m.Caps[i+1]; lo > hi && hi >= 0 || int(hi) > len(subject) || lo < 0 != (hi < 0) {
				t.Errorf("group %d: %d-%d", i/2, lo, hi)
			}
		}
	})
}

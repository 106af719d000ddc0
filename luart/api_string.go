package luart

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"hash/crc32"
	"strings"

	"perilune/luart/vm"
)

func stringAPI() []Function {
	const in = phasesAny
	return []Function{
		{Name: "ngx.escape_uri", Args: "(str, type?)", Phases: in, fn: ngxEscapeURI, Doc: "escapes a string as a part of a URI; type as in ngx_escape_uri, 2 (component) by default"},
		{Name: "ngx.unescape_uri", Args: "(str)", Phases: in, fn: ngxUnescapeURI, Doc: "decodes %XX and +"},
		{Name: "ngx.encode_args", Args: "(table)", Phases: in, fn: ngxEncodeArgs, Doc: "makes a query string of a table"},
		{Name: "ngx.decode_args", Args: "(str, max?)", Phases: in, fn: ngxDecodeArgs, Doc: "makes a table of a query string; at most 100 arguments, or max, 0 for all"},
		{Name: "ngx.encode_base64", Args: "(str, no_padding?)", Phases: in, fn: ngxEncodeBase64, Doc: "encodes in Base64"},
		{Name: "ngx.decode_base64", Args: "(str)", Phases: in, fn: ngxDecodeBase64, Doc: "decodes Base64, nil when it is malformed"},
		{Name: "ngx.decode_base64mime", Args: "(str)", Phases: in, fn: ngxDecodeBase64MIME, Doc: "decodes Base64 and skips what is none of its characters, as the line breaks of MIME"},
		{Name: "ngx.crc32_short", Args: "(str)", Phases: in, fn: ngxCRC32, Doc: "CRC-32, for short strings"},
		{Name: "ngx.crc32_long", Args: "(str)", Phases: in, fn: ngxCRC32, Doc: "CRC-32, for long strings"},
		{Name: "ngx.md5", Args: "(str)", Phases: in, fn: ngxMD5, Doc: "MD5 in hexadecimal"},
		{Name: "ngx.md5_bin", Args: "(str)", Phases: in, fn: ngxMD5Bin, Doc: "MD5, 16 bytes"},
		{Name: "ngx.sha1_bin", Args: "(str)", Phases: in, fn: ngxSHA1Bin, Doc: "SHA-1, 20 bytes"},
		{Name: "ngx.hmac_sha1", Args: "(key, str)", Phases: in, fn: ngxHMACSHA1, Doc: "HMAC with SHA-1, 20 bytes"},
		{Name: "ngx.quote_sql_str", Args: "(str)", Phases: in, fn: ngxQuoteSQLStr, Doc: "quotes a string by MySQL's rules"},
	}
}

// longText is from which length on a text's work is charged.
const longText = 4096

// text is the argument of the functions that take anything: nil and false are the
// empty string, other values are converted as tostring does.
func text(t *vm.Thread, i int) string {
	v := t.Arg(i)
	if s, ok := v.AsString(); ok {
		if len(s) >= longText {
			t.Charge(len(s) / 64)
		}
		return s
	}
	if !v.Truthy() {
		return ""
	}
	return t.ToString(v)
}

func ngxEscapeURI(t *vm.Thread, _ *Ctx) int {
	s := text(t, 1)
	kind := escapeURIComponent
	if v := t.Arg(2); !v.IsNil() {
		n, ok := v.AsNumber()
		if !ok {
			return raiseAt(t, 2, "\"type\" is not a number")
		}
		if n < escapeURI || n > escapeMailAuth {
			return raiseAt(t, 2, "\"type\" "+string(appendNumber(nil, n))+" out of range")
		}
		kind = int(n)
	}
	set := escapeSets[kind]
	n := countEscapes(s, set)
	if n == 0 {
		return pushText(t, s)
	}
	fillEscaped(t.PushBlank(len(s)+2*n), s, set)
	return 1
}

func ngxUnescapeURI(t *vm.Thread, c *Ctx) int {
	s := text(t, 1)
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return pushText(t, s)
	}
	rt := c.rt
	buf := appendUnescaped(rt.scratch[:0], s)
	t.PushBytes(buf)
	rt.keepScratch(buf)
	return 1
}

// pushText pushes s, which is the text of the first argument: that itself if it is a string.
func pushText(t *vm.Thread, s string) int {
	if v := t.Arg(1); v.Type() == vm.TypeString {
		t.Push(v)
	} else {
		t.PushString(s)
	}
	return 1
}

func ngxEncodeArgs(t *vm.Thread, c *Ctx) int {
	if n := t.NArgs(); n != 1 {
		return raise(t, "expecting 1 argument but seen %d", n)
	}
	tab := t.CheckTable(1)
	rt := c.rt
	buf := appendArgs(t, rt.scratch[:0], tab)
	t.PushBytes(buf)
	rt.keepScratch(buf)
	return 1
}

func ngxDecodeArgs(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		return raise(t, "expecting 1 or 2 arguments but seen %d", n)
	}
	s := t.CheckString(1)
	max := maxArgs
	if n == 2 {
		max = t.CheckInt(2)
	}
	return pushArgs(t, c, s, max)
}

func ngxCRC32(t *vm.Thread, _ *Ctx) int {
	t.PushNumber(float64(crc32.ChecksumIEEE(bytesOf(text(t, 1)))))
	return 1
}

func ngxMD5(t *vm.Thread, _ *Ctx) int {
	sum := md5.Sum(bytesOf(text(t, 1)))
	hex.Encode(t.PushBlank(2*md5.Size), sum[:])
	return 1
}

func ngxMD5Bin(t *vm.Thread, _ *Ctx) int {
	sum := md5.Sum(bytesOf(text(t, 1)))
	t.PushBytes(sum[:])
	return 1
}

func ngxSHA1Bin(t *vm.Thread, _ *Ctx) int {
	sum := sha1.Sum(bytesOf(text(t, 1)))
	t.PushBytes(sum[:])
	return 1
}

func ngxHMACSHA1(t *vm.Thread, _ *Ctx) int {
	if n := t.NArgs(); n != 2 {
		return raise(t, "expecting 2 arguments, but got %d", n)
	}
	mac := hmac.New(sha1.New, bytesOf(t.CheckString(1)))
	mac.Write(bytesOf(t.CheckString(2)))
	var sum [sha1.Size]byte
	t.PushBytes(mac.Sum(sum[:0]))
	return 1
}

func ngxQuoteSQLStr(t *vm.Thread, c *Ctx) int {
	if t.NArgs() != 1 {
		return raise(t, "expecting one argument")
	}
	s := t.CheckString(1)
	rt := c.rt
	buf := append(rt.scratch[:0], '\'')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case 0:
			buf = append(buf, '\\', '0')
		case '\b':
			buf = append(buf, '\\', 'b')
		case '\n':
			buf = append(buf, '\\', 'n')
		case '\r':
			buf = append(buf, '\\', 'r')
		case '\t':
			buf = append(buf, '\\', 't')
		case 26:
			buf = append(buf, '\\', 'Z')
		case '\\', '\'', '"':
			buf = append(buf, '\\', c)
		default:
			buf = append(buf, c)
		}
	}
	buf = append(buf, '\'')
	t.PushBytes(buf)
	rt.keepScratch(buf)
	return 1
}

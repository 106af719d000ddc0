package http

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"strconv"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"perilune/conf"
)

var (
	gzipModule   = &conf.Module{Name: "http_gzip", Kind: conf.HTTPKind, CreateLoc: func(*conf.Conf) any { return &gzipConf{} }}
	brotliModule = &conf.Module{Name: "http_brotli", Kind: conf.HTTPKind, CreateLoc: func(*conf.Conf) any { return &codingConf{} }}
	zstdModule   = &conf.Module{Name: "http_zstd", Kind: conf.HTTPKind, CreateLoc: func(*conf.Conf) any { return &codingConf{} }}

	gzipCoding   = &coding{name: "gzip", suffix: ".gz", module: gzipModule, open: openGzip}
	brotliCoding = &coding{name: "br", suffix: ".br", module: brotliModule, open: openBrotli}
	zstdCoding   = &coding{name: "zstd", suffix: ".zst", module: zstdModule, open: openZstd}
)

// codings are those of files that have been compressed beforehand, the best first.
var codings []*coding

func init() {
	codings = []*coding{zstdCoding, brotliCoding, gzipCoding}
	gzipCoding.accepted = (*Request).gzipOK
	gzipCoding.conf = func(r *Request) *codingConf { return &gzipConfOf(r).codingConf }
	for _, k := range codings {
		k.module.Postconfiguration = func(cf *conf.Conf) error {
			mainConfOf(cf).AddHeaderFilter(k.headerFilter)
			mainConfOf(cf).AddBodyFilter(k.bodyFilter)
			return nil
		}
		if k == gzipCoding {
			continue
		}
		k.accepted = func(r *Request) bool {
			if r != r.Main || !acceptsCoding(r.HeadersIn.Value(HeaderAcceptEncoding), k.name) {
				return false
			}
			r.filters.gzipTested, r.filters.gzipOK = true, false
			return true
		}
		k.conf = func(r *Request) *codingConf { return r.LocCtx[k.module.Index].(*codingConf) }
	}
	brotliModule.MergeLoc = mergeCoding(6)
	zstdModule.MergeLoc = mergeCoding(1)
	own := func(c *codingConf) *codingConf { return c }
	brotliModule.Commands = append(codingCommands("brotli", own, 0, 11), conf.Command{
		Name: "brotli_window", Ctx: anyLevel, Args: conf.Take1, Level: conf.LocConf,
		Set: conf.SetSize(func(c *codingConf) *conf.Setting[int64] { return &c.window }, checkBrotliWindow),
		Doc: "Window that brotli looks back in: a power of two from 1k to 16m; 512k by default."})
	zstdModule.Commands = codingCommands("zstd", own, 1, 22)
	initGzip()
}

func mergeCoding(level int) func(*conf.Conf, any, any) error {
	return func(_ *conf.Conf, prev, c any) error {
		c.(*codingConf).merge(prev.(*codingConf), level)
		return nil
	}
}

// codingCommands are the directives that all codings have.
func codingCommands[C any](name string, f func(*C) *codingConf, low, high int) []conf.Command {
	with := func(suffix string, args conf.Args, set func(*conf.Conf, any) error, doc string) conf.Command {
		return conf.Command{Name: name + suffix, Ctx: anyLevel, Args: args, Level: conf.LocConf, Set: set, Doc: doc}
	}
	enable := with("", conf.Flag, conf.SetFlag(func(c *C) *conf.Setting[bool] { return &f(c).enable }),
		"Whether responses are compressed with "+name+" for clients that take it; off by default.")
	enable.Ctx |= conf.LocationIf
	return []conf.Command{
		enable,
		with("_comp_level", conf.Take1, conf.SetNum(func(c *C) *conf.Setting[int] { return &f(c).level }, conf.NumBounds(low, high)),
			"How much work compression is: "+strconv.Itoa(low)+" to "+strconv.Itoa(high)+"."),
		with("_min_length", conf.Take1, conf.SetSize(func(c *C) *conf.Setting[int64] { return &f(c).minLength }),
			"Responses that are known to be shorter are not compressed; 20 by default."),
		with("_types", conf.OneMore, setMimeTypes(func(c *C) *mimeTypes { return &f(c).types }),
			"Content types that are compressed beside text/html; * is all."),
		with("_buffers", conf.Take2, conf.SetBufs(func(c *C) *conf.Setting[conf.Bufs] { return &f(c).buffers }),
			"Checked and otherwise without effect: the output goes through one buffer of 16k."),
		with("_static", conf.Take1, conf.SetEnum(func(c *C) *conf.Setting[staticMode] { return &f(c).static },
			map[string]staticMode{"off": staticOff, "on": staticOn, "always": staticAlways}),
			"Whether a file with the suffix of "+name+" is sent instead of one without it, to clients that take it or always; off by default."),
	}
}

func initGzip() {
	gzipModule.MergeLoc = func(_ *conf.Conf, prev, c any) error {
		p, g := prev.(*gzipConf), c.(*gzipConf)
		g.codingConf.merge(&p.codingConf, 1)
		g.vary.Merge(p.vary, false)
		g.httpVersion.Merge(p.httpVersion, 1001)
		g.proxied.Merge(p.proxied, proxiedOff)
		g.disable.Merge(p.disable, nil)
		g.disableMSIE = g.disableMSIE || p.disableMSIE
		return nil
	}
	gzipModule.Preconfiguration = func(cf *conf.Conf) error { return AddVariable(cf, gzipRatio) }
	with := func(name string, args conf.Args, set func(*conf.Conf, any) error, doc string) conf.Command {
		return conf.Command{Name: name, Ctx: anyLevel, Args: args, Level: conf.LocConf, Set: set, Doc: doc}
	}
	gzipModule.Commands = append(codingCommands("gzip", func(c *gzipConf) *codingConf { return &c.codingConf }, 1, 9),
		with("gzip_vary", conf.Flag, conf.SetFlag(func(c *gzipConf) *conf.Setting[bool] { return &c.vary }),
			"Whether responses that depend on Accept-Encoding say so in Vary; off by default."),
		with("gzip_http_version", conf.Take1, conf.SetEnum(func(c *gzipConf) *conf.Setting[int] { return &c.httpVersion },
			map[string]int{"1.0": 1000, "1.1": 1001}), "Lowest version of a request whose response may be gzip; 1.1 by default."),
		with("gzip_proxied", conf.OneMore, conf.SetBits(func(c *gzipConf) *conf.Setting[uint] { return &c.proxied }, proxiedNames),
			"Which responses to requests with Via may be gzip; off, none, by default."),
		with("gzip_disable", conf.OneMore, setGzipDisable,
			"Regular expressions for User-Agent, or msie6, of clients that get no gzip."))
}

func setGzipDisable(cf *conf.Conf, c any) error {
	g := c.(*gzipConf)
	for _, pattern := range cf.Args[1:] {
		if pattern == "msie6" {
			g.disableMSIE = true
			continue
		}
		re, err := BindRegex(cf, pattern, true)
		if err != nil {
			return err
		}
		g.disable.Set(append(g.disable.V, re))
	}
	return nil
}

// gzipRatio is $gzip_ratio.
var gzipRatio = Variable{Name: "gzip_ratio", Doc: "length of the body before gzip divided by that after it, as 2.34", Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
	in, out := r.filters.gzipIn, r.filters.gzipOut
	if out == 0 {
		return dst, false
	}
	hundredths := in * 100 / out
	if in*1000/out%10 > 4 {
		hundredths++
	}
	dst = append(strconv.AppendInt(dst, hundredths/100, 10), '.')
	return append(dst, byte('0'+hundredths/10%10), byte('0'+hundredths%10)), true
}}

// gzipWriter is a gzip stream as zlib makes it.
type gzipWriter struct {
	z       *flate.Writer
	w       io.Writer
	crc     uint32
	size    uint32
	started bool
}

// flateLevels are the levels of the encoder that make about what zlib makes at the
// levels of gzip_comp_level. Pages of 32 KiB (markup, source, JSON), in bytes and in
// µs of CPU on a shared machine, where one run differs from the next by a half:
//
//	zlib 1: 10778 11841 11308, 122-191    1: 10661 11906 10704, 104-206
//	zlib 3: 10261 10934 10696, 185-299    4: 10116 10773 10388, 126-228
//	zlib 4:  9877 10352 10347, 253-494    5:  9843 10372 10009, 161-261
//	zlib 6:  9577  9975 10032, 644-855    7:  9591 10052  9839, 437-988
//	zlib 9:  9530  9977  9841, 985-1965   9:  9485  9944  9463, 1019-2546
var flateLevels = [...]int{1: 1, 2: 2, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 8, 9: 9}

func openGzip(c *codingConf) compressor {
	z, err := flate.NewWriter(io.Discard, flateLevels[c.level.V])
	if err != nil {
		panic(err) // the level has been checked
	}
	return &gzipWriter{z: z}
}

func (g *gzipWriter) Reset(w io.Writer) {
	*g = gzipWriter{z: g.z, w: w}
	g.z.Reset(w)
}

// gzipHeader is what zlib writes: no name, no time, made on Unix.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3}

func (g *gzipWriter) start() error {
	if g.started {
		return nil
	}
	g.started = true
	_, err := g.w.Write(gzipHeader)
	return err
}

func (g *gzipWriter) Write(p []byte) (int, error) {
	if err := g.start(); err != nil {
		return 0, err
	}
	g.crc = crc32.Update(g.crc, crc32.IEEETable, p)
	g.size += uint32(len(p))
	return g.z.Write(p)
}

func (g *gzipWriter) Flush() error {
	if err := g.start(); err != nil {
		return err
	}
	return g.z.Flush()
}

func (g *gzipWriter) Close() error {
	if err := g.start(); err != nil {
		return err
	}
	if err := g.z.Close(); err != nil {
		return err
	}
	var tail [8]byte
	binary.LittleEndian.PutUint32(tail[:], g.crc)
	binary.LittleEndian.PutUint32(tail[4:], g.size)
	_, err := g.w.Write(tail[:])
	return err
}

func openBrotli(c *codingConf) compressor {
	return brotli.NewWriterOptions(io.Discard, brotli.WriterOptions{Quality: c.level.V, LGWin: bits.Len64(uint64(c.window.V)) - 1})
}

func checkBrotliWindow(_ *conf.Conf, size int64) error {
	if size < 1<<10 || size > 16<<20 || bits.OnesCount64(uint64(size)) != 1 {
		return conf.DirectiveError("must be 1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, 4m, 8m or 16m")
	}
	return nil
}

// zstdWindow bounds the memory of an encoder, and of the clients' decoders.
const zstdWindow = 2 << 20

func openZstd(c *codingConf) compressor {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(c.level.V)))
	if err != nil {
		panic(err) // the options are constants
	}
	return z
}

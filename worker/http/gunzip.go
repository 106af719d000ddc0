package http

import (
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/klauspost/compress/gzip"

	"perilune/conf"
	"perilune/logging"
)

// gunzipConf is the gunzip module's struct of a location.
type gunzipConf struct {
	enable  conf.Setting[bool]
	buffers conf.Setting[conf.Bufs]
}

// gunzipModule unpacks gzip for clients that do not take it.
var gunzipModule = &conf.Module{
	Name:      "http_gunzip",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &gunzipConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, g := prev.(*gunzipConf), c.(*gunzipConf)
		g.enable.Merge(p.enable, false)
		g.buffers.Merge(p.buffers, conf.Bufs{Num: 32, Size: 4096})
		return nil
	},
}

func init() {
	enable := conf.Command{Name: "gunzip", Ctx: anyLevel, Args: conf.Flag, Level: conf.LocConf,
		Set: conf.SetFlag(func(c *gunzipConf) *conf.Setting[bool] { return &c.enable }),
		Doc: "Whether responses in gzip are unpacked for clients that do not take it; off by default."}
	gunzipModule.Commands = []conf.Command{enable,
		{Name: "gunzip_buffers", Ctx: anyLevel, Args: conf.Take2, Level: conf.LocConf,
			Set: conf.SetBufs(func(c *gunzipConf) *conf.Setting[conf.Bufs] { return &c.buffers }),
			Doc: "Size of the pieces that come out of gunzip; the number is checked and otherwise without effect. 32 4k by default."}}
	gunzipModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHeaderFilter(gunzipHeaderFilter)
		mainConfOf(cf).AddBodyFilter(gunzipBodyFilter)
		return nil
	}
}

func gunzipHeaderFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		h := &r.HeadersOut
		c := r.LocCtx[gunzipModule.Index].(*gunzipConf)
		if !c.enable.V || !strings.EqualFold(h.contentEncoding(), "gzip") {
			return next(r)
		}
		r.filters.gzipVary = true
		if r.gzipOK() {
			return next(r)
		}
		r.Ctx[gunzipModule.Index] = &gunzipping{size: int(c.buffers.V.Size)}
		r.filters.inMemory = true
		h.Del("Content-Encoding")
		r.ClearContentLength()
		r.ClearAcceptRanges()
		h.weakETag()
		return next(r)
	}
}

// gunzipping unpacks a body. The decoder, which asks for its input, runs as a
// coroutine: it yields what it has unpacked, and nil when it needs more.
type gunzipping struct {
	size  int
	input []byte
	ended bool // no more input comes
	more  func() ([]byte, bool)
	yield func([]byte) bool
	err   error
}

var errStopped = errors.New("unpacking has been stopped")

// wait has the decoder wait for input.
func (g *gunzipping) wait() error {
	for len(g.input) == 0 {
		if g.ended {
			return io.EOF
		}
		if !g.yield(nil) {
			return errStopped
		}
	}
	return nil
}

// Read is for the decoder.
func (g *gunzipping) Read(p []byte) (int, error) {
	if err := g.wait(); err != nil {
		return 0, err
	}
	n := copy(p, g.input)
	g.input = g.input[n:]
	return n, nil
}

// ReadByte is for the decoder.
func (g *gunzipping) ReadByte() (byte, error) {
	if err := g.wait(); err != nil {
		return 0, err
	}
	c := g.input[0]
	g.input = g.input[1:]
	return c, nil
}

// unpack is the coroutine.
func (g *gunzipping) unpack(yield func([]byte) bool) {
	g.yield = yield
	z, err := gzip.NewReader(g)
	if err != nil {
		g.err = err
		return
	}
	buf := make([]byte, g.size)
	for {
		n, err := z.Read(buf)
		if n > 0 && !yield(buf[:n]) {
			return
		}
		if err != nil {
			if err != io.EOF {
				g.err = err
			}
			return
		}
	}
}

func gunzipBodyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		g, _ := r.Ctx[gunzipModule.Index].(*gunzipping)
		if g == nil || r.HeaderOnly {
			return next(r, b)
		}
		if g.more == nil {
			more, stop := iter.Pull(g.unpack)
			g.more = more
			r.AddCleanup(stop)
		}
		return g.take(r, b, next)
	}
}

func (g *gunzipping) take(r *Request, b Buf, next BodyFilter) error {
	g.input, g.ended = b.Data, b.Last
	for {
		data, ok := g.more()
		if !ok {
			break
		}
		if data == nil {
			break
		}
		if err := next(r, Buf{Data: data}); err != nil {
			return err
		}
	}
	g.input = nil
	switch {
	case errors.Is(g.err, io.ErrUnexpectedEOF) || g.err == io.EOF:
		r.Log(logging.Error, "inflate() returned -5 on response end")
		return errClosed
	case g.err != nil:
		flush := 0 // as zlib numbers them
		switch {
		case b.Last:
			flush = 4
		case b.Flush:
			flush = 2
		}
		r.Log(logging.Error, "inflate() failed: %d, -3", flush)
		return errClosed
	case b.Last || b.Flush:
		return next(r, Buf{Flush: b.Flush, Last: b.Last})
	}
	return nil
}

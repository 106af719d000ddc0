package http

import (
	"io"

	"perilune/conf"
)

// coding is a content coding that responses are compressed with.
type coding struct {
	name   string // in Content-Encoding
	suffix string // of files compressed with it
	module *conf.Module

	accepted func(r *Request) bool
	conf     func(r *Request) *codingConf
	open     func(c *codingConf) compressor
}

// codingConf is what a location says about a coding.
type codingConf struct {
	enable    conf.Setting[bool]
	level     conf.Setting[int]
	minLength conf.Setting[int64]
	buffers   conf.Setting[conf.Bufs]
	window    conf.Setting[int64] // of brotli
	types     mimeTypes
	static    conf.Setting[staticMode]
}

func (c *codingConf) merge(p *codingConf, level int) {
	c.enable.Merge(p.enable, false)
	c.level.Merge(p.level, level)
	c.minLength.Merge(p.minLength, 20)
	c.buffers.Merge(p.buffers, conf.Bufs{Num: 32, Size: 4096})
	c.window.Merge(p.window, 512<<10)
	c.types.merge(p.types, "text/html")
	c.static.Merge(p.static, staticOff)
}

// compressor is an encoder that can be used again.
type compressor interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// compressorKey says which compressors are alike.
type compressorKey struct {
	coding *coding
	level  int
	window int64
}

// compressing is what a request keeps of a compressed response. It is used again,
// with its encoder.
type compressing struct {
	gather
	key     compressorKey
	encoder compressor
	in, out int64
	done    func() // release, made once
}

// maxFreeCompressors bounds the memory that stays after many at a time.
const maxFreeCompressors = 4

// Write takes the encoder's output.
func (z *compressing) Write(p []byte) (int, error) {
	z.out += int64(len(p))
	return z.gather.Write(p)
}

func (s *Server) takeCompressing(k compressorKey, c *codingConf) *compressing {
	free := s.compressors[k]
	if n := len(free); n > 0 {
		z := free[n-1]
		free[n-1] = nil
		s.compressors[k] = free[:n-1]
		return z
	}
	z := &compressing{key: k, encoder: k.coding.open(c)}
	z.done = z.release
	return z
}

// release gives the encoder to the next response.
func (z *compressing) release() {
	s := z.r.Server
	z.gather.end()
	z.in, z.out = 0, 0
	if s.compressors == nil {
		s.compressors = make(map[compressorKey][]*compressing)
	}
	if free := s.compressors[z.key]; len(free) < maxFreeCompressors {
		s.compressors[z.key] = append(free, z)
	}
}

// headerFilter decides whether a response is compressed.
func (k *coding) headerFilter(next HeaderFilter) HeaderFilter {
	return func(r *Request) error {
		c := k.conf(r)
		h := &r.HeadersOut
		if !c.enable.V || h.Status != 200 && h.Status != 403 && h.Status != 404 || h.contentEncoding() != "" ||
			h.ContentLengthN != -1 && h.ContentLengthN < c.minLength.V || r.HeaderOnly || !c.types.match(r) {
			return next(r)
		}
		r.filters.gzipVary = true
		if !k.accepted(r) {
			return next(r)
		}
		r.Ctx[k.module.Index] = r.Server.takeCompressing(compressorKey{k, c.level.V, c.window.V}, c)
		h.Add("Content-Encoding", k.name)
		r.filters.mainInMemory = true
		r.ClearContentLength()
		r.ClearAcceptRanges()
		h.weakETag()
		return next(r)
	}
}

// bodyFilter compresses a body.
func (k *coding) bodyFilter(next BodyFilter) BodyFilter {
	return func(r *Request, b Buf) error {
		z, _ := r.Ctx[k.module.Index].(*compressing)
		if z == nil || r.HeaderOnly {
			return next(r, b)
		}
		if z.r == nil {
			z.begin(r, next)
			z.encoder.Reset(z)
			r.AddCleanup(z.done)
		}
		return z.take(r, b, k)
	}
}

func (z *compressing) take(r *Request, b Buf, k *coding) error {
	if b.FileLen > 0 {
		return r.eachPiece(b, func(piece Buf) error { return z.take(r, piece, k) })
	}
	if len(b.Data) > 0 {
		z.in += int64(len(b.Data))
		if _, err := z.encoder.Write(b.Data); err != nil {
			return err
		}
	}
	switch {
	case b.Last:
		if err := z.encoder.Close(); err != nil {
			return err
		}
		r.Ctx[k.module.Index] = nil
		if k == gzipCoding {
			r.filters.gzipIn, r.filters.gzipOut = z.in, z.out
		}
		return z.send(false, true)
	case b.Flush:
		if err := z.encoder.Flush(); err != nil {
			return err
		}
		return z.send(true, false)
	}
	return nil
}

package http

import (
	"errors"

	"perilune/logging"
	"perilune/worker/loop"
)

// beginStream begins to read the body piece by piece, for proxy_request_buffering off: what has come so far, as much as the
// buffer takes, is stored as ReadBody would. It reports whether there is more, which readPart reads; if not the body is as after ReadBody.
func (r *Request) beginStream() (more bool, err error) {
	b := &r.body
	in := &r.HeadersIn
	if r.Parent != nil || b.read || r.engine.discarding || in.ContentLengthN < 0 && !in.Chunked {
		return false, r.ReadBody()
	}
	if !in.Chunked && in.ContentLengthN <= int64(r.Conn.last-r.Conn.pos) {
		return false, r.ReadBody()
	}
	b.read = true
	if err := r.continueExpected(); err != nil {
		return false, err
	}
	b.unread, b.rest = true, in.ContentLengthN
	c := r.Conn
	n, err := r.takeBody(c.buf[c.pos:c.last])
	c.pos += n
	r.BytesIn += int64(n)
	if err == nil && !r.bodyDone() {
		err = r.storePart()
	}
	if err == nil && r.bodyDone() {
		r.endStream()
		in.ContentLengthN = b.size
		return false, nil
	}
	return true, err
}

// storePart stores what there is of the body behind the part that came with the header.
func (r *Request) storePart() error {
	room := r.Loc.ClientBodyBufferSize.V - int64(len(r.body.mem))
	if room <= 0 || r.body.file != 0 {
		return nil
	}
	buf := r.Server.buffers.get(int(room))
	defer r.Server.buffers.put(buf)
	data, _, err := r.readPart(buf[:room])
	if err == loop.ErrAgain {
		return nil
	}
	if err == nil && len(data) > 0 {
		r.growBody(len(data))
		r.body.mem = append(r.body.mem, data...)
	}
	return err
}

func (r *Request) endStream() {
	r.body.unread = false
	r.engine.lingering = false
}

// readPart reads what the client has sent of the rest of the body; done says that this was the last of it. The error is
// loop.ErrAgain if there is nothing yet, otherwise it carries a status.
func (r *Request) readPart(buf []byte) (data []byte, done bool, err error) {
	c := r.Conn
	if !r.HeadersIn.Chunked {
		buf = buf[:min(int64(len(buf)), r.body.rest)]
	}
	n, err := 0, loop.ErrAgain
	if c.FD.Readable {
		n, err = c.FD.Read(buf)
	}
	switch {
	case errors.Is(err, loop.ErrAgain):
		return nil, false, err
	case err != nil:
		r.LogErr(logging.Info, err, "recv() failed")
		c.errored = true
		return nil, false, StatusError(400)
	case n == 0:
		r.Log(logging.Info, "client prematurely closed connection")
		c.errored = true
		return nil, false, StatusError(400)
	}
	r.BytesIn += int64(n)
	if data, err = r.decodePart(buf[:n]); err != nil {
		return nil, false, err
	}
	if done = r.bodyDone(); done {
		r.endStream()
	}
	return data, done, nil
}

// decodePart takes the chunked coding off in place.
func (r *Request) decodePart(buf []byte) ([]byte, error) {
	b := &r.body
	if !r.HeadersIn.Chunked {
		b.rest -= int64(len(buf))
		b.size += int64(len(buf))
		return buf, nil
	}
	data := buf[:0]
	for len(buf) > 0 && !b.decoder.Done() {
		part, n, err := b.decoder.Next(buf)
		if err != nil {
			r.Log(logging.Error, "client sent invalid chunked body")
			return nil, StatusError(400)
		}
		if limit := r.Loc.ClientMaxBodySize.V; limit > 0 && b.size+int64(len(part)) > limit {
			r.Log(logging.Error, "client intended to send too large chunked body: %d+%d bytes", b.size, len(part))
			r.engine.lingering = true
			return nil, StatusError(413)
		}
		b.size += int64(len(part))
		data = append(data, part...)
		buf = buf[n:]
	}
	if len(buf) > 0 {
		r.giveBack(buf)
		r.BytesIn -= int64(len(buf))
	}
	return data, nil
}

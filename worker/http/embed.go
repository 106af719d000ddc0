package http

import "golang.org/x/sys/unix"

// What modules that run programs of the user need of a request besides.

// NoRequest stands for a request where there is none: no client has sent it, and it has the settings of the first server.
func (s *Server) NoRequest() *Request {
	if s.noRequest == nil {
		ctx := s.cycle.HTTP
		if len(ctx.Children) > 0 {
			ctx = ctx.Children[0]
		}
		r := &Request{Conn: &Conn{Server: s}, Server: s, MainConf: s.main, Ctx: make([]any, len(ctx.Loc))}
		r.Main = r
		r.Srv = ctx.Srv[CoreModule.Index].(*SrvConf)
		r.SrvCtx, r.vars = ctx.Srv, &r.parts.values
		r.useLocation(ctx.Loc[CoreModule.Index].(*LocConf))
		s.noRequest = r
	}
	return s.noRequest
}

// Variable returns the value of a variable, named in any case. It holds until the
// next call.
func (r *Request) Variable(name string) ([]byte, bool) { return r.variable(name) }

// Capture returns what group n of the last regular expression has matched.
func (r *Request) Capture(n int) ([]byte, bool) { return r.parts.captures.Group(n) }

// BodyDiscarded reports whether the request's body is being thrown away and is
// still to come.
func (r *Request) BodyDiscarded() bool { return r.Main.engine.discarding && r.Main.body.rest > 0 }

// TimedOut reports whether the client has taken too long.
func (r *Request) TimedOut() bool { return r.Conn.timedout }

// Broken reports whether nothing can be sent to the client any more.
func (r *Request) Broken() bool { return r.Conn.errored }

// SetBody replaces the body that ReadBody has read.
func (r *Request) SetBody(data []byte) {
	b := &r.bodyOwner().body
	if b.file != 0 {
		_ = unix.Close(b.file - 1)
		if !b.keep {
			_ = unix.Unlink(b.path)
		}
		b.file, b.path = 0, ""
	}
	b.mem = append([]byte(nil), data...)
	b.size = int64(len(data))
}

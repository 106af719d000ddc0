package http

import (
	"perilune/logging"
)

// maxURIChanges is how often a request may be redirected internally.
const maxURIChanges = 10

// stepKind says how the engine treats what a phase's handler returns.
type stepKind uint8

const (
	stepGeneric stepKind = iota
	stepRewrite
	stepFindConfig
	stepPostRewrite
	stepAccess
	stepPostAccess
	stepContent
)

// phaseStep is one handler, or one act of the engine's own.
type phaseStep struct {
	kind    stepKind
	handler Handler
	next    int // step to go on with when the handler has ended its phase
}

// buildPhases puts the handlers of the phases in a row.
func (m *MainConf) buildPhases() {
	m.engine = nil
	if m.lastAccess != nil {
		m.AddHandler(Access, m.lastAccess)
	}
	findConfig := -1
	for p := PostRead; p < Log; p++ {
		switch p {
		case FindConfig:
			findConfig = len(m.engine)
			m.engine = append(m.engine, phaseStep{kind: stepFindConfig})
		case PostRewrite:
			if len(m.handlers[ServerRewrite])+len(m.handlers[Rewrite]) > 0 {
				m.engine = append(m.engine, phaseStep{kind: stepPostRewrite, next: findConfig})
			}
		case PostAccess:
			if len(m.handlers[Access]) > 0 {
				m.engine = append(m.engine, phaseStep{kind: stepPostAccess, next: len(m.engine) + 1})
			}
		default:
			m.addSteps(p)
		}
	}
}

func (m *MainConf) addSteps(p Phase) {
	kind := stepGeneric
	switch p {
	case ServerRewrite, Rewrite:
		kind = stepRewrite
	case Access:
		kind = stepAccess
	case Content:
		kind = stepContent
	}
	switch p {
	case ServerRewrite:
		m.serverRewrite = len(m.engine)
	case Rewrite:
		m.rewrite = len(m.engine)
	}
	next := len(m.engine) + len(m.handlers[p])
	for _, h := range m.handlers[p] {
		m.engine = append(m.engine, phaseStep{kind, h, next})
	}
	if kind == stepContent && len(m.handlers[p]) == 0 {
		// A location's own handler, or none at all.
		m.engine = append(m.engine, phaseStep{kind: stepContent, handler: func(*Request) int { return Declined }})
	}
}

// process serves a request whose header is complete.
func (r *Request) process() {
	in := &r.HeadersIn
	r.Conn.action = ""
	switch {
	case in.Close:
		r.KeepAlive = false
	case in.KeepAlive:
		r.KeepAlive = true
	default:
		r.KeepAlive = r.HTTPVersion > 1000
	}
	r.engine.lingering = in.ContentLengthN > 0 || in.Chunked
	r.engine.phase = 0
	r.runPhases()
}

// runPhases goes through the phases until one of their handlers has answered.
func (r *Request) runPhases() {
	m := r.MainConf
	for !r.engine.ended {
		step := &m.engine[r.engine.phase]
		rc := Declined
		switch step.kind {
		case stepFindConfig:
			if !r.findConfig() {
				return
			}
		case stepPostRewrite:
			if r.engine.changed {
				if !r.uriChanged() {
					return
				}
				r.engine.phase = step.next
				r.useLocation(r.Srv.Loc)
				continue
			}
		case stepPostAccess:
			if code := r.engine.access; code != 0 {
				r.engine.access = 0
				if code == 403 {
					r.Log(logging.Error, "access forbidden by rule")
				}
				if code == 401 {
					r.unauthorized()
				} else {
					r.Finalize(code)
				}
				return
			}
		case stepContent:
			if h := r.Content; h != nil {
				r.Finalize(h(r))
				return
			}
			rc = step.handler(r)
			if rc != Declined {
				r.Finalize(rc)
				return
			}
			if r.engine.phase+1 == len(m.engine) {
				r.noHandler()
				return
			}
		default:
			if step.kind == stepAccess && r.Parent != nil {
				r.engine.phase = step.next // the main request has been let in
				continue
			}
			rc = step.handler(r)
			if step.kind == stepAccess && rc != Declined {
				if !r.afterAccess(step, rc) {
					return
				}
				continue
			}
			if rc != Declined && !r.afterHandler(step, rc) {
				return
			}
			if rc == OK && step.kind == stepGeneric {
				continue // afterHandler has set the phase
			}
		}
		r.engine.phase++
	}
}

// afterHandler acts on what a handler of the phases before Content has
// returned, other than Declined. It reports whether the engine goes on.
func (r *Request) afterHandler(step *phaseStep, rc int) bool {
	switch {
	case rc == Done, rc == Again && step.kind != stepRewrite:
		return false // the handler calls RunPhases or Finalize later
	case rc == OK && step.kind == stepGeneric:
		r.engine.phase = step.next
		return true
	}
	r.Finalize(rc)
	return false
}

// RunPhases goes on with the phase after the one whose handler has returned
// Done, for handlers that finish later.
func (r *Request) RunPhases() {
	r.engine.phase++
	r.runPhases()
}

// uriChanged counts the URI changes of a request.
func (r *Request) uriChanged() bool {
	r.engine.changed = false
	r.engine.changes--
	if r.engine.changes > 0 {
		return true
	}
	r.Log(logging.Error, "rewrite or internal redirection cycle while processing \"%s\"", r.URI)
	r.Finalize(500)
	return false
}

// ChangeURI gives the request another URI in the rewrite phase: its location
// is looked for anew.
func (r *Request) ChangeURI(uri []byte) {
	r.URI = uri
	r.SetExten()
	r.Internal = true
	r.engine.changed, r.engine.rewritten = true, true
}

// findConfig finds the location of the URI and applies what it says.
func (r *Request) findConfig() bool {
	r.Content = nil
	r.engine.changed = false
	redirect := false
	if tree := r.Srv.locations; tree != nil {
		loc, again, err := tree.Find(r.URI, &r.parts.captures)
		if err != nil {
			r.Log(logging.Alert, "location regex on \"%s\": %v", r.URI, err)
			r.Finalize(500)
			return false
		}
		redirect = again
		if loc != nil {
			r.useLocation(loc.Conf)
		}
	}
	r.limitMethods()
	lc := r.Loc
	if lc.Internal.V && !r.Internal {
		r.Finalize(404)
		return false
	}
	r.locationConfig()
	if limit := lc.ClientMaxBodySize.V; limit > 0 && r.HeadersIn.ContentLengthN > limit && !r.engine.discarding {
		r.Log(logging.Error, "client intended to send too large body: %d bytes", r.HeadersIn.ContentLengthN)
		r.engine.expectTested = true
		r.DiscardBody()
		r.Finalize(413)
		return false
	}
	if redirect {
		to := AppendEscapedURI(nil, []byte(lc.Name))
		if len(r.Args) > 0 {
			to = append(append(to, '?'), r.Args...)
		}
		r.HeadersOut.Redirect(string(to))
		r.Finalize(301)
		return false
	}
	return true
}

// locationConfig applies the settings of the location to the connection.
func (r *Request) locationConfig() {
	lc := r.Loc
	if r.KeepAlive {
		switch {
		case lc.KeepaliveTimeout.V == 0,
			r.Conn.Requests >= lc.KeepaliveRequests.V,
			r.Server.loop.NowMsec()-r.Conn.startMsec > lc.KeepaliveTime.V.Milliseconds(),
			r.Server.draining,
			r.HeadersIn.Browser != 0 && lc.keepaliveDisabled(r):
			r.KeepAlive = false
		}
	}
	if lc.Handler != nil {
		r.Content = lc.Handler
	}
}

// keepaliveDisabled is keepalive_disable.
func (lc *LocConf) keepaliveDisabled(r *Request) bool {
	disable := lc.KeepaliveDisable.V
	return r.HeadersIn.Browser&BrowserMSIE6 != 0 && r.MethodID == MethodPost && disable&disableMSIE6 != 0 ||
		r.HeadersIn.Browser&BrowserSafari != 0 && disable&disableSafari != 0
}

func (r *Request) noHandler() {
	if r.URI[len(r.URI)-1] == '/' {
		if path := r.filename(); path != nil {
			r.Log(logging.Error, "directory index of \"%s\" is forbidden", path)
		}
		r.Finalize(403)
		return
	}
	r.Log(logging.Error, "no handler found")
	r.Finalize(404)
}

// InternalRedirect starts the request over with another URI and query. It
// returns what the calling handler must return.
func (r *Request) InternalRedirect(uri, args []byte) int {
	if !r.redirectAllowed("rewrite or internal redirection cycle while internally redirecting to \"%s\"", uri) {
		return Done
	}
	if len(args) == 0 {
		args = nil // there are none, rather than empty ones
	}
	r.URI, r.Args, r.HasArgs = uri, args, args != nil
	r.engine.rewritten, r.engine.displaced, r.engine.behindAlias = true, false, false
	r.SetExten()
	r.useLocation(r.Srv.Loc)
	r.Conn.action = ""
	r.startOver(r.MainConf.serverRewrite)
	return Done
}

// NamedLocation starts the request over in a named location. It returns what
// the calling handler must return.
func (r *Request) NamedLocation(name []byte) int {
	if !r.redirectAllowed("rewrite or internal redirection cycle while redirect to named location \"%s\"", name) {
		return Done
	}
	if len(r.URI) == 0 {
		r.Log(logging.Error, "empty URI in redirect to named location \"%s\"", name)
		r.Finalize(500)
		return Done
	}
	loc := r.Srv.locations.Named(name)
	if loc == nil {
		r.Log(logging.Error, "could not find named location \"%s\"", name)
		r.Finalize(500)
		return Done
	}
	r.Content = nil
	r.useLocation(loc.Conf)
	r.limitMethods()
	r.locationConfig()
	r.startOver(r.MainConf.rewrite)
	return Done
}

func (r *Request) redirectAllowed(complaint string, to []byte) bool {
	r.engine.changes--
	r.Retain()
	if r.engine.changes > 0 {
		return true
	}
	r.Log(logging.Error, complaint, to)
	r.Finalize(500)
	return false
}

// Displacer is a module's context in Request.Ctx that wants to know of the end of
// the request although an internal redirect has made it void: Displaced is left
// in its place.
type Displacer interface{ Displaced() any }

// startOver runs the phases again within the handler that asked for it, which
// then returns Done. The contexts of the modules are void.
func (r *Request) startOver(phase int) {
	for i, ctx := range r.Ctx {
		r.Ctx[i] = nil
		if d, ok := ctx.(Displacer); ok {
			r.Ctx[i] = d.Displaced()
		}
	}
	r.Internal = true
	r.engine.phase = phase
	r.engine.changed = false
	r.runPhases()
}

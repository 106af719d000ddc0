package http

// requestParts is what variables and static files keep of a request. The engine calls reset before it uses a Request again.
type requestParts struct {
	captures  Captures // of the last regular expression; LocationTree.Find and ServerNames.Find fill it
	id        [32]byte // $request_id, once asked for
	hasID     bool
	pipelined bool   // the engine: the request was in the buffer before the last one was answered
	text      []byte // memory for the text of a return directive
	path      []byte // memory for the path of a file
	values    []varValue
	rewrite   rewriteState
	limits    limitState
	upstream  *upstreamRequest // nil until a request of the connection is passed to one
	realip    realipState
	sub       *subState // nil until the request has to do with subrequests
}

func (p *requestParts) reset() {
	p.captures.Reset()
	clear(p.values)
	p.values = p.values[:0]
	p.rewrite.left, p.rewrite.right = p.rewrite.left[:0], p.rewrite.right[:0]
	p.limits.reset()
	if p.upstream != nil {
		p.upstream.reset()
	}
	if p.sub != nil {
		p.sub.reset()
	}
	p.realip.set = false
	p.hasID = false
	p.pipelined = false
}

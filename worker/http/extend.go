package http

// FilterFinalize is for header filters that answer with another status instead of
// what the handler was about to send: the page for the status goes out at once,
// and what the handler writes afterwards is dropped.
func (r *Request) FilterFinalize(status int) error {
	r.CleanHeader()
	r.KeepAlive = false
	if rc := r.specialResponse(status); rc != OK {
		return StatusError(rc)
	}
	r.outBuf().last = true
	return nil
}

// AddFirstHandler puts a handler before those that a phase has; for
// Postconfiguration.
func (m *MainConf) AddFirstHandler(p Phase, h Handler) {
	m.handlers[p] = append([]Handler{h}, m.handlers[p]...)
}

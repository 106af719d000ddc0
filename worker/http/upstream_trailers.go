package http

import "perilune/logging"

// readTrailers takes what follows the last chunk, with proxy_pass_trailers. It reports how much of data that was; it is not ok
// if it is no header.
func (u *upstreamRequest) readTrailers(data []byte) (used int, ok bool) {
	b := &u.pipe
	if len(b.trailers) == 0 {
		u.parser.reset()
		u.parser.started = true
	}
	before := len(b.trailers)
	most := int(u.conf.bufferSize.V)
	b.trailers = append(b.trailers, data[:min(len(data), most-before)]...)
	p := &u.parser
	switch p.parse(b.trailers) {
	case responseInvalid:
		u.r.Log(logging.Error, "upstream sent invalid trailer: \"%s\\x%02x...\"", b.trailers[p.badBegin:p.badByte], b.trailers[p.badByte])
		return 0, false
	case responseMore:
		if len(b.trailers) == most {
			u.r.Log(logging.Error, "upstream sent too big trailers")
			return 0, false
		}
		return len(data), true
	}
	text := string(b.trailers[:p.pos])
	for i := range p.spans {
		s := &p.spans[i]
		u.trailer = append(u.trailer, upstreamLine{name: text[s.name:s.nameEnd], value: text[s.value:s.valueEnd]})
	}
	b.decoder.EndTrailers()
	return p.pos - before, true
}

// sendTrailers hands the trailers to the client, those that are not hidden.
func (u *upstreamRequest) sendTrailers() {
	for i := range u.trailer {
		if h := &u.trailer[i]; !inSet(u.conf.hidden, h.name) {
			f := &u.r.Main.filters
			f.trailers = append(f.trailers, OutHeader{Name: h.name, Value: h.value})
		}
	}
}

package http

import (
	"strconv"
	"strings"

	"perilune/conf"
)

// returnStep is a return directive.
type returnStep struct {
	status   int
	text     *Script // nil: only the status
	constant []byte  // the text if it has no variables, not nil
}

// setReturn handles return.
func setReturn(cf *conf.Conf, c any) error {
	t := c.(*rewriteConf).target()
	ret := &returnStep{}
	var text string
	n, err := strconv.ParseUint(cf.Args[1], 10, 31)
	switch {
	case err == nil && n <= 999:
		ret.status = int(n)
		if len(cf.Args) == 3 {
			text = cf.Args[2]
		}
	case err != nil && len(cf.Args) == 2 && isRedirectTarget(cf.Args[1]):
		ret.status = 302
		text = cf.Args[1]
	default:
		return conf.Errorf("invalid return code \"%s\"", cf.Args[1])
	}
	// nginx has no way to tell an empty text from none, and sends an error page for both.
	if ret.text, err = CompileScript(cf, text); err != nil {
		return err
	}
	if text == "" && ret.status >= 400 {
		ret.text = nil
	}
	if !HasVariables(text) {
		ret.constant = []byte(text)
	}
	t.steps = append(t.steps, ret)
	return nil
}

func isRedirectTarget(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "$scheme")
}

func (ret *returnStep) run(r *Request, e *rewriteState, _ int) int {
	e.status = ret.answer(r)
	return rewriteEnd
}

func (ret *returnStep) answer(r *Request) int {
	if ret.text == nil {
		return ret.status
	}
	if rc := r.discardForHandler(); rc != OK {
		return rc
	}
	r.HeadersOut.Status = ret.status
	body := ret.constant
	if body == nil {
		body = ret.text.AppendTo(r, r.parts.text[:0])
		r.parts.text = body
	}
	switch ret.status {
	case 301, 302, 303, 307, 308:
		r.HeadersOut.Redirect(string(body))
		return ret.status
	}
	r.HeadersOut.ContentLengthN = int64(len(body))
	r.SetContentType()
	if err := r.SendHeader(); err != nil || r.HeaderOnly || r.Parent != nil && len(body) == 0 {
		return sent(err)
	}
	return sent(r.output(Buf{Data: body, Last: true}))
}

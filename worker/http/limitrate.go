package http

import (
	"time"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/loop"
)

// sizeValue is a size that may have variables in it.
type sizeValue struct {
	script *Script // nil: a constant
	size   int64
}

// setSizeValue handles directives with a size that may have variables in it.
func setSizeValue[C any](f func(*C) *conf.Setting[*sizeValue]) func(*conf.Conf, any) error {
	return func(cf *conf.Conf, c any) error {
		s := f(c.(*C))
		if s.IsSet {
			return conf.ErrDuplicate
		}
		v := &sizeValue{}
		var err error
		if HasVariables(cf.Args[1]) {
			v.script, err = CompileScript(cf, cf.Args[1])
		} else if v.size, err = conf.ParseSize(cf.Args[1]); err != nil {
			return conf.DirectiveError("invalid value")
		}
		s.Set(v)
		return err
	}
}

func (v *sizeValue) of(r *Request) int64 {
	if v.script == nil {
		return v.size
	}
	text := v.script.AppendTo(r, nil)
	n, err := conf.ParseSize(string(text))
	if err != nil {
		r.Log(logging.Error, "invalid size \"%s\"", text)
		return 0
	}
	return n
}

// rateLimit is limit_rate of a main request.
type rateLimit struct {
	known       bool // rate has been set or looked up
	afterKnown  bool
	rate, after int64
	until       int64 // by the loop's clock: nothing is sent before
}

// SetLimitRate sets the bytes a second that the response may take; 0 is no limit.
func (r *Request) SetLimitRate(rate int64) {
	l := &r.Main.filters.limit
	l.known, l.rate = true, rate
}

// limited tells whether a main request has a limit.
func (r *Request) limited() bool {
	l := &r.filters.limit
	if !l.known {
		l.known = true
		l.rate = r.Loc.LimitRate.V.of(r)
	}
	return l.rate > 0
}

// throttle waits until something may be sent, and says how much.
func (c *Conn) throttle(m *Request) (int64, error) {
	l := &m.filters.limit
	if !l.afterKnown {
		l.afterKnown = true
		l.after = m.Loc.LimitRateAfter.V.of(m)
	}
	for {
		now := c.Server.loop.NowMsec()
		if wait := l.until - now; wait > 0 {
			if err := c.pause(m, wait); err != nil {
				return 0, err
			}
			continue
		}
		sec := c.Server.loop.Now().Unix() - m.Start.Unix() + 1
		room := l.rate*sec - (m.BytesOut - l.after)
		if room > 0 {
			return room, nil
		}
		l.until = now + -room*1000/l.rate + 1
	}
}

// pause parks for some milliseconds.
func (c *Conn) pause(m *Request, msec int64) error {
	if m.OnWait != nil {
		m.OnWait(true)
	}
	if !m.clientStalls() {
		c.errored = true
		return errClosed
	}
	var w loop.Waiter
	c.paused = &w
	err := c.Server.loop.Park(&w, time.Duration(msec)*time.Millisecond)
	c.paused = nil
	if err != loop.ErrTimeout || c.errored {
		c.errored = true
		return errClosed
	}
	return nil
}

// sent notes bytes that have been sent: the next ones have to wait.
func (l *rateLimit) sent(m *Request, n int64) {
	if n <= 0 {
		return
	}
	before := max(m.BytesOut-n-l.after, 0)
	after := max(m.BytesOut-l.after, 0)
	if delay := (after - before) * 1000 / l.rate; delay > 0 {
		l.until = m.Server.loop.NowMsec() + delay
	}
}

var limitVariables = []Variable{
	{Name: "limit_rate", Get: number(func(r *Request) int64 { return r.Main.filters.limit.rate }),
		Set: func(r *Request, value []byte) {
			n, err := conf.ParseSize(string(value))
			if err != nil {
				r.Log(logging.Error, "invalid $limit_rate \"%s\"", value)
				return
			}
			r.SetLimitRate(n)
		}, Doc: "bytes a second that the response may take, if that has been set; can be set"},
}

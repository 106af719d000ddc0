package luart

import (
	"time"

	"perilune/luart/vm"
)

func timeAPI() []Function {
	const in = phasesAny
	return []Function{
		{Name: "ngx.now", Args: "()", Phases: in, fn: ngxNow, Doc: "the time in seconds, with milliseconds, from the worker's cached clock"},
		{Name: "ngx.time", Args: "()", Phases: in, fn: ngxTime, Doc: "the time in seconds, from the worker's cached clock"},
		{Name: "ngx.update_time", Args: "()", Phases: in, fn: ngxUpdateTime, Doc: "brings the cached clock up to date"},
		{Name: "ngx.today", Args: "()", Phases: in, fn: ngxToday, Doc: "the local date, as 2026-11-23"},
		{Name: "ngx.localtime", Args: "()", Phases: in, fn: ngxLocaltime, Doc: "the local time, as 2026-11-23 14:05:00"},
		{Name: "ngx.utctime", Args: "()", Phases: in, fn: ngxUTCTime, Doc: "the time in UTC, as 2026-11-23 14:05:00"},
		{Name: "ngx.http_time", Args: "(seconds)", Phases: in, fn: ngxHTTPTime, Doc: "a time as in a Last-Modified header"},
		{Name: "ngx.cookie_time", Args: "(seconds)", Phases: in, fn: ngxCookieTime, Doc: "a time as in the expires attribute of a cookie"},
		{Name: "ngx.parse_http_time", Args: "(str)", Phases: in, fn: ngxParseHTTPTime, Doc: "the seconds of a time in one of HTTP's formats, or nil"},
	}
}

func now(c *Ctx) time.Time { return c.rt.cfg.Loop.Now() }

func seconds(t time.Time) float64 {
	return float64(t.Unix()) + float64(t.Nanosecond()/int(time.Millisecond))/1000
}

func ngxNow(t *vm.Thread, c *Ctx) int {
	t.PushNumber(seconds(now(c)))
	return 1
}

func ngxTime(t *vm.Thread, c *Ctx) int {
	t.PushNumber(float64(now(c).Unix()))
	return 1
}

func ngxUpdateTime(_ *vm.Thread, c *Ctx) int {
	c.rt.cfg.Loop.UpdateTime()
	return 0
}

// timeTexts are the last texts of times, of one second each: most are of now.
type timeTexts struct{ today, localtime, utctime, http, cookie timeText }

type timeText struct {
	sec  int64
	text vm.Value
}

func (c *timeText) push(t *vm.Thread, tm time.Time, layout string) int {
	if sec := tm.Unix(); c.sec != sec || c.text.IsNil() {
		var buf [32]byte
		c.sec, c.text = sec, vm.Bytes(tm.AppendFormat(buf[:0], layout))
	}
	t.Push(c.text)
	return 1
}

func ngxToday(t *vm.Thread, c *Ctx) int {
	return c.rt.times.today.push(t, now(c), "2006-01-02")
}

func ngxLocaltime(t *vm.Thread, c *Ctx) int {
	return c.rt.times.localtime.push(t, now(c), time.DateTime)
}

func ngxUTCTime(t *vm.Thread, c *Ctx) int {
	return c.rt.times.utctime.push(t, now(c).UTC(), time.DateTime)
}

// Formats of HTTP.
const (
	HTTPTimeLayout        = "Mon, 02 Jan 2006 15:04:05 GMT"
	cookieTimeLayout      = "Mon, 02-Jan-06 15:04:05 GMT"
	cookieTimeLayoutAfter = "Mon, 02-Jan-2006 15:04:05 GMT" // from 2038 on
)

// maxTime is the last second of the year 9999: more digits the formats do not have.
const maxTime = 253402300799

func argTime(t *vm.Thread) time.Time {
	n, ok := t.Arg(1).AsNumber()
	if !ok {
		t.Errorf("number argument only")
	}
	return time.Unix(min(max(int64(n), 0), maxTime), 0).UTC()
}

func ngxHTTPTime(t *vm.Thread, c *Ctx) int {
	return c.rt.times.http.push(t, argTime(t), HTTPTimeLayout)
}

func ngxCookieTime(t *vm.Thread, c *Ctx) int {
	tm, layout := argTime(t), cookieTimeLayout
	if tm.Year() > 2037 {
		layout = cookieTimeLayoutAfter
	}
	return c.rt.times.cookie.push(t, tm, layout)
}

func ngxParseHTTPTime(t *vm.Thread, _ *Ctx) int {
	s, ok := t.Arg(1).AsString()
	if !ok {
		return raise(t, "string argument only")
	}
	if sec, ok := ParseHTTPTime(s); ok {
		t.PushNumber(float64(sec))
	} else {
		t.PushNil()
	}
	return 1
}

// ParseHTTPTime reads a time in one of HTTP's three formats, as leniently as nginx
// does: the day of the week is skipped whatever it is.
func ParseHTTPTime(s string) (int64, bool) {
	p := timeParser{s: s}
	comma := 0
	for comma < len(s) && s[comma] != ',' && s[comma] != ' ' {
		comma++
	}
	asctime := comma < len(s) && s[comma] == ' '
	p.i = comma + 1
	for p.i < len(s) && s[p.i] == ' ' {
		p.i++
	}
	if len(s)-p.i < 18 {
		return 0, false
	}
	var day, month, year int
	if !asctime {
		day = p.digits(2)
		sep := p.peek()
		if sep != ' ' && sep != '-' {
			return 0, false
		}
		rfc850 := sep == '-'
		p.i++
		month = p.month()
		if p.peek() != sep {
			return 0, false
		}
		p.i++
		if rfc850 {
			year = p.digits(2)
			if year < 70 {
				year += 2000
			} else {
				year += 1900
			}
			// "28-Sep-1970" is what cookies have; two more digits make it a full year.
			if c := p.peek(); c >= '0' && c <= '9' {
				return 0, false
			}
		} else {
			year = p.digits(4)
		}
	} else {
		month = p.month()
		p.i++
		if p.peek() == ' ' {
			p.i++
			day = p.digits(1)
		} else {
			day = p.digits(2)
		}
	}
	p.i++
	hour := p.digits(2)
	p.colon()
	min := p.digits(2)
	p.colon()
	sec := p.digits(2)
	if asctime {
		if p.peek() != ' ' {
			return 0, false
		}
		p.i++
		year = p.digits(4)
	}
	if p.bad || hour > 23 || min > 59 || sec > 59 || day < 1 || day > daysIn(month, year) {
		return 0, false
	}
	return time.Date(year, time.Month(month), day, hour, min, sec, 0, time.UTC).Unix(), true
}

func daysIn(month, year int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

type timeParser struct {
	s   string
	i   int
	bad bool
}

func (p *timeParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *timeParser) digits(n int) int {
	v := 0
	for ; n > 0; n-- {
		c := p.peek()
		if c < '0' || c > '9' {
			p.bad = true
			return 0
		}
		v = v*10 + int(c-'0')
		p.i++
	}
	return v
}

func (p *timeParser) colon() {
	if p.peek() != ':' {
		p.bad = true
	}
	p.i++
}

func (p *timeParser) month() int {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	if p.i+3 <= len(p.s) {
		for m := 0; m < 12; m++ {
			if p.s[p.i:p.i+3] == names[m*3:m*3+3] {
				p.i += 3
				return m + 1
			}
		}
	}
	p.bad = true
	p.i += 3
	return 1
}

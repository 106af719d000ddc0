// Package strftime formats times as C's strftime does in the C locale of glibc. It owns nothing and keeps nothing.
package strftime

import (
	"bytes"
	"strconv"
	"time"
)

// Append appends d as strftime does in the C locale of glibc: conversions
// with its flags and width, the modifiers E and O, and unknown ones unchanged.
func Append(dst []byte, format string, d time.Time) []byte {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			dst = append(dst, format[i])
			continue
		}
		c := dateConversion{d: d}
		start := i
		i++
		for ; i < len(format); i++ {
			switch format[i] {
			case '_', '-', '0', '^', '#':
				c.flag[format[i]] = true
				continue
			}
			break
		}
		for ; i < len(format) && isDigit(format[i]) && c.width < 1000; i++ {
			c.width = c.width*10 + int(format[i]-'0')
		}
		if i < len(format) && (format[i] == 'E' || format[i] == 'O') {
			i++
		}
		if i >= len(format) {
			return append(dst, format[start:]...)
		}
		from := len(dst)
		var ok bool
		if dst, ok = c.append(dst, format[i]); !ok {
			dst = append(dst[:from], format[start:i+1]...)
		}
	}
	return dst
}

type dateConversion struct {
	d     time.Time
	width int
	flag  [128]bool
}

// num appends a number with n digits unless the flags ask for something else.
func (c *dateConversion) num(dst []byte, v, n int, fill byte) []byte {
	switch {
	case c.flag['-']:
		n = 0
	case c.flag['_']:
		fill = ' '
	case c.flag['0']:
		fill = '0'
	}
	n = max(n, c.width)
	if v < 0 {
		dst = append(dst, '-')
		v = -v
		n--
	}
	var buf [20]byte
	digits := strconv.AppendInt(buf[:0], int64(v), 10)
	for ; n > len(digits); n-- {
		dst = append(dst, fill)
	}
	return append(dst, digits...)
}

func (c *dateConversion) text(dst []byte, s string) []byte {
	for n := c.width; n > len(s); n-- {
		if c.flag['0'] {
			dst = append(dst, '0')
		} else {
			dst = append(dst, ' ')
		}
	}
	from := len(dst)
	dst = append(dst, s...)
	if c.flag['^'] || c.flag['#'] {
		copy(dst[from:], bytes.ToUpper(dst[from:]))
	}
	return dst
}

// composed are the conversions that stand for others.
var composed = map[byte]string{
	'c': "%a %b %e %H:%M:%S %Y",
	'D': "%m/%d/%y",
	'F': "%Y-%m-%d",
	'r': "%I:%M:%S %p",
	'R': "%H:%M",
	'T': "%H:%M:%S",
	'x': "%m/%d/%y",
	'X': "%H:%M:%S",
}

func (c *dateConversion) append(dst []byte, verb byte) ([]byte, bool) {
	d := c.d
	if f, ok := composed[verb]; ok {
		return c.text(dst, string(Append(nil, f, d))), true
	}
	hour12 := (d.Hour()+11)%12 + 1
	switch verb {
	case 'a':
		return c.text(dst, d.Weekday().String()[:3]), true
	case 'A':
		return c.text(dst, d.Weekday().String()), true
	case 'b', 'h':
		return c.text(dst, d.Month().String()[:3]), true
	case 'B':
		return c.text(dst, d.Month().String()), true
	case 'p':
		if c.flag['#'] {
			return append(dst, ampm(d, "am", "pm")...), true
		}
		return c.text(dst, ampm(d, "AM", "PM")), true
	case 'P':
		return c.text(dst, ampm(d, "am", "pm")), true
	case 'Z':
		zone, _ := d.Zone()
		if d.Location() == time.UTC {
			zone = "GMT"
		}
		return c.text(dst, zone), true
	case 'n':
		return append(dst, '\n'), true
	case 't':
		return append(dst, '\t'), true
	case '%':
		return append(dst, '%'), true
	case 'z':
		return appendOffset(dst, d), true
	case 'C':
		return c.num(dst, floorDiv(d.Year(), 100), 2, '0'), true
	case 'd':
		return c.num(dst, d.Day(), 2, '0'), true
	case 'e':
		return c.num(dst, d.Day(), 2, ' '), true
	case 'H':
		return c.num(dst, d.Hour(), 2, '0'), true
	case 'I':
		return c.num(dst, hour12, 2, '0'), true
	case 'j':
		return c.num(dst, d.YearDay(), 3, '0'), true
	case 'k':
		return c.num(dst, d.Hour(), 2, ' '), true
	case 'l':
		return c.num(dst, hour12, 2, ' '), true
	case 'm':
		return c.num(dst, int(d.Month()), 2, '0'), true
	case 'M':
		return c.num(dst, d.Minute(), 2, '0'), true
	case 's':
		return c.num(dst, int(d.Unix()), 1, '0'), true
	case 'S':
		return c.num(dst, d.Second(), 2, '0'), true
	}
	return c.appendWeek(dst, verb)
}

// appendWeek appends the conversions about weeks and years.
func (c *dateConversion) appendWeek(dst []byte, verb byte) ([]byte, bool) {
	d := c.d
	wday := int(d.Weekday())
	isoYear, isoWeek := d.ISOWeek()
	switch verb {
	case 'u':
		return c.num(dst, (wday+6)%7+1, 1, '0'), true
	case 'w':
		return c.num(dst, wday, 1, '0'), true
	case 'U':
		return c.num(dst, (d.YearDay()+6-wday)/7, 2, '0'), true
	case 'W':
		return c.num(dst, (d.YearDay()+6-(wday+6)%7)/7, 2, '0'), true
	case 'V':
		return c.num(dst, isoWeek, 2, '0'), true
	case 'g':
		return c.num(dst, isoYear-100*floorDiv(isoYear, 100), 2, '0'), true
	case 'G':
		return c.num(dst, isoYear, 1, '0'), true
	case 'y':
		return c.num(dst, d.Year()-100*floorDiv(d.Year(), 100), 2, '0'), true
	case 'Y':
		return c.num(dst, d.Year(), 1, '0'), true
	}
	return dst, false
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func ampm(d time.Time, am, pm string) string {
	if d.Hour() < 12 {
		return am
	}
	return pm
}

func appendOffset(dst []byte, d time.Time) []byte {
	_, off := d.Zone()
	sign := byte('+')
	if off < 0 {
		sign, off = '-', -off
	}
	h, m := off/3600, off/60%60
	return append(dst, sign, '0'+byte(h/10), '0'+byte(h%10), '0'+byte(m/10), '0'+byte(m%10))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

package http

import (
	"strings"
	"time"
)

// httpDate is the format of dates in headers; dateFormats are all that are understood.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

var dateFormats = [...]string{httpDate, time.RFC850, time.ANSIC}

const (
	dayNames   = "SunMonTueWedThuFriSat"
	monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// appendHTTPDate writes a date as AppendFormat does, in a quarter of the time: each response that is a file has one.
func appendHTTPDate(dst []byte, seconds int64) []byte {
	t := time.Unix(seconds, 0).UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, httpDate)
	}
	hour, minute, second := t.Clock()
	at := 3 * int(t.Weekday())
	dst = append(dst, dayNames[at:at+3]...)
	dst = append2(append(dst, ", "...), day)
	at = 3 * int(month-1)
	dst = append(append(append(dst, ' '), monthNames[at:at+3]...), ' ')
	dst = append2(append2(dst, year/100), year%100)
	dst = append2(append(dst, ' '), hour)
	dst = append2(append(dst, ':'), minute)
	dst = append2(append(dst, ':'), second)
	return append(dst, " GMT"...)
}

// append2 appends a number of two digits.
func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// parseHTTPDate reads a date; -1 if it is none.
func parseHTTPDate(v []byte) int64 {
	if seconds, ok := parseUsualDate(v); ok {
		return seconds
	}
	for _, format := range dateFormats {
		if t, err := time.Parse(format, string(v)); err == nil {
			return t.Unix()
		}
	}
	return -1
}

// parseUsualDate reads a date as nearly all of them are written; not all that it does not know are wrong.
func parseUsualDate(v []byte) (seconds int64, ok bool) {
	if len(v) != len(httpDate) || string(v[3:5]) != ", " || v[7] != ' ' || v[11] != ' ' || v[16] != ' ' || v[19] != ':' || v[22] != ':' ||
		string(v[25:]) != " GMT" {
		return 0, false
	}
	month := strings.Index(monthNames, string(v[8:11]))
	if month%3 != 0 || strings.Index(dayNames, string(v[:3]))%3 != 0 {
		return 0, false
	}
	var n [6]int // day, century, year of it, hour, minute, second
	for i, at := range [...]int{5, 12, 14, 17, 20, 23} {
		tens, ones := v[at]-'0', v[at+1]-'0'
		if tens > 9 || ones > 9 {
			return 0, false
		}
		n[i] = int(tens)*10 + int(ones)
	}
	if n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return 0, false
	}
	t := time.Date(n[1]*100+n[2], time.Month(month/3+1), n[0], n[3], n[4], n[5], 0, time.UTC)
	return t.Unix(), t.Day() == n[0]
}

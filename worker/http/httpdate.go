package http

import "time"

// httpDate is the format of dates in headers; dateFormats are all that are understood.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

var dateFormats = [...]string{httpDate, time.RFC850, time.ANSIC}

func appendHTTPDate(dst []byte, seconds int64) []byte {
	return time.Unix(seconds, 0).UTC().AppendFormat(dst, httpDate)
}

// parseHTTPDate reads a date; -1 if it is none.
func parseHTTPDate(v []byte) int64 {
	for _, format := range dateFormats {
		if t, err := time.Parse(format, string(v)); err == nil {
			return t.Unix()
		}
	}
	return -1
}

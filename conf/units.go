package conf

import (
	"errors"
	"math"
	"time"
)

// errValue is the error of all the parsers of values; the directive says more.
var errValue = errors.New("invalid value")

// ParseNum parses decimal digits and nothing else.
func ParseNum(s string) (int, error) {
	n, err := parseDigits(s)
	return int(n), err
}

func parseDigits(s string) (int64, error) {
	if s == "" {
		return 0, errValue
	}
	var n int64
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, errValue
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, errValue
		}
		n = n*10 + d
	}
	return n, nil
}

// ParseSize parses a size in memory: bytes, or k or m of either case.
func ParseSize(s string) (int64, error) { return parseUnits(s, false) }

// ParseOffset parses a size of a file: as ParseSize, and g.
func ParseOffset(s string) (int64, error) { return parseUnits(s, true) }

func parseUnits(s string, giga bool) (int64, error) {
	if s == "" {
		return 0, errValue
	}
	scale := int64(1)
	switch c := s[len(s)-1]; {
	case c == 'k' || c == 'K':
		scale = 1 << 10
	case c == 'm' || c == 'M':
		scale = 1 << 20
	case giga && (c == 'g' || c == 'G'):
		scale = 1 << 30
	}
	if scale > 1 {
		s = s[:len(s)-1]
	}
	n, err := parseDigits(s)
	if err != nil || n > math.MaxInt64/scale {
		return 0, errValue
	}
	return n * scale, nil
}

// timeUnit is a unit of ParseTime; units must come in the order of rank.
type timeUnit struct {
	rank  int
	scale int64 // in seconds, but for milliseconds
}

const (
	rankYear = iota + 1
	rankMonth
	rankWeek
	rankDay
	rankHour
	rankMin
	rankSec
	rankMsec
	rankLast
)

var timeUnits = map[byte]timeUnit{
	'y': {rankYear, 365 * 24 * 60 * 60},
	'M': {rankMonth, 30 * 24 * 60 * 60},
	'w': {rankWeek, 7 * 24 * 60 * 60},
	'd': {rankDay, 24 * 60 * 60},
	'h': {rankHour, 60 * 60},
	'm': {rankMin, 60},
	's': {rankSec, 1},
	' ': {rankLast, 1}, // seconds, without a unit
}

// ParseTime parses a time such as 30s, 1h30m or "1d 12h": numbers with units
// from y (365 days) and M (30 days) to s and ms in falling order; a number
// without unit at the end is seconds. With sec the result is whole seconds, y is
// allowed and ms is not; else y and M are not. A time longer than Go can hold
// becomes the longest.
func ParseTime(s string, sec bool) (time.Duration, error) {
	perSec := int64(1000)
	rank := rankMonth
	if sec {
		perSec, rank = 1, 0
	}
	var total, value int64
	valid := false
	for i := 0; i < len(s); {
		c := s[i]
		if c >= '0' && c <= '9' {
			d := int64(c - '0')
			if value > (math.MaxInt64-d)/10 {
				return 0, errValue
			}
			value = value*10 + d
			valid = true
			i++
			continue
		}
		unit, ok := timeUnits[c]
		if !ok {
			return 0, errValue
		}
		i++
		scale := unit.scale * perSec
		last := unit.rank
		if c == 'm' && i < len(s) && s[i] == 's' {
			if sec {
				return 0, errValue
			}
			i++
			unit.rank, last, scale = rankMsec, rankMsec, 1
		}
		if c == ' ' {
			unit.rank = rankSec // may stand where seconds may
		}
		if rank >= unit.rank || value > math.MaxInt64/scale {
			return 0, errValue
		}
		rank = last
		value *= scale
		if total > math.MaxInt64-value {
			return 0, errValue
		}
		total += value
		value = 0
		for i < len(s) && s[i] == ' ' {
			i++
		}
	}
	if !valid || value > math.MaxInt64/perSec || total > math.MaxInt64-value*perSec {
		return 0, errValue
	}
	return saturate(total+value*perSec, time.Second/time.Duration(perSec)), nil
}

// saturate is n units, or the longest duration.
func saturate(n int64, unit time.Duration) time.Duration {
	if n > math.MaxInt64/int64(unit) {
		return math.MaxInt64
	}
	return time.Duration(n) * unit
}

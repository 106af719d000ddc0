package conf

import (
	"strings"
	"time"
)

// The functions below make handlers for the usual kinds of values, with nginx's
// checks and messages. Each takes the function that finds the field in the
// module's struct, and checks that are done on the value once it is there.

// setter makes a handler of a parser of cf.Args.
func setter[C, T any](f func(*C) *Setting[T], parse func(cf *Conf) (T, error), checks []func(cf *Conf, v T) error) func(*Conf, any) error {
	return func(cf *Conf, c any) error {
		s := f(c.(*C))
		if s.IsSet {
			return ErrDuplicate
		}
		v, err := parse(cf)
		if err != nil {
			return err
		}
		s.Set(v)
		for _, check := range checks {
			if err := check(cf, v); err != nil {
				return err
			}
		}
		return nil
	}
}

// ParseFlag parses the argument of a directive that is on or off.
func ParseFlag(cf *Conf) (bool, error) {
	switch {
	case strings.EqualFold(cf.Args[1], "on"):
		return true, nil
	case strings.EqualFold(cf.Args[1], "off"):
		return false, nil
	}
	return false, Errorf("invalid value \"%s\" in \"%s\" directive, it must be \"on\" or \"off\"", cf.Args[1], cf.Args[0])
}

// SetFlag is for on and off.
func SetFlag[C any](f func(*C) *Setting[bool], checks ...func(*Conf, bool) error) func(*Conf, any) error {
	return setter(f, ParseFlag, checks)
}

// SetStr is for one string.
func SetStr[C any](f func(*C) *Setting[string], checks ...func(*Conf, string) error) func(*Conf, any) error {
	return setter(f, func(cf *Conf) (string, error) { return cf.Args[1], nil }, checks)
}

// SetNum is for a number without sign.
func SetNum[C any](f func(*C) *Setting[int], checks ...func(*Conf, int) error) func(*Conf, any) error {
	return setter(f, func(cf *Conf) (int, error) {
		n, err := ParseNum(cf.Args[1])
		if err != nil {
			return 0, DirectiveError("invalid number")
		}
		return n, nil
	}, checks)
}

// NumBounds is a check for SetNum; a high of -1 is no bound.
func NumBounds(low, high int) func(*Conf, int) error {
	return func(_ *Conf, n int) error {
		switch {
		case n >= low && (high == -1 || n <= high):
			return nil
		case high == -1:
			return Errorf("value must be equal to or greater than %d", low)
		}
		return Errorf("value must be between %d and %d", low, high)
	}
}

// SetSize is for a size in memory: k and m.
func SetSize[C any](f func(*C) *Setting[int64], checks ...func(*Conf, int64) error) func(*Conf, any) error {
	return setter(f, valid(func(s string) (int64, error) { return ParseSize(s) }), checks)
}

// SetOff is for a size of a file or body: k, m and g.
func SetOff[C any](f func(*C) *Setting[int64], checks ...func(*Conf, int64) error) func(*Conf, any) error {
	return setter(f, valid(ParseOffset), checks)
}

// SetMsec is for a time in milliseconds.
func SetMsec[C any](f func(*C) *Setting[time.Duration], checks ...func(*Conf, time.Duration) error) func(*Conf, any) error {
	return setter(f, valid(func(s string) (time.Duration, error) { return ParseTime(s, false) }), checks)
}

// SetSec is for a time in whole seconds.
func SetSec[C any](f func(*C) *Setting[time.Duration], checks ...func(*Conf, time.Duration) error) func(*Conf, any) error {
	return setter(f, valid(func(s string) (time.Duration, error) { return ParseTime(s, true) }), checks)
}

// valid makes a parser of cf.Args whose error is that of the directive.
func valid[T any](parse func(string) (T, error)) func(cf *Conf) (T, error) {
	return func(cf *Conf) (T, error) {
		v, err := parse(cf.Args[1])
		if err != nil {
			return v, DirectiveError("invalid value")
		}
		return v, nil
	}
}

// SetEnum is for one of the given words, whose case does not matter.
func SetEnum[C, E any](f func(*C) *Setting[E], names map[string]E, checks ...func(*Conf, E) error) func(*Conf, any) error {
	return setter(f, func(cf *Conf) (E, error) {
		v, ok := names[strings.ToLower(cf.Args[1])]
		if !ok {
			return v, Errorf("invalid value \"%s\"", cf.Args[1])
		}
		return v, nil
	}, checks)
}

// Bufs is a number of buffers of a size.
type Bufs struct {
	Num  int
	Size int64
}

// SetBufs is for a number of buffers and their size.
func SetBufs[C any](f func(*C) *Setting[Bufs], checks ...func(*Conf, Bufs) error) func(*Conf, any) error {
	return setter(f, func(cf *Conf) (Bufs, error) {
		n, err := ParseNum(cf.Args[1])
		if err != nil || n == 0 {
			return Bufs{}, DirectiveError("invalid value")
		}
		size, err := ParseSize(cf.Args[2])
		if err != nil || size == 0 {
			return Bufs{}, DirectiveError("invalid value")
		}
		return Bufs{n, size}, nil
	}, checks)
}

// AppendStr is for a directive that may be repeated, with one string each.
func AppendStr[C any](f func(*C) *Setting[[]string]) func(*Conf, any) error {
	return func(cf *Conf, c any) error {
		s := f(c.(*C))
		s.Set(append(s.V, cf.Args[1]))
		return nil
	}
}

// SetBits is for a set of words; a repeated word is warned of.
func SetBits[C any](f func(*C) *Setting[uint], names map[string]uint) func(*Conf, any) error {
	return func(cf *Conf, c any) error {
		s := f(c.(*C))
		for _, word := range cf.Args[1:] {
			bit, ok := names[strings.ToLower(word)]
			if !ok {
				return Errorf("invalid value \"%s\"", word)
			}
			if s.V&bit != 0 {
				cf.Warnf("duplicate value \"%s\"", word)
				continue
			}
			s.Set(s.V | bit)
		}
		return nil
	}
}

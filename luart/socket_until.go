package luart

import (
	"bytes"

	"perilune/luart/vm"
)

// untilPattern is what receiveuntil looks for, and its table of failures of Knuth,
// Morris and Pratt.
type untilPattern struct {
	text      string
	border    []int // of each prefix, the length of its longest border
	inclusive bool
	found     bool // by an iterator that reads in pieces: the next call says so
}

func newUntilPattern(text string, inclusive bool) *untilPattern {
	p := &untilPattern{text: text, border: make([]int, len(text)+1), inclusive: inclusive}
	k := 0
	for i := 1; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = p.border[k]
		}
		if text[i] == text[k] {
			k++
		}
		p.border[i+1] = k
	}
	return p
}

func tcpReceiveUntil(t *vm.Thread, c *Ctx) int {
	n := t.NArgs()
	if n != 2 && n != 3 {
		return raise(t, "expecting 2 or 3 arguments (including the object), but got %d", n)
	}
	inclusive := false
	if n == 3 {
		v := t.CheckTable(3).GetStr("inclusive")
		if !v.IsNil() && v.Type() != vm.TypeBoolean {
			return raise(t, "bad \"inclusive\" option value type: %s", v.TypeName())
		}
		inclusive = v.Truthy()
	}
	s := tcpOf(t)
	text := t.CheckString(2)
	if text == "" {
		return fail(t, "pattern is empty")
	}
	p := newUntilPattern(text, inclusive)
	t.Push(c.rt.vm.NewFunction("", withRequest(func(t *vm.Thread, c *Ctx) int { return s.nextUntil(t, c, p) })))
	return 1
}

// nextUntil is the iterator of receiveuntil.
func (s *tcpSocket) nextUntil(t *vm.Thread, c *Ctx, p *untilPattern) int {
	n := t.NArgs()
	if n > 1 {
		return raise(t, "expecting 0 or 1 argument, but seen %d", n)
	}
	size := 0
	if n == 1 {
		size = max(0, t.CheckInt(1))
	}
	if s == nil || s.conn == nil || s.readClosed {
		return fail(t, "closed")
	}
	if !s.check(t, c, opConnect|opRead) {
		return 2
	}
	c.debugTimeout("lua tcp socket read", timeout(s.readTimeout, c.socketSettings().ReadTimeout))
	if p.found {
		p.found = false
		t.PushNil()
		t.PushNil()
		t.PushNil()
		return 3
	}
	v, err := s.readUntil(t, c, p, size)
	return s.received(t, c, v, err)
}

// readUntil reads up to the pattern, or until at least size bytes are there that
// cannot be part of it. Bytes that may be the beginning of the pattern stay in the
// buffer.
func (s *tcpSocket) readUntil(t *vm.Thread, c *Ctx, p *untilPattern, size int) (vm.Value, error) {
	acc := s.acc[:0]
	i, k := s.pos, 0 // the next byte, and how many before it match
	for {
		for i < s.last {
			ch := s.buf[i]
			switch {
			case ch == p.text[k]:
				i++
				if k++; k < len(p.text) {
					continue
				}
				p.found = size > 0
				end := i
				if !p.inclusive {
					end -= k
				}
				v := s.untilResult(acc, s.buf[s.pos:end])
				s.pos = i
				return v, nil
			case k == 0:
				i = s.skipTo(i, p.text[0], size, len(acc))
			default:
				for k = p.border[k]; k > 0 && ch != p.text[k]; {
					k = p.border[k]
				}
				if k > 0 {
					k++
					i++
				}
			}
			if size > 0 && len(acc)+i-k-s.pos >= size {
				v := s.untilResult(acc, s.buf[s.pos:i-k])
				s.pos = i - k
				return v, nil
			}
		}
		acc = append(acc, s.buf[s.pos:i-k]...)
		s.pos = i - k
		if err := s.fill(t, c); err != nil {
			return s.result(acc), err
		}
		i = s.pos + k
	}
}

// skipTo is where the pattern may begin behind i, or where size bytes are complete.
func (s *tcpSocket) skipTo(i int, first byte, size, have int) int {
	end := s.last
	if size > 0 {
		end = min(end, s.pos+size-have)
	}
	i = min(i+1, end)
	if j := bytes.IndexByte(s.buf[i:end], first); j >= 0 {
		return i + j
	}
	return end
}

func (s *tcpSocket) untilResult(acc, rest []byte) vm.Value {
	if len(acc) == 0 {
		return vm.Bytes(rest)
	}
	return s.result(append(acc, rest...))
}

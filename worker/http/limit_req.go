package http

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
	"perilune/worker/loop"
)

// limitReqConf is the struct of a location for limit_req.
type limitReqConf struct {
	limitSettings
	limits     []reqLimit
	delayLevel logging.Level
}

// reqLimit is a limit_req directive. Numbers of requests are in thousandths.
type reqLimit struct {
	zone         *conf.Zone
	burst, delay int64
}

var limitReqModule = &conf.Module{
	Name:      "http_limit_req",
	Kind:      conf.HTTPKind,
	CreateLoc: func(*conf.Conf) any { return &limitReqConf{} },
	MergeLoc: func(_ *conf.Conf, prev, c any) error {
		p, lc := prev.(*limitReqConf), c.(*limitReqConf)
		if lc.limits == nil {
			lc.limits = p.limits
		}
		lc.merge(&p.limitSettings)
		lc.delayLevel = min(lc.level.V+1, logging.Info)
		return nil
	},
}

func init() {
	limitReqModule.Preconfiguration = func(cf *conf.Conf) error {
		return AddVariable(cf, limitVariable("limit_req_status", "what limit_req has decided: PASSED, DELAYED, REJECTED …",
			func(s *limitState) limitStatus { return s.req }))
	}
	limitReqModule.Postconfiguration = func(cf *conf.Conf) error {
		mainConfOf(cf).AddHandler(Preaccess, limitReqHandler)
		return checkLimitZones(cf, limitReqModule)
	}
	limitReqModule.Commands = append([]conf.Command{
		{Name: "limit_req_zone", Ctx: conf.HTTP, Args: conf.Take3, Level: conf.MainConf,
			Set: func(cf *conf.Conf, _ any) error { return setLimitZone(cf, limitReqModule) },
			Doc: "A zone of shared memory, zone=name:size, that counts the requests of each value of a key, which come at rate=Nr/s or Nr/m at most."},
		loc("limit_req", conf.Take123, setLimitReq,
			"Limits requests by a zone: zone=name, burst=N in excess that wait, or do not with nodelay or beyond delay=N."),
	}, limitCommands("limit_req", func(c *limitReqConf) *limitSettings { return &c.limitSettings })...)
}

func setLimitReq(cf *conf.Conf, c any) error {
	lc := c.(*limitReqConf)
	var limit reqLimit
	for _, arg := range cf.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		var n int
		switch {
		case strings.HasPrefix(arg, "zone="):
			if limit.zone, err = limitZoneOf(cf, value, limitReqModule); err != nil {
				return err
			}
		case strings.HasPrefix(arg, "burst="), strings.HasPrefix(arg, "delay="):
			if n, err = conf.ParseNum(value); err != nil || n <= 0 {
				return conf.Errorf("invalid %s value \"%s\"", name, arg)
			}
			if name == "burst" {
				limit.burst = int64(n) * 1000
			} else {
				limit.delay = int64(n) * 1000
			}
		case arg == "nodelay":
			limit.delay = math.MaxInt64
		default:
			return conf.Errorf("invalid parameter \"%s\"", arg)
		}
	}
	if limit.zone == nil {
		return conf.Errorf("\"%s\" must have \"zone\" parameter", cf.Args[0])
	}
	for _, l := range lc.limits {
		if l.zone == limit.zone {
			return conf.DirectiveError("is duplicate")
		}
	}
	lc.limits = append(lc.limits, limit)
	return nil
}

// reqEntrySize is the size of an entry of a zone: when a request was last counted, and the excess at that time.
const reqEntrySize = 16

// excess is the excess of one more request.
func (z *limitZone) excess(entry []byte, found bool, now int64) int64 {
	if !found {
		return 0
	}
	passed := max(now-int64(binary.NativeEndian.Uint64(entry)), 0)
	return max(int64(binary.NativeEndian.Uint64(entry[8:]))-z.rate*passed/1000+1000, 0)
}

// peek is the excess of one more request, which is not counted.
func (z *limitZone) peek(s *Server, key []byte) int64 {
	var buf [reqEntrySize]byte
	v, _, err := z.open(s).Get(key, buf[:0])
	return z.excess(v.Str, err == nil && v.Type == shm.String && len(v.Str) == reqEntrySize, s.SharedMsec())
}

// count counts a request, unless its excess would be more than burst. An entry lives for as long as it tells anything.
func (z *limitZone) count(s *Server, key []byte, burst int64) (excess int64, ok bool, err error) {
	now := s.SharedMsec()
	_, err = z.open(s).Modify(key, reqEntrySize, false, func(entry []byte, found bool) int64 {
		excess = z.excess(entry, found, now)
		if ok = excess <= burst; !ok {
			return shm.Keep
		}
		binary.NativeEndian.PutUint64(entry, uint64(now))
		binary.NativeEndian.PutUint64(entry[8:], uint64(excess))
		return (excess+1000)*1000/max(z.rate, 1) + 1
	})
	return excess, ok, err
}

// limitReqHandler works in the preaccess phase.
func limitReqHandler(r *Request) int {
	lc := r.LocCtx[limitReqModule.Index].(*limitReqConf)
	if len(lc.limits) == 0 || r.Main.parts.limits.req != limitNone {
		return Declined
	}
	s := r.Server
	keys := s.limitKeys[:0]
	var bounds [8]int
	ends := bounds[:0]
	excess, decided := int64(0), false
	for i := range lc.limits {
		limit := &lc.limits[i]
		z := limit.zone.Data.(*limitZone)
		begin := len(keys)
		var counts bool
		if keys, counts = z.evaluate(r, keys, 65535); !counts {
			keys = keys[:begin]
			ends = append(ends, begin)
			continue
		}
		ends = append(ends, len(keys))
		decided = true
		if i < len(lc.limits)-1 {
			if excess = z.peek(s, keys[begin:]); excess > limit.burst {
				return r.limitExceeded(lc, limit, excess, nil)
			}
			continue
		}
		var ok bool
		var err error
		if excess, ok, err = z.count(s, keys[begin:], limit.burst); !ok {
			return r.limitExceeded(lc, limit, excess, err)
		}
	}
	s.limitKeys = keys
	if !decided {
		return Declined
	}
	limit, excess, delay := r.countOthers(lc, keys, ends, excess)
	if delay == 0 {
		r.Main.parts.limits.req = limitPassed
		return Declined
	}
	dry := ""
	if lc.dry.V {
		dry = ", dry run"
	}
	r.Log(lc.delayLevel, "delaying request%s, excess: %d.%03d, by zone \"%s\"", dry, excess/1000, excess%1000, limit.zone.Name)
	if lc.dry.V {
		r.Main.parts.limits.req = limitDelayedDry
		return Declined
	}
	r.Main.parts.limits.req = limitDelayed
	return r.delay(time.Duration(delay) * time.Millisecond)
}

// limitExceeded is for a request that is not to be served.
func (r *Request) limitExceeded(lc *limitReqConf, limit *reqLimit, excess int64, err error) int {
	dry := ""
	if lc.dry.V {
		dry = ", dry run"
	}
	if err != nil {
		r.Server.log.Logf(logging.Alert, 0, "could not allocate node in limit_req zone \"%s\": %v", limit.zone.Name, err)
	} else {
		r.Log(lc.level.V, "limiting requests%s, excess: %d.%03d by zone \"%s\"", dry, excess/1000, excess%1000, limit.zone.Name)
	}
	if lc.dry.V {
		r.Main.parts.limits.req = limitRejectedDry
		return Declined
	}
	r.Main.parts.limits.req = limitRejected
	return lc.status.V
}

// countOthers counts a request that all limits let in for those but the last, and finds the longest delay.
func (r *Request) countOthers(lc *limitReqConf, keys []byte, ends []int, excess int64) (*reqLimit, int64, int64) {
	last := len(lc.limits) - 1
	limit := &lc.limits[last]
	begin := func(i int) int {
		if i == 0 {
			return 0
		}
		return ends[i-1]
	}
	longest := int64(0)
	if begin(last) < ends[last] {
		longest = limit.waits(excess)
	}
	for i := last - 1; i >= 0; i-- {
		if begin(i) == ends[i] {
			continue
		}
		l := &lc.limits[i]
		e, _, err := l.zone.Data.(*limitZone).count(r.Server, keys[begin(i):ends[i]], math.MaxInt64)
		if err != nil {
			continue
		}
		if d := l.waits(e); d > longest {
			longest, limit, excess = d, l, e
		}
	}
	return limit, excess, longest
}

// waits is how many milliseconds a request of some excess waits.
func (l *reqLimit) waits(excess int64) int64 {
	if excess <= l.delay {
		return 0
	}
	return (excess - l.delay) * 1000 / max(l.zone.Data.(*limitZone).rate, 1)
}

// delay has a request wait. One whose client goes away meanwhile is over.
func (r *Request) delay(d time.Duration) int {
	var w loop.Waiter
	before := r.Main.onAbort
	r.OnAbort(func() { r.Loop().Wake(&w, errClosed) })
	err := r.Loop().Park(&w, d)
	r.OnAbort(before)
	switch {
	case errors.Is(err, loop.ErrTimeout):
		return Declined
	case errors.Is(err, errClosed):
		return StatusClientClosedRequest
	}
	return Error
}

package http

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/ipc/shm"
	"perilune/logging"
)

// limitZone is a zone of limit_req_zone or limit_conn_zone. All workers have the same one.
type limitZone struct {
	zone *conf.Zone
	key  *Script
	rate int64 // of limit_req: requests in a thousand seconds

	dict    *shm.Dict // nil until the first request
	checked int64     // when limit_conn last looked for dead owners, by now
}

// limitState is what the modules keep of a main request.
type limitState struct {
	req, conn limitStatus
	keys      []byte     // of the connections counted
	held      []heldConn // by limit_conn
}

func (s *limitState) reset() {
	s.req, s.conn = limitNone, limitNone
	s.keys, s.held = s.keys[:0], s.held[:0]
}

// limitStatus is what has been decided of a request.
type limitStatus uint8

const (
	limitNone limitStatus = iota
	limitPassed
	limitDelayed
	limitRejected
	limitDelayedDry
	limitRejectedDry
)

var limitStatusNames = [...]string{
	limitPassed: "PASSED", limitDelayed: "DELAYED", limitRejected: "REJECTED",
	limitDelayedDry: "DELAYED_DRY_RUN", limitRejectedDry: "REJECTED_DRY_RUN",
}

// limitVariable makes a variable of a status.
func limitVariable(name, doc string, status func(*limitState) limitStatus) Variable {
	return Variable{Name: name, Doc: doc, Get: func(r *Request, dst []byte, _ string) ([]byte, bool) {
		s := status(&r.Main.parts.limits)
		return append(dst, limitStatusNames[s]...), s != limitNone
	}}
}

// limitSettings are the directives that both modules have.
type limitSettings struct {
	level  conf.Setting[logging.Level]
	status conf.Setting[int]
	dry    conf.Setting[bool]
}

func (l *limitSettings) merge(p *limitSettings) {
	l.level.Merge(p.level, logging.Error)
	l.status.Merge(p.status, 503)
	l.dry.Merge(p.dry, false)
}

// limitCommands makes the directives of limitSettings for a module.
func limitCommands[C any](prefix string, of func(*C) *limitSettings) []conf.Command {
	return []conf.Command{
		loc(prefix+"_log_level", conf.Take1, conf.SetEnum(func(c *C) *conf.Setting[logging.Level] { return &of(c).level },
			map[string]logging.Level{"info": logging.Info, "notice": logging.Notice, "warn": logging.Warn, "error": logging.Error}),
			"Level at which refusals are logged: info, notice, warn or error; error by default."),
		loc(prefix+"_status", conf.Take1, conf.SetNum(func(c *C) *conf.Setting[int] { return &of(c).status }, conf.NumBounds(400, 599)),
			"Status of refused requests; 503 by default."),
		loc(prefix+"_dry_run", conf.Flag, conf.SetFlag(func(c *C) *conf.Setting[bool] { return &of(c).dry }),
			"Whether it is only logged, and told by the status variable, what would have been refused; off by default."),
	}
}

// minLimitZone is the least size of a zone: eight pages.
var minLimitZone = int64(8 * os.Getpagesize())

// setLimitZone handles limit_req_zone and limit_conn_zone.
func setLimitZone(cf *conf.Conf, mod *conf.Module) error {
	z := &limitZone{}
	var err error
	if z.key, err = CompileScript(cf, cf.Args[1]); err != nil {
		return err
	}
	name, size, rate := "", int64(0), int64(1000)
	for _, arg := range cf.Args[2:] {
		if text, ok := strings.CutPrefix(arg, "zone="); ok {
			if name, size, err = parseZone(arg, text); err != nil {
				return err
			}
			continue
		}
		text, ok := strings.CutPrefix(arg, "rate=")
		if !ok || mod != limitReqModule {
			return conf.Errorf("invalid parameter \"%s\"", arg)
		}
		if rate, ok = parseRate(text); !ok {
			return conf.Errorf("invalid rate \"%s\"", arg)
		}
	}
	if name == "" {
		return conf.Errorf("\"%s\" must have \"zone\" parameter", cf.Args[0])
	}
	if z.zone, err = cf.SharedZone(name, size, mod); err != nil {
		return err
	}
	if old, ok := z.zone.Data.(*limitZone); ok {
		return conf.Errorf("%s \"%s\" is already bound to key \"%s\"", cf.Args[0], name, old.key.Text())
	}
	z.rate = rate
	z.zone.Key, z.zone.Data = z.key.Text(), z
	return nil
}

// parseZone takes "name:size" apart.
func parseZone(arg, text string) (name string, size int64, err error) {
	name, sizeText, ok := strings.Cut(text, ":")
	if ok {
		size, err = conf.ParseSize(sizeText)
	}
	if !ok || err != nil {
		return "", 0, conf.Errorf("invalid zone size \"%s\"", arg)
	}
	if size < minLimitZone {
		return "", 0, conf.Errorf("zone \"%s\" is too small", arg)
	}
	return name, size, nil
}

// parseRate reads "5r/s" or "5r/m" as requests in a thousand seconds.
func parseRate(text string) (int64, bool) {
	scale := 1
	if s, ok := strings.CutSuffix(text, "r/s"); ok {
		text = s
	} else if s, ok := strings.CutSuffix(text, "r/m"); ok {
		text, scale = s, 60
	}
	n, err := conf.ParseNum(text)
	if err != nil || n <= 0 {
		return 0, false
	}
	return int64(n) * 1000 / int64(scale), true
}

// limitZoneOf finds the zone that a directive names, which may be defined later.
func limitZoneOf(cf *conf.Conf, name string, mod *conf.Module) (*conf.Zone, error) {
	return cf.SharedZone(name, 0, mod)
}

// checkLimitZones complains, when the http block has ended, about zones that are named and not defined.
func checkLimitZones(cf *conf.Conf, mod *conf.Module) error {
	for _, z := range cf.Cycle.Zones {
		if z.For == mod && z.Data == nil {
			return conf.PlainErrorf("zero size shared memory zone \"%s\"", z.Name)
		}
	}
	return nil
}

// open is the zone's dictionary.
func (z *limitZone) open(s *Server) *shm.Dict {
	if z.dict == nil {
		z.dict = z.zone.Memory.Dict()
		z.dict.Now = s.SharedMsec
	}
	return z.dict
}

// evaluate appends the request's key. One that is empty or too long is not limited.
func (z *limitZone) evaluate(r *Request, dst []byte, longest int) ([]byte, bool) {
	begin := len(dst)
	dst = z.key.AppendTo(r, dst)
	key := dst[begin:]
	if len(key) > longest {
		r.Log(logging.Error, "the value of the \"%s\" key is more than %d bytes: \"%s\"", z.key.Text(), longest, key)
	}
	return dst, len(key) > 0 && len(key) <= longest
}

// SharedMsec is a time in milliseconds as of the last turn of the loop that only goes forward and that all processes share.
func (s *Server) SharedMsec() int64 {
	if s.msecBase == 0 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			panic(fmt.Sprintf("clock_gettime(CLOCK_MONOTONIC): %v", err)) // every Linux has it
		}
		s.loop.UpdateTime()
		s.msecBase = time.Duration(ts.Nano()).Milliseconds() - s.loop.NowMsec()
	}
	return s.msecBase + s.loop.NowMsec()
}

package loop

import "time"

// clock is the time as of the last turn, and its texts, which change once a
// second.
type clock struct {
	now  time.Time
	msec int64
	base time.Time
	sec  int64

	http []byte // Mon, 23 Nov 2026 11:19:43 GMT
	clf  []byte // 23/Nov/2026:11:19:43 +0000
	iso  []byte // 2026-11-23T11:19:43+00:00
	err  []byte // 2026/11/23 11:19:43
}

// Now returns the wall-clock time as of the last turn.
func (l *Loop) Now() time.Time { return l.clock.now }

// NowMsec returns the monotonic time in milliseconds as of the last turn. It
// counts from an arbitrary moment and is never 0.
func (l *Loop) NowMsec() int64 { return l.clock.msec }

// UpdateTime brings the cached time up to date.
func (l *Loop) UpdateTime() {
	c := &l.clock
	c.now = time.Now()
	if c.base.IsZero() {
		c.base = c.now.Add(-time.Second)
	}
	c.msec = int64(c.now.Sub(c.base) / time.Millisecond)
	if sec := c.now.Unix(); sec != c.sec {
		c.sec = sec
		c.texts()
	}
}

// texts are made afresh rather than overwritten: a response that is waiting
// to be sent may still point to the old ones.
func (c *clock) texts() {
	c.http = c.now.UTC().AppendFormat(make([]byte, 0, 32), "Mon, 02 Jan 2006 15:04:05 GMT")
	c.clf = c.now.AppendFormat(make([]byte, 0, 32), "02/Jan/2006:15:04:05 -0700")
	c.iso = c.now.AppendFormat(make([]byte, 0, 32), "2006-01-02T15:04:05-07:00")
	c.err = c.now.AppendFormat(make([]byte, 0, 32), "2006/01/02 15:04:05")
}

// HTTPTime returns the cached text for the Date header. It must not be changed.
func (l *Loop) HTTPTime() []byte { return l.clock.http }

// LogTime returns the cached time in the common log format ($time_local).
func (l *Loop) LogTime() []byte { return l.clock.clf }

// ISOTime returns the cached time in ISO 8601 ($time_iso8601).
func (l *Loop) ISOTime() []byte { return l.clock.iso }

// ErrorLogTime returns the cached time as error logs begin with it.
func (l *Loop) ErrorLogTime() []byte { return l.clock.err }

package http

import (
	"perilune/logging"
	"perilune/worker/upstream"

	"golang.org/x/sys/unix"
)

// done tells the group how the try has ended.
func (u *upstreamRequest) done(how upstream.Result) {
	if u.peer == nil {
		return
	}
	if u.balanced() {
		u.balance.last, u.balance.failed = how, how != upstream.Fine
		u.peer = nil
		u.tries.Spend()
		return
	}
	u.peer = nil
	if u.tries.Done(how, u.r.Loop().Now().Unix()) {
		u.r.Log(logging.Warn, "upstream server temporarily disabled")
	}
}

// failStatus is the status that the client gets for a failure.
func failStatus(fail uint) int {
	switch fail {
	case failTimeout, fail504:
		return 504
	case fail500:
		return 500
	case fail503:
		return 503
	case fail403:
		return 403
	case fail404:
		return 404
	case fail429:
		return 429
	}
	return 502
}

// next closes a try that has failed, and decides whether there is another one: 0, or the status for the client.
func (u *upstreamRequest) next(fail uint) int {
	if fail == fail403 || fail == fail404 {
		u.done(upstream.Next)
	} else {
		u.done(upstream.Failed)
	}
	if fail == failTimeout {
		u.r.LogErr(logging.Error, unix.ETIMEDOUT, "upstream timed out")
	}
	if u.cached && fail == failError && !u.balance.keep {
		u.tries.Left++ // it was only the connection that was old
	}
	status := failStatus(fail)
	if u.r.Conn.errored {
		return StatusClientClosedRequest
	}
	u.state().status = status
	if !u.mayRetry(fail) || u.tries.Left == 0 {
		return status
	}
	u.closeConn()
	return 0
}

// mayRetry reports whether another server may be asked after a failure, if there is one.
func (u *upstreamRequest) mayRetry(fail uint) bool {
	if u.requested && u.r.MethodID&(MethodPost|MethodLock|MethodPatch) != 0 {
		fail |= failNonIdempotent
	}
	t := u.conf.nextTimeout.V
	if u.requested && u.stream.on {
		return false // what has been sent is gone
	}
	return u.conf.next.V&fail == fail && (t == 0 || u.r.Loop().NowMsec()-u.begun < t.Milliseconds())
}

var statusFailures = map[int]uint{500: fail500, 502: fail502, 503: fail503, 504: fail504, 403: fail403, 404: fail404, 429: fail429}

// unwanted reports whether the status is one for which another server is asked.
func (u *upstreamRequest) unwanted() uint {
	if u.status < 300 || u.tries.Left <= 1 {
		return 0
	}
	if fail := statusFailures[u.status]; fail != 0 && u.mayRetry(fail) {
		return fail
	}
	return 0
}

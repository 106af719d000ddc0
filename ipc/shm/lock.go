package shm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Owner names a process so that a number used again is told from the process that had it first.
type Owner struct {
	PID   int
	Start uint64 // clock ticks since boot, field 22 of /proc/PID/stat
}

// A lock word is 0 or its owner: the process's number in bits 0-21 (Linux has no greater), a check of the word in bits 22-30,
// the start's lower half in bits 32-63. Bit 31 says that someone waits in the kernel. The futex is the lower half. A word
// whose check is wrong is damaged and names nobody, whatever process has that number.
const (
	waiting  = 1 << 31
	pidMask  = 1<<22 - 1
	checkPos = 22
)

func (o Owner) word() uint64 {
	start, pid := uint64(uint32(o.Start)), uint64(o.PID)&pidMask
	check := (start<<22 | pid) * 0x9e3779b97f4a7c15 >> 55
	return start<<32 | check<<checkPos | pid
}

func ownerIn(word uint64) (o Owner, ok bool) {
	o = Owner{PID: int(word & pidMask), Start: word >> 32}
	return o, o.PID != 0 && o.word() == word&^waiting
}

// Self is this process.
var Self = sync.OnceValue(func() Owner {
	o, err := OwnerOf(os.Getpid())
	if err != nil {
		return Owner{PID: os.Getpid()}
	}
	return o
})

// OwnerOf looks a process up, to be kept for ReleaseDead. It works until the process is waited for.
func OwnerOf(pid int) (o Owner, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return o, err
	}
	// The command's name is in brackets and may hold anything.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return o, fmt.Errorf("/proc/%d/stat is cut short", pid)
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	return Owner{PID: pid, Start: start}, err
}

// Word is the owner as a number that is not 0, for modules that keep in shared memory what is whose.
func (o Owner) Word() uint64 { return o.word() }

// Alive says whether the process of an owner's word still runs; in doubt it does.
func Alive(word uint64) bool { return alive(word) }

// alive says whether the owner in a lock word may still write. In doubt it may: the master will know and call ReleaseDead.
func alive(word uint64) bool {
	owner, ok := ownerIn(word)
	if !ok {
		return false
	}
	if owner.PID == os.Getpid() {
		return owner.word() == Self().word()
	}
	fd, err := unix.PidfdOpen(owner.PID, 0)
	if err != nil {
		// ENOSYS and the like say nothing; EINVAL is a number that no process can have.
		return err != unix.ESRCH && err != unix.EINVAL
	}
	defer unix.Close(fd)
	// A pidfd is readable when the last thread is gone: a zombie, or a process that is still being torn down, tells itself so.
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(p, 0); err == nil && n > 0 {
		return false
	}
	now, err := OwnerOf(owner.PID)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || unix.Kill(owner.PID, 0) != unix.ESRCH
	}
	return now.word() == owner.word()
}

const (
	firstWait = time.Millisecond     // after this the owner is looked at
	nextWait  = 5 * time.Millisecond // and then after each of these
)

func (s *stripe) acquire() {
	if !atomic.CompareAndSwapUint64(s.lock, 0, s.z.me) {
		s.acquireSlow()
	}
}

func (s *stripe) tryAcquire() bool {
	return atomic.CompareAndSwapUint64(s.lock, 0, s.z.me)
}

// hotTurns is how soon a stripe is met locked again if it is a hot one, in operations of all processes.
const hotTurns = 256

func (s *stripe) acquireSlow() {
	first, turn := shortDelay, atomic.LoadUint32(s.turn)
	if turn-s.metAt.Swap(turn) < hotTurns {
		first = hotDelay
	}
	if spin(s.lock, s.z.me, first) {
		return
	}
	atomic.AddUint64(s.z.word64(s.z.lay.stripeOff+s.id*sLen+sContended), 1)
	if _, dead := takeSlow(s.lock, s.z.me, 0); dead {
		s.mend()
	}
}

// release tells who reads without the lock that things may be other than they were.
func (s *stripe) release() {
	s.put(sTurn, s.get(sTurn)+1)
	releaseWord(s.lock)
}

// Delays before the lock is looked at again, in turns of a loop of two cycles or so. They grow to a few microseconds in all.
const (
	shortDelay = 1 << 5  // a holder is gone by then as a rule
	hotDelay   = 1 << 11 // where others come again and again
	longDelay  = 1 << 12
	sumDelays  = 10 << 10
)

// spin tries to take a lock that is about to be free. It keeps its hands off the lock most of the time: the holder then does
// several operations with the stripe in its cache, which is worth more than to have every second one.
func spin(lock *uint64, me uint64, first int) bool {
	work := me
	for n, sum := first, 0; sum < sumDelays; n = min(2*n, longDelay) {
		delay(&work, n)
		sum += n
		if atomic.LoadUint64(lock) == 0 && atomic.CompareAndSwapUint64(lock, 0, me) {
			return true
		}
	}
	return false
}

// delay is a while that is too short for the kernel; what it works on is of no interest.
//
//go:noinline
func delay(work *uint64, n int) {
	x := *work
	for ; n > 0; n-- {
		x ^= x << 13
	}
	*work = x
}

// takeSlow takes a lock, waiting in the kernel; not ok when the limit has passed, if there is one. dead says that it was held by
// a process that is gone.
func takeSlow(lock *uint64, me uint64, limit time.Duration) (ok, dead bool) {
	// Who has waited takes the lock with the waiting bit: it cannot know whether others still wait.
	wait := firstWait
	var until time.Time
	if limit > 0 {
		until = time.Now().Add(limit)
	}
	for {
		w := atomic.LoadUint64(lock)
		if w == 0 {
			if atomic.CompareAndSwapUint64(lock, 0, me|waiting) {
				return true, false
			}
			continue
		}
		if w&waiting == 0 && !atomic.CompareAndSwapUint64(lock, w, w|waiting) {
			continue
		}
		w |= waiting
		e := futexWait(lock, uint32(w), wait)
		if e == unix.ETIMEDOUT {
			wait = nextWait
			if !alive(w) && atomic.CompareAndSwapUint64(lock, w, me|waiting) {
				return true, true
			}
		}
		if limit > 0 && time.Now().After(until) {
			return false, false
		}
	}
}

func releaseWord(lock *uint64) {
	if atomic.SwapUint64(lock, 0)&waiting != 0 {
		futexWake(lock)
	}
}

// ReleaseDead takes the locks of a process that is gone, mends their stripes and lets the waiting go on. The caller knows
// that no thread of the process runs any more. It returns how many stripes were mended.
func (z *Zone) ReleaseDead(o Owner) int {
	n := 0
	for i := range z.stripes {
		s := &z.stripes[i]
		for {
			w := atomic.LoadUint64(s.lock)
			if w&^waiting != o.word() {
				break
			}
			if atomic.CompareAndSwapUint64(s.lock, w, z.me|waiting) {
				s.mend()
				s.release()
				n++
				break
			}
		}
	}
	return n
}

// futexWait sleeps until it is woken, the word is no longer val, or d has passed (ETIMEDOUT). The futex is not private: the
// word is shared by processes. (The machines we build for are little-endian: the lower half is where the word begins.)
func futexWait(lock *uint64, val uint32, d time.Duration) syscall.Errno {
	ts := unix.NsecToTimespec(int64(d))
	_, _, e := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(lock)), futexOpWait, uintptr(val), uintptr(unsafe.Pointer(&ts)), 0, 0)
	return e
}

func futexWake(lock *uint64) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(lock)), futexOpWake, 1, 0, 0, 0)
}

const (
	futexOpWait = 0
	futexOpWake = 1
)

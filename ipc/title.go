package ipc

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

// titleArea is the memory that the kernel shows as the command line, and the environment's behind it.
var titleArea []byte

// InitTitle finds the memory of the arguments and moves the strings that Go has of them elsewhere (those of the environment
// are copies from the start). It must run at the start of main, before anything keeps a string of os.Args.
func InitTitle() {
	if titleArea != nil || len(os.Args) == 0 || len(os.Args[0]) == 0 {
		return
	}
	start := unsafe.StringData(os.Args[0])
	from, to := titleExtent()
	if to <= from || from != uint64(uintptr(unsafe.Pointer(start))) {
		return
	}
	args := make([]string, len(os.Args))
	for i, a := range os.Args {
		args[i] = strings.Clone(a)
	}
	os.Args = args
	titleArea = unsafe.Slice(start, int(to-from))
	// A process that is started from /proc/self/exe is called "exe". Best effort: the name is for people.
	_ = os.WriteFile("/proc/self/comm", []byte("perilune"), 0)
}

// titleExtent says where the arguments start and, as the kernel lets a title run on into it, where the environment ends:
// arg_start, arg_end, env_start and env_end are fields 48 to 51 of /proc/self/stat.
func titleExtent() (from, to uint64) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0
	}
	// The second field is the name of the program, which may contain anything.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 49 {
		return 0, 0
	}
	var v [4]uint64
	for i := range v {
		if v[i], err = strconv.ParseUint(f[45+i], 10, 64); err != nil {
			return 0, 0
		}
	}
	if v[2] != v[1] {
		return v[0], v[1]
	}
	return v[0], v[3]
}

// SetTitle shows text as the command line of the process, as far as there is room for it.
func SetTitle(text string) {
	if titleArea == nil {
		return
	}
	// The last byte stays NUL.
	n := copy(titleArea[:len(titleArea)-1], text)
	clear(titleArea[n:])
}

// WorkerTitle is the command line of a worker that serves.
const WorkerTitle = "perilune: worker process"

// AgentTitle is the command line of the privileged agent.
const AgentTitle = "perilune: privileged agent process"

package ipc

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"perilune/conf"
)

// EnvWorker is the one environment variable that makes a process a worker: it names the descriptor of the manifest.
const EnvWorker = "PERILUNE_WORKER"

// Manifest is all that a worker is told at its start. Descriptors are numbers in the worker.
type Manifest struct {
	Generation  int
	Slot        int    // the worker's number in its generation, from 0; AgentSlot is the privileged agent
	Workers     int    // how many workers the generation has
	Connections int    // worker_connections of the privileged agent
	MasterPID   int    // to tell an orphan from a child
	IPC         int    // descriptor of the worker's end of the socket
	Prefix      string // options the configuration is parsed with, as the master parsed it
	ConfFile    string
	Globals     string
	ErrorLog    string
	Snapshot    *conf.Snapshot // every file of the configuration
	Sockets     []SocketFDs    // listen sockets
	Files       map[string]int // log files: path to descriptor
	Zones       map[string]int // shared-memory zones: name to descriptor
	User        *User          // whom to become once the configuration is there; nil to stay
	Daemonized  bool           // SIGWINCH means something only then
	Console     bool           // what is logged until the start is done goes to standard error, too
}

// AgentSlot is the number of the privileged agent, which serves nobody.
const AgentSlot = -1

// Agent says whether the process is the privileged agent.
func (m *Manifest) Agent() bool { return m.Slot == AgentSlot }

// User is whom a worker runs as.
type User struct {
	Name     string
	UID, GID int
	Groups   []int
}

// SocketFDs are the descriptors of one listen address: one, or one for each slot with reuseport.
type SocketFDs struct {
	Network string
	Addr    string
	FDs     []int
	Own     []int // reuseport: the slots this worker accepts from
}

// File writes the manifest into a sealed memory file, to be inherited by a worker.
func (m *Manifest) File() (*os.File, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	fd, err := unix.MemfdCreate("perilune-manifest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", os.NewSyscallError("memfd_create", err))
	}
	f := os.NewFile(uintptr(fd), "manifest")
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, fmt.Errorf("manifest: %w", err)
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("manifest: %w", os.NewSyscallError("fcntl", err))
	}
	return f, nil
}

// WorkerManifest says whether this process was started as a worker; if so it takes the manifest's descriptor and removes the
// environment variable, so that no child of the worker takes itself for one.
func WorkerManifest() (fd int, ok bool, err error) {
	v, ok := os.LookupEnv(EnvWorker)
	if !ok {
		return 0, false, nil
	}
	os.Unsetenv(EnvWorker)
	fd, err = strconv.Atoi(v)
	if err != nil || fd < 3 {
		return 0, true, fmt.Errorf("invalid %s=%q", EnvWorker, v)
	}
	return fd, true, nil
}

// ReadManifest reads the manifest and closes its descriptor.
func ReadManifest(fd int) (*Manifest, error) {
	f := os.NewFile(uintptr(fd), "manifest")
	defer f.Close()
	// The offset is shared with the master's descriptor, which has written up to the end.
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	m := new(Manifest)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// KeepFilesHere makes every descriptor that the process was started with close-on-exec, but for the standard ones: children get
// what they are given and nothing else.
func KeepFilesHere() {
	// Before Linux 5.11 there is no such call, and a descriptor that a careless parent left open stays open in the children.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

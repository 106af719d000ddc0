package conf

import "time"

// Listening is a socket that the configuration asks for. The options are as in
// the listen directive; -1 in a number means that the kernel's default stays.
type Listening struct {
	Network string // "tcp" or "unix"
	Addr    string // canonical: "0.0.0.0:80", "[::]:80", "unix:/path"

	Backlog   int
	RcvBuf    int
	SndBuf    int
	FastOpen  int
	Reuseport bool
	Deferred  bool
	IPv6Only  bool
	Bind      bool // the directive asks for a socket of its own

	SoKeepalive  KeepaliveMode
	KeepIdle     time.Duration // 0: the kernel's default
	KeepInterval time.Duration
	KeepCount    int

	// FDs are the descriptors: one, or with Reuseport one for each worker's
	// slot. Master and worker fill them in.
	FDs []int

	// Data is the HTTP engine's: the servers on this address.
	Data any
}

// KeepaliveMode is the so_keepalive parameter.
type KeepaliveMode int

// Without the parameter the kernel's default holds.
const (
	KeepaliveDefault KeepaliveMode = iota
	KeepaliveOn
	KeepaliveOff
)

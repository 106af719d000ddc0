package shm

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

var le = binary.LittleEndian

// Errors of Attach. Both mean that the zone's contents cannot be used; the file is left as it is.
var (
	ErrVersion = errors.New("the zone has another layout version")
	ErrHeader  = errors.New("the zone's header is damaged")
)

// Zone is a shared-memory zone mapped into this process. Its methods may be called by any goroutine, but not after Close.
type Zone struct {
	f          *os.File
	mem        []byte
	name       string
	size       int64
	lay        layout
	seed       uint64
	me         uint64 // this process in a lock word
	stampShift int
	version    uint32
	stripes    []stripe
	rotor      atomic.Uint32 // where the search for a stripe to take from begins
}

// stripe is this process's view of one stripe: the fixed places in the mapping.
type stripe struct {
	z       *Zone
	id      int
	tag     uint8
	lock    *uint64 // in hdr
	intent  *uint32 // in hdr
	turn    *uint32 // in hdr
	hdr     []byte
	buckets []byte
	metAt   atomic.Uint32 // the turn at which this process last met the lock taken
}

// MaxName is how long a zone's name can be.
const MaxName = maxName

// Create makes a new, empty zone in a memory file whose size is sealed.
func Create(name string, size int64) (*Zone, error) {
	if size < MinSize || size > MaxSize {
		return nil, fmt.Errorf("shared memory zone \"%s\": size %d is not between %d and %d", name, size, MinSize, int64(MaxSize))
	}
	if len(name) > maxName {
		return nil, fmt.Errorf("shared memory zone \"%.20s...\": the name is longer than %d bytes", name, maxName)
	}
	fd, err := unix.MemfdCreate("perilune-zone", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("shared memory zone \"%s\": %w", name, os.NewSyscallError("memfd_create", err))
	}
	f := os.NewFile(uintptr(fd), "zone "+name)
	z, err := create(f, name, size)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("shared memory zone \"%s\": %w", name, err)
	}
	return z, nil
}

func create(f *os.File, name string, size int64) (*Zone, error) {
	fd := int(f.Fd())
	if err := unix.Ftruncate(fd, mapLen(size)); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	const seals = unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	mem, err := unix.Mmap(fd, 0, int(mapLen(size)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	l := layoutFor(size)
	le.PutUint64(mem[hMagic:], zoneMagic)
	le.PutUint32(mem[hVersion:], LayoutVersion)
	le.PutUint32(mem[hStripes:], uint32(l.stripes))
	le.PutUint64(mem[hSize:], uint64(size))
	le.PutUint32(mem[hBlocks:], uint32(l.blocks))
	le.PutUint32(mem[hBuckets:], uint32(l.buckets))
	if _, err := rand.Read(mem[hSeed : hSeed+8]); err != nil {
		unix.Munmap(mem)
		return nil, err
	}
	le.PutUint32(mem[hNameLen:], uint32(len(name)))
	copy(mem[hName:hLen], name)
	tags := mem[l.tagOff : l.tagOff+l.regions*regionBlock]
	tags[0] = noBlock // reference 0 means none
	for i := l.blocks; i < len(tags); i++ {
		tags[i] = noBlock
	}
	z := newZone(f, mem, name, size, l)
	z.hintAll()
	for i := range z.stripes {
		z.stripes[i].put(sCursor, uint32(i*(l.regions/l.stripes)*regionWords))
	}
	atomic.StoreUint32(z.word32(hReady), 1)
	return z, nil
}

// Attach maps a zone that was made by Create, here or in another process. On success the zone owns f.
func Attach(f *os.File) (*Zone, error) {
	z, err := AttachOld(f)
	if err == nil && z.Outdated() {
		err = wrongVersion(z.version)
		return nil, errors.Join(err, z.unmap())
	}
	return z, err
}

// Outdated says that the zone is of an older layout.
func (z *Zone) Outdated() bool { return z.version != LayoutVersion }

// AttachOld is Attach for zones of older layouts, too, if entries can be copied out of them. Nothing else may be done with such
// a zone.
func AttachOld(f *os.File) (*Zone, error) {
	var st unix.Stat_t
	fd := int(f.Fd())
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, fmt.Errorf("%w: it is no memory file sealed in size", ErrHeader)
	}
	if st.Size < MinSize || st.Size > MaxSize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrHeader, st.Size)
	}
	mem, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	name, size, l, err := readHeader(mem)
	if err != nil {
		unix.Munmap(mem)
		return nil, err
	}
	z := newZone(f, mem, name, size, l)
	z.version = le.Uint32(mem[hVersion:])
	return z, nil
}

func wrongVersion(v uint32) error { return fmt.Errorf("%w: %d, not %d", ErrVersion, v, LayoutVersion) }

// readHeader checks all that a header says against what it must say for its size.
func readHeader(mem []byte) (name string, size int64, l layout, err error) {
	if m := le.Uint64(mem[hMagic:]); m != zoneMagic {
		return "", 0, l, fmt.Errorf("%w: magic %#x", ErrHeader, m)
	}
	if v := le.Uint32(mem[hVersion:]); v != LayoutVersion && !readable(v) {
		return "", 0, l, wrongVersion(v)
	}
	if le.Uint32(mem[hReady:]) != 1 {
		return "", 0, l, fmt.Errorf("%w: it was never finished", ErrHeader)
	}
	size = int64(le.Uint64(mem[hSize:]))
	if size < MinSize || size > MaxSize || mapLen(size) != int64(len(mem)) {
		return "", 0, l, fmt.Errorf("%w: size %d in a file of %d", ErrHeader, size, len(mem))
	}
	l = layoutFor(size)
	if int(le.Uint32(mem[hStripes:])) != l.stripes || int(le.Uint32(mem[hBlocks:])) != l.blocks ||
		int(le.Uint32(mem[hBuckets:])) != l.buckets {
		return "", 0, l, fmt.Errorf("%w: the arrangement does not fit the size %d", ErrHeader, size)
	}
	n := le.Uint32(mem[hNameLen:])
	if n > maxName {
		return "", 0, l, fmt.Errorf("%w: a name of %d bytes", ErrHeader, n)
	}
	return string(mem[hName : hName+n]), size, l, nil
}

func newZone(f *os.File, mem []byte, name string, size int64, l layout) *Zone {
	z := &Zone{f: f, mem: mem, name: name, size: size, lay: l, seed: le.Uint64(mem[hSeed:]), me: Self().word(), stampShift: stampShiftFor(l), version: LayoutVersion}
	z.stripes = make([]stripe, l.stripes)
	for i := range z.stripes {
		off, b := l.stripeOff+i*sLen, l.bucketOff+i*l.buckets*4
		s := &z.stripes[i]
		s.z, s.id, s.tag = z, i, uint8(i+1)
		s.lock, s.intent, s.turn = z.word64(off+sLock), z.word32(off+sIntent), z.word32(off+sTurn)
		s.hdr, s.buckets = mem[off:off+sLen:off+sLen], mem[b:b+l.buckets*4:b+l.buckets*4]
	}
	return z
}

// Close unmaps the zone and closes its file; the memory lives on in the processes that have it.
func (z *Zone) Close() error {
	return errors.Join(z.unmap(), z.f.Close())
}

func (z *Zone) unmap() error {
	mem := z.mem
	z.mem, z.stripes = nil, nil
	return os.NewSyscallError("munmap", unix.Munmap(mem))
}

// Name is the name given to Create.
func (z *Zone) Name() string { return z.name }

// Size is the size given to Create.
func (z *Zone) Size() int64 { return z.size }

// File is the zone's memory file, to be inherited by or sent to another process for Attach.
func (z *Zone) File() *os.File { return z.f }

// Stats are counters of a zone, all approximate while others work in it.
type Stats struct {
	Entries   int
	UsedBytes int64 // in whole blocks
	FreeBytes int64
	Contended uint64 // times a lock was waited for in the kernel
	Mended    uint64 // times a stripe was mended
	Stripes   int
}

// Stats sums up the stripes without taking their locks.
func (z *Zone) Stats() Stats {
	st := Stats{Stripes: len(z.stripes)}
	for i := range z.stripes {
		s := &z.stripes[i]
		st.Entries += int(s.get(sEntries))
		st.UsedBytes += int64(s.get(sBlocks)) * blockSize
		st.Contended += atomic.LoadUint64(z.word64(z.lay.stripeOff + i*sLen + sContended))
		st.Mended += uint64(s.get(sMended))
	}
	st.FreeBytes = max(int64(z.lay.blocks-1)*blockSize-st.UsedBytes, 0)
	return st
}

// word64 and word32 are the only places where a pointer into the mapping is made: atomic operations and futexes need one.
// Callers pass offsets computed from the layout, not offsets read from the zone.
func (z *Zone) word64(off int) *uint64 {
	return (*uint64)(unsafe.Pointer(&z.mem[off : off+8 : off+8][0]))
}

func (z *Zone) word32(off int) *uint32 {
	return (*uint32)(unsafe.Pointer(&z.mem[off : off+4 : off+4][0]))
}

func (s *stripe) get(field int) uint32    { return le.Uint32(s.hdr[field:]) }
func (s *stripe) put(field int, v uint32) { le.PutUint32(s.hdr[field:], v) }

func (z *Zone) epoch() uint32 { return atomic.LoadUint32(z.word32(hEpoch)) }

func mapLen(size int64) int64 {
	page := int64(os.Getpagesize())
	return (size + page - 1) &^ (page - 1)
}

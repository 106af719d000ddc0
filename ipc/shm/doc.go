// Package shm owns shared-memory zones: memory that the master makes, every worker maps, and that outlives reloads and
// upgrades, with a dictionary on it. It never knows who uses a zone for what, and never keeps a pointer in one.
//
// # Memory
//
// A zone is a memory file sealed in size (so no access can fault on a file that shrank) with a header, stripes, tags, buckets
// and blocks of 64 bytes. Where they are follows from the zone's size alone. An entry or a list's element is a chain of
// extents, each 1 to 64 blocks that lie together; a reference (the number of the first block and the count) is all that is
// ever kept in the zone. Because any free block serves any entry, memory does not fragment into uselessness: a long value in
// a zone full of scattered holes gets more, shorter extents and loses 4 bytes for each.
//
// Values of eight blocks and more are laid out in aligned groups of eight, shorter ones in what is left of groups that are
// begun. When the zone is full a long value rather has up to eight entries removed than takes scattered blocks, so that extents
// stay long: 6 blocks on average in the soak below, for 1/16 of the zone given up at most.
//
// A block's owner is one byte, its tag: 0 when free, else the number of the stripe. Blocks are taken by one compare-and-swap
// of tags and freed by one and, without a lock: all stripes share all memory, and no allocator can be left locked. Two levels
// of bits hint where free ones may be; a bit may be set in vain but is never missing for longer than the operation that frees.
//
// Usable share, as measured by `make soak` (20 million operations in a zone of 16 MiB, mostly full; what is counted is bytes of
// keys and values), which does the same work in nginx 1.22 with ngx_lua:
//
//	values of             here     nginx's slab
//	8 bytes to 8 KiB      84.3 %   66.2 %
//	256 bytes to 8 KiB    87.6 %   69.4 %
//	8 to 64 bytes         31.5 %   24.7 %   (an entry's header counts for most)
//	"no memory" in sets   0.06 %   0.5 %
//
// # Stripes
//
// A key's hash chooses its stripe (one for each MiB of the zone, at most 64), which has its own lock, buckets and list by
// use. A zone below 2 MiB has one and so evicts in the order of ngx_lua; in larger ones the order is that of each stripe, and
// stripes that have more than their share of the blocks give way first. There an entry that is read stays where it is in the
// list by use when it is among the newest eighth, and while its stripe has far less than its share.
//
// # Reading without the lock
//
// Nearly all reads find their entry in a few steps and have nothing to write. They are done without the lock: what was read
// counts when the lock was free before and after, and no one has given it back meanwhile (the stripe's turn). Such a read
// trusts nothing, and is done again under the lock when anything looks odd, when an entry has expired or must move in the list
// by use, or when the operation has others to remove first.
//
// # Locks and death
//
// A lock is a word with its owner (process number and start time) and a futex. It is held for one operation on one entry, or
// for a slice of an operation on all. A process that is killed leaves its lock; the master's ReleaseDead breaks it, or a
// waiter does that sees after a millisecond that the owner is gone. Who breaks it mends the stripe before anything else.
//
// Who finds a lock taken looks again after a delay: a short one at first, one of microseconds where the lock was met taken a
// moment ago, so that its holder does several operations with all in its cache. After some 10 µs the kernel is asked.
//
// What 8 processes on 2 cores with incr see of each other (TestWaits with -shm.waits=400ms; times of operations, waits for locks
// and for a processor included, beside those of one process alone):
//
//	                              waits in    p50          p99            p99.9
//	                              the kernel  8 and 1      8 and 1        8 and 1
//	one key, nothing else         0.006 %     64 / 64 ns   64 / 64 ns     0.1 / 0.1 µs
//	one key, each every 10 µs     0.004 %     64 / 56 ns   220 / 110 ns   5 / 5 µs
//	1000 keys, nothing else       0.016 %     64 / 64 ns   380 / 320 ns   1.5 / 0.8 µs
//	1000 keys, each every 10 µs   0.059 %     190 / 220 ns 2.6 / 1.8 µs   25 / 20 µs
//
// Beyond that are the scheduler's time slices: a holder that has to give its processor up keeps the lock meanwhile.
//
// Mending needs no log, for an entry exists when its bucket leads to it: it is finished before one store makes it exist, and
// taken apart after one store ended that. Likewise the elements of a list exist by the way forward. The list by use, ways
// back, counts and tags are made anew from a walk of the stripe. The one other thing is a value overwritten in place: the
// stripe's intent names the entry, and mending removes it. A number is overwritten by a single store and needs no intent.
// Mending itself can be killed and begun anew.
//
// What the walk finds to contradict itself is dropped, at worst all of a stripe. Every reference is checked before use, every
// loop over references is bounded; an operation that finds damage mends the stripe and returns ErrCorrupt.
//
// # Unsafe
//
// Plain reads and writes go through slices of the mapping. The package makes pointers into it for atomic operations and
// futexes only (word32, word64): at offsets that are computed from the layout or from a checked reference, aligned to the
// operation, inside a mapping that the Go runtime does not own or move and that lives until Close.
package shm

package ffi

import (
	"encoding/binary"
	"encoding/hex"
	"math"
)

// nginxFunctions are those of nginx that Lua libraries call: the ones that only work on bytes.
var nginxFunctions = map[string]*function{
	"ngx_hextoi": {"pi", 'i', "intptr_t ngx_hextoi(unsigned char *line, size_t n)", func(c *call) {
		c.number = parseDigits(c.read(0, c.int(1)), 16)
	}},
	"ngx_atoi": {"pi", 'i', "intptr_t ngx_atoi(unsigned char *line, size_t n)", func(c *call) {
		c.number = parseDigits(c.read(0, c.int(1)), 10)
	}},
	"ngx_hex_dump": {"ppi", 'p', "unsigned char *ngx_hex_dump(unsigned char *dst, unsigned char *src, size_t len)", func(c *call) {
		n := c.int(2)
		hex.Encode(c.write(0, 2*n), c.read(1, n))
		c.ptr = c.args[0].p
		c.ptr.off += 2 * n
	}},
	"ngx_murmur_hash2": {"pi", 'i', "uint32_t ngx_murmur_hash2(unsigned char *data, size_t len)", func(c *call) {
		c.number = int64(murmurHash2(c.read(0, c.int(1))))
	}},
}

// parseDigits is the number that the digits are, -1 if they are none or too many.
func parseDigits(digits []byte, base int64) int64 {
	if len(digits) == 0 {
		return -1
	}
	n := int64(0)
	for _, c := range digits {
		var d int64
		switch {
		case c >= '0' && c <= '9':
			d = int64(c - '0')
		case base == 16 && c|0x20 >= 'a' && c|0x20 <= 'f':
			d = int64(c|0x20-'a') + 10
		default:
			return -1
		}
		if n > (math.MaxInt64-d)/base {
			return -1
		}
		n = n*base + d
	}
	return n
}

// murmurHash2 is Austin Appleby's MurmurHash2 with the length as the seed, as nginx has it.
func murmurHash2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	for i := len(b) - 1; i >= 0; i-- {
		h ^= uint32(b[i]) << (8 * i)
	}
	if len(b) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

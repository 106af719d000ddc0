package http

import (
	"encoding/binary"
	"strconv"
	"strings"

	"perilune/conf"
)

// splitPart is a line of split_clients: a share of all hashes.
type splitPart struct {
	below uint64 // the hash of those that come before the end of the share
	rest  bool   // *
	value []byte
}

func setSplitClients(cf *conf.Conf, _ any) error {
	name, err := blockVariable(cf.Args[2])
	if err != nil {
		return err
	}
	source, err := CompileScript(cf, cf.Args[1])
	if err != nil {
		return err
	}
	var parts []splitPart
	sum := uint64(0) // of the shares, in hundredths of a percent
	err = cf.ParseEntries(func(cf *conf.Conf) error {
		if len(cf.Args) != 2 {
			return conf.Errorf("invalid number of arguments in \"%s\" directive", cf.Args[0])
		}
		p := splitPart{value: []byte(cf.Args[1]), rest: cf.Args[0] == "*"}
		if !p.rest {
			n, ok := parseShare(cf.Args[0])
			if !ok {
				return conf.Errorf("invalid percent value \"%s\"", cf.Args[0])
			}
			sum += n
			p.below = sum * 0xffffffff / 10000
		}
		parts = append(parts, p)
		return nil
	})
	if err != nil {
		return err
	}
	if sum > 10000 {
		return conf.Errorf("percent total is greater than 100%%")
	}
	return AddComputed(cf, name, "", true, func(r *Request) ([]byte, bool) {
		hash := uint64(murmur2(source.AppendTo(r, nil)))
		for i := range parts {
			if parts[i].rest || hash < parts[i].below {
				return parts[i].value, true
			}
		}
		return nil, true
	})
}

// parseShare reads "12.34%" as 1234.
func parseShare(text string) (uint64, bool) {
	text, ok := strings.CutSuffix(text, "%")
	if !ok {
		return 0, false
	}
	whole, part, _ := strings.Cut(text, ".")
	if len(part) > 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+(part + "00")[:2], 10, 16)
	return n, err == nil && n > 0
}

// murmur2 is the hash MurmurHash2 with the seed 0.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		h = h*m ^ (k^k>>24)*m
	}
	if len(data) > 0 {
		var tail [4]byte
		copy(tail[:], data)
		h = (h ^ binary.LittleEndian.Uint32(tail[:])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

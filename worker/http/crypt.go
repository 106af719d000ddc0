package http

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"

	"github.com/openwall/yescrypt-go"
	"golang.org/x/crypto/bcrypt"
)

// sameText compares secrets.
func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// passwordKind is a kind of entries of a password file.
type passwordKind struct {
	prefix  string
	slow    bool // on purpose
	matches func(entry, password string) bool
}

// passwordKinds are those that are known.
var passwordKinds = []passwordKind{
	{"{PLAIN}", false, func(entry, password string) bool { return sameText(entry[len("{PLAIN}"):], password) }},
	{"{SHA}", false, func(entry, password string) bool {
		sum := sha1.Sum([]byte(password))
		return sameText(entry[len("{SHA}"):], base64.StdEncoding.EncodeToString(sum[:]))
	}},
	{"{SSHA}", false, func(entry, password string) bool {
		raw, ok := stdBase64.appendDecoded(nil, []byte(entry[len("{SSHA}"):]))
		if !ok || len(raw) < sha1.Size {
			return false
		}
		sum := sha1.Sum([]byte(password + string(raw[sha1.Size:])))
		return sameText(string(raw[:sha1.Size]), string(sum[:]))
	}},
	{"$apr1$", false, md5Matches("$apr1$")},
	{"$1$", false, md5Matches("$1$")},
	{"$5$", true, func(entry, password string) bool { return shaMatches(sha256.New, entry[len("$5$"):], password) }},
	{"$6$", true, func(entry, password string) bool { return shaMatches(sha512.New, entry[len("$6$"):], password) }},
	{"$2a$", true, bcryptMatches},
	{"$2b$", true, bcryptMatches},
	{"$2y$", true, bcryptMatches},
	{"$y$", true, yescryptMatches},
}

// traditional is the kind of entries without a prefix, and of those that are no password's.
var traditional = &passwordKind{"", false, desMatches}

// unsupported are the kinds that crypt(3) may know, and we do not.
var unsupported = []string{"$3$", "$7$", "$gy$", "$sha1", "$md5", "_"}

// kindOf finds the kind of an entry; nil if it is one that is not supported.
func kindOf(entry string) *passwordKind {
	for i := range passwordKinds {
		if strings.HasPrefix(entry, passwordKinds[i].prefix) {
			return &passwordKinds[i]
		}
	}
	for _, prefix := range unsupported {
		if strings.HasPrefix(entry, prefix) {
			return nil
		}
	}
	return traditional
}

func yescryptMatches(entry, password string) bool {
	text, err := yescrypt.Hash([]byte(password), []byte(entry))
	return err == nil && sameText(entry, string(text))
}

func bcryptMatches(entry, password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(entry), []byte(password)) == nil
}

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// cryptText appends the n digits of three bytes.
func cryptText(out []byte, a, b, c byte, n int) []byte {
	for v := uint32(a)<<16 | uint32(b)<<8 | uint32(c); n > 0; n-- {
		out = append(out, cryptAlphabet[v&63])
		v >>= 6
	}
	return out
}

func md5Matches(magic string) func(entry, password string) bool {
	return func(entry, password string) bool {
		salt, _, _ := strings.Cut(entry[len(magic):], "$")
		return sameText(entry, md5Crypt(magic, password, salt))
	}
}

// md5Crypt is the hash of crypt(3) with MD5, and of Apache's htpasswd with another magic: a thousand rounds.
func md5Crypt(magic, password, salt string) string {
	salt = salt[:min(len(salt), 8)]
	inner := md5.Sum([]byte(password + salt + password))
	text := []byte(password + magic + salt)
	for n := len(password); n > 0; n -= md5.Size {
		text = append(text, inner[:min(n, md5.Size)]...)
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			text = append(text, 0)
		} else {
			text = append(text, password[0])
		}
	}
	sum := md5.Sum(text)
	for round := range 1000 {
		text = cryptRound(text[:0], round, []byte(password), []byte(salt), sum[:])
		sum = md5.Sum(text)
	}
	out := []byte(magic + salt + "$")
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		out = cryptText(out, sum[i], sum[i+6], sum[last], 4)
	}
	return string(cryptText(out, 0, 0, sum[11], 2))
}

// cryptRound appends the text that is hashed in a round.
func cryptRound(text []byte, round int, password, salt, sum []byte) []byte {
	first, last := sum, password
	if round&1 != 0 {
		first, last = password, sum
	}
	text = append(text, first...)
	if round%3 != 0 {
		text = append(text, salt...)
	}
	if round%7 != 0 {
		text = append(text, password...)
	}
	return append(text, last...)
}

// shaMatches is crypt(3) with SHA-2. The entry is without its magic: an optional number of rounds, salt and hash.
func shaMatches(newHash func() hash.Hash, entry, password string) bool {
	rounds := 5000
	if text, ok := strings.CutPrefix(entry, "rounds="); ok {
		number, rest, _ := strings.Cut(text, "$")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1000 || n > 999999999 {
			return false
		}
		rounds, entry = n, rest
	}
	salt, want, _ := strings.Cut(entry, "$")
	return sameText(want, shaCrypt(newHash, password, salt[:min(len(salt), 16)], rounds))
}

func shaCrypt(newHash func() hash.Hash, password, salt string, rounds int) string {
	digest := func(text []byte) []byte {
		h := newHash()
		h.Write(text)
		return h.Sum(nil)
	}
	// fill makes n bytes of the repeated digest.
	fill := func(text, digest []byte, n int) []byte {
		for ; n > 0; n -= len(digest) {
			text = append(text, digest[:min(n, len(digest))]...)
		}
		return text
	}
	inner := digest([]byte(password + salt + password))
	text := fill([]byte(password+salt), inner, len(password))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			text = append(text, inner...)
		} else {
			text = append(text, password...)
		}
	}
	sum := digest(text)
	p := fill(nil, digest([]byte(strings.Repeat(password, len(password)))), len(password))
	s := fill(nil, digest([]byte(strings.Repeat(salt, 16+int(sum[0])))), len(salt))
	for round := range rounds {
		text = cryptRound(text[:0], round, p, s, sum)
		sum = digest(text)
	}
	return string(shaText(sum))
}

// shaText is the text of a digest: its bytes come in threes of which each goes on, in another order, where the last has ended.
func shaText(sum []byte) (out []byte) {
	third := len(sum) / 3
	a, b, c := 0, third, 2*third
	for range third {
		out = cryptText(out, sum[a], sum[b], sum[c], 4)
		if len(sum) == sha256.Size {
			a, b, c = c+1, a+1, b+1
		} else {
			a, b, c = b+1, c+1, a+1
		}
	}
	if len(sum) == sha256.Size {
		return cryptText(out, 0, sum[31], sum[30], 3)
	}
	return cryptText(out, 0, 0, sum[63], 2)
}

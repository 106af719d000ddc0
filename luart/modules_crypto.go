package luart

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"

	"perilune/luart/vm"
)

type hashKind struct {
	name string
	make func() hash.Hash
}

var hashKinds = []hashKind{
	{"md5", md5.New}, {"sha1", sha1.New}, {"sha224", sha256.New224}, {"sha256", sha256.New},
	{"sha384", sha512.New384}, {"sha512", sha512.New},
}

func openHash(rt *Runtime, kind hashKind) *vm.Table {
	var mt *vm.Table
	state := func(t *vm.Thread) hash.Hash {
		h, ok := t.CheckUserdata(1).Data.(hash.Hash)
		if !ok {
			typeError(t, 1, kind.name)
		}
		return h
	}
	tab, mt := rt.class("0.16", map[string]vm.GoFunction{
		"new": func(t *vm.Thread) int {
			t.Push(rt.vm.NewUserdata(kind.make(), mt).Value())
			return 1
		},
		"update": func(t *vm.Thread) int {
			h := state(t)
			s := measured(t, 2, "s")
			if kind.name == "md5" { // the others have no such argument
				if n := t.OptInt(3, len(s)); n >= 0 && n < len(s) {
					s = s[:n]
				}
			}
			h.Write(bytesOf(s))
			t.PushBool(true)
			return 1
		},
		"final": func(t *vm.Thread) int {
			var sum [sha512.Size]byte
			t.PushBytes(state(t).Sum(sum[:0]))
			return 1
		},
		"reset": func(t *vm.Thread) int {
			state(t).Reset()
			t.PushBool(true)
			return 1
		},
	})
	return tab
}

func openRestyRandom(rt *Runtime) *vm.Table {
	tab, _ := rt.class("0.16", map[string]vm.GoFunction{
		"bytes": func(t *vm.Thread) int {
			n := t.CheckInt(1)
			if n < 0 || n > 1<<30 {
				return argError(t, 1, "length out of range")
			}
			b := make([]byte, n)
			_, _ = rand.Read(b) // never fails
			t.PushBytes(b)
			return 1
		},
	})
	return tab
}

// aesState is an object of resty.aes.
type aesState struct {
	block   cipher.Block
	mode    string
	iv      []byte
	padding bool
}

func openAES(rt *Runtime) *vm.Table {
	var mt *vm.Table
	tab, mt := rt.class("0.16", map[string]vm.GoFunction{
		"cipher": func(t *vm.Thread) int { return aesCipher(t, rt.vm) },
		"new": func(t *vm.Thread) int {
			a, text := newAES(t)
			if a == nil {
				t.PushNil()
				t.PushString(text)
				return 2
			}
			t.Push(rt.vm.NewUserdata(a, mt).Value())
			return 1
		},
		"encrypt": func(t *vm.Thread) int { return aesEncrypt(t, rt.vm) },
		"decrypt": aesDecrypt,
	})
	hashes := rt.vm.NewTable(0, len(hashKinds))
	for _, h := range hashKinds {
		hashes.SetStr(h.name, rt.vm.NewUserdata(h, nil).Value())
	}
	tab.SetStr("hash", hashes.Value())
	return tab
}

var aesModes = []string{"cbc", "ecb", "ctr", "gcm", "ofb", "cfb1", "cfb8", "cfb128"}

// streams reports whether the mode needs no whole blocks.
func (a *aesState) streams() bool { return a.mode != "cbc" && a.mode != "ecb" }

func aesCipher(t *vm.Thread, m *vm.VM) int {
	size, mode := t.OptInt(1, 128), t.OptString(2, "cbc")
	switch {
	case size != 128 && size != 192 && size != 256, !slices.Contains(aesModes, mode):
		t.PushNil()
		return 1
	}
	c := m.NewTable(0, 2)
	c.SetStr("size", vm.Int(size))
	c.SetStr("cipher", vm.String(mode))
	t.Push(c.Value())
	return 1
}

// newAES makes the state from (self, key, salt, cipher, hash, rounds, iv_len, padding).
func newAES(t *vm.Thread) (*aesState, string) {
	key := measured(t, 2, "key")
	size, mode := 16, "cbc"
	if c, ok := t.Arg(4).AsTable(); ok {
		n, _ := c.GetStr("size").AsNumber()
		size = int(n) / 8
		mode, _ = c.GetStr("cipher").AsString()
	}
	a := &aesState{mode: mode, padding: t.Arg(8).IsNil() || t.Arg(8).Truthy()}
	k := bytesOf(key)
	ivLen := aes.BlockSize
	if h, ok := t.Arg(5).AsTable(); ok {
		iv, ok := h.GetStr("iv").AsString()
		switch {
		case !ok:
			return nil, "iv is needed"
		case len(iv) > size:
			return nil, "bad iv length"
		}
		if f := h.GetStr("method"); f.IsFunction() {
			s, _ := t.CallValue(f, 1, vm.String(key))[0].AsString()
			k = bytesOf(s)
		}
		if len(k) != size {
			return nil, "bad key length"
		}
		a.iv = append(a.iv, iv...)
		if mode == "gcm" {
			ivLen = len(iv)
		}
	} else {
		salt := t.OptString(3, "")
		if !t.Arg(3).IsNil() && len(salt) != 8 {
			return nil, "salt must be 8 characters or nil"
		}
		newHash := md5.New
		if u, ok := t.Arg(5).AsUserdata(); ok {
			if h, ok := u.Data.(hashKind); ok {
				newHash = h.make
			}
		}
		derived := ivLen
		if mode == "gcm" {
			// The password gives so much, and zeros are the rest.
			derived, ivLen = gcmNonce, t.OptInt(7, size)
		}
		k, a.iv = bytesToKey(newHash(), k, bytesOf(salt), max(t.OptInt(6, 1), 1), size, derived)
	}
	if ivLen < 1 {
		return nil, "failed to set IV length"
	}
	for len(a.iv) < ivLen {
		a.iv = append(a.iv, 0)
	}
	a.iv = a.iv[:ivLen]
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, "bad key length"
	}
	a.block = block
	return a, ""
}

// gcmNonce is the usual length of the initial vector of GCM.
const gcmNonce = 12

// bytesToKey makes a key and an initial vector of a password, as OpenSSL's
// EVP_BytesToKey does.
func bytesToKey(h hash.Hash, data, salt []byte, rounds, keyLen, ivLen int) (key, iv []byte) {
	var all, last []byte
	for len(all) < keyLen+ivLen {
		h.Reset()
		h.Write(last)
		h.Write(data)
		h.Write(salt)
		last = h.Sum(nil)
		for range rounds - 1 {
			h.Reset()
			h.Write(last)
			last = h.Sum(nil)
		}
		all = append(all, last...)
	}
	return all[:keyLen], all[keyLen : keyLen+ivLen]
}

func aesOf(t *vm.Thread) *aesState {
	a, ok := t.CheckUserdata(1).Data.(*aesState)
	if !ok {
		typeError(t, 1, "aes")
	}
	return a
}

func aesFail(t *vm.Thread, text string) int {
	t.PushNil()
	if text == "" {
		return 1
	}
	t.PushString(text)
	return 2
}

func aesEncrypt(t *vm.Thread, m *vm.VM) int {
	a := aesOf(t)
	b := []byte(t.CheckString(2))
	if a.mode == "gcm" {
		g, err := cipher.NewGCMWithNonceSize(a.block, len(a.iv))
		if err != nil {
			return aesFail(t, err.Error())
		}
		out := g.Seal(nil, a.iv, b, bytesOf(t.OptString(3, "")))
		n := len(out) - g.Overhead()
		res := m.NewTable(2, 0)
		res.SetInt(1, vm.Bytes(out[:n]))
		res.SetInt(2, vm.Bytes(out[n:]))
		t.Push(res.Value())
		return 1
	}
	if !a.streams() {
		if a.padding {
			pad := aes.BlockSize - len(b)%aes.BlockSize
			for range pad {
				b = append(b, byte(pad))
			}
		} else if len(b)%aes.BlockSize != 0 {
			return aesFail(t, "EVP_EncryptFinal_ex failed")
		}
	}
	a.crypt(b, true)
	t.PushBytes(b)
	return 1
}

func (a *aesState) crypt(b []byte, encrypt bool) {
	switch {
	case a.mode == "ctr":
		cipher.NewCTR(a.block, a.iv).XORKeyStream(b, b)
	case a.mode == "ofb":
		feedback(a.block, a.iv, b, aes.BlockSize, func(out, _ byte) byte { return out })
	case a.mode == "cfb128":
		feedback(a.block, a.iv, b, aes.BlockSize, cipherText(encrypt))
	case a.mode == "cfb8":
		feedback(a.block, a.iv, b, 1, cipherText(encrypt))
	case a.mode == "cfb1":
		feedbackBits(a.block, a.iv, b, encrypt)
	case a.mode == "cbc" && encrypt:
		cipher.NewCBCEncrypter(a.block, a.iv).CryptBlocks(b, b)
	case a.mode == "cbc":
		cipher.NewCBCDecrypter(a.block, a.iv).CryptBlocks(b, b)
	default:
		for i := 0; i < len(b); i += aes.BlockSize {
			if encrypt {
				a.block.Encrypt(b[i:], b[i:])
			} else {
				a.block.Decrypt(b[i:], b[i:])
			}
		}
	}
}

func aesDecrypt(t *vm.Thread) int {
	a := aesOf(t)
	b := []byte(t.CheckString(2))
	if a.mode == "gcm" {
		g, err := cipher.NewGCMWithNonceSize(a.block, len(a.iv))
		if err != nil {
			return aesFail(t, err.Error())
		}
		out, err := g.Open(nil, a.iv, append(b, t.OptString(3, "")...), bytesOf(t.OptString(4, "")))
		if err != nil {
			return aesFail(t, "EVP_DecryptFinal_ex failed")
		}
		t.PushBytes(out)
		return 1
	}
	if a.streams() {
		a.crypt(b, false)
		t.PushBytes(b)
		return 1
	}
	if len(b)%aes.BlockSize != 0 || len(b) == 0 && a.padding {
		return aesFail(t, "EVP_DecryptFinal_ex failed")
	}
	a.crypt(b, false)
	if a.padding {
		pad := int(b[len(b)-1])
		if pad == 0 || pad > aes.BlockSize {
			return aesFail(t, "EVP_DecryptFinal_ex failed")
		}
		for _, c := range b[len(b)-pad:] {
			if int(c) != pad {
				return aesFail(t, "EVP_DecryptFinal_ex failed")
			}
		}
		b = b[:len(b)-pad]
	}
	t.PushBytes(b)
	return 1
}

// feedback encrypts what it has sent last, step bytes at a time, and mixes it with b:
// next says what is sent, of the block's byte and b's.
func feedback(block cipher.Block, iv, b []byte, step int, next func(out, in byte) byte) {
	register := append([]byte(nil), iv...)
	var out [aes.BlockSize]byte
	for len(b) > 0 {
		block.Encrypt(out[:], register)
		n := min(step, len(b))
		register = append(register[:0], register[n:]...)
		for i := range n {
			register = append(register, next(out[i], b[i]))
			b[i] ^= out[i]
		}
		b = b[n:]
	}
}

// cipherText is what CFB sends back: the text's byte that is encrypted.
func cipherText(encrypt bool) func(out, in byte) byte {
	if encrypt {
		return func(out, in byte) byte { return out ^ in }
	}
	return func(_, in byte) byte { return in }
}

// feedbackBits is CFB with a step of one bit.
func feedbackBits(block cipher.Block, iv, b []byte, encrypt bool) {
	register := append([]byte(nil), iv...)
	var out [aes.BlockSize]byte
	for i := range b {
		for bit := 7; bit >= 0; bit-- {
			block.Encrypt(out[:], register)
			in := b[i] >> bit & 1
			mixed := in ^ out[0]>>7
			b[i] = b[i]&^(1<<bit) | mixed<<bit
			sent := in
			if encrypt {
				sent = mixed
			}
			for j := range register {
				low := sent
				if j+1 < len(register) {
					low = register[j+1] >> 7
				}
				register[j] = register[j]<<1 | low
			}
		}
	}
}

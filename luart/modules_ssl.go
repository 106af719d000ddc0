package luart

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"perilune/luart/ffi"
	"perilune/luart/vm"
)

// Errors of ngx.ssl, which are the names of OpenSSL's functions.
const (
	errPEMCert = "PEM_read_bio_X509_AUX() failed"
	errPEMKey  = "PEM_read_bio_PrivateKey() failed"
	errDERCert = "d2i_X509_bio() failed"
	errDERKey  = "d2i_PrivateKey_bio() failed"
)

// openSSL makes ngx.ssl, as far as it is for certificates of clients.
func openSSL(rt *Runtime) *vm.Table {
	opaque := func(t *vm.Thread, data any) int {
		t.Push(ffi.Opaque(data))
		return 1
	}
	return rt.fill(rt.vm.NewTable(0, 6), map[string]vm.GoFunction{
		"parse_pem_cert": func(t *vm.Thread) int {
			if chain := pemCertificates(t.CheckString(1)); chain != nil {
				return opaque(t, chain)
			}
			return fail(t, errPEMCert)
		},
		"parse_der_cert": func(t *vm.Thread) int {
			der := []byte(t.CheckString(1))
			if _, err := x509.ParseCertificate(der); err != nil {
				return fail(t, errDERCert)
			}
			return opaque(t, [][]byte{der})
		},
		"parse_pem_priv_key": func(t *vm.Thread) int {
			if key := pemKey(t.CheckString(1)); key != nil {
				return opaque(t, key)
			}
			return fail(t, errPEMKey)
		},
		"parse_der_priv_key": func(t *vm.Thread) int {
			if key := parseKey([]byte(t.CheckString(1))); key != nil {
				return opaque(t, key)
			}
			return fail(t, errDERKey)
		},
		"cert_pem_to_der": func(t *vm.Thread) int {
			chain := pemCertificates(t.CheckString(1))
			if chain == nil {
				return fail(t, errPEMCert)
			}
			all := make([]byte, 0, 4096)
			for _, der := range chain {
				all = append(all, der...)
			}
			t.PushBytes(all)
			return 1
		},
		"priv_key_pem_to_der": func(t *vm.Thread) int {
			if der := keyDER(pemKey(t.CheckString(1))); der != nil {
				t.PushBytes(der)
				return 1
			}
			return fail(t, errPEMKey)
		},
	})
}

// pemCertificates are the certificates in a text, nil if there are none or they are broken.
func pemCertificates(text string) (chain [][]byte) {
	rest := []byte(text)
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return chain
		}
		if !strings.HasSuffix(b.Type, "CERTIFICATE") {
			continue
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return nil
		}
		chain = append(chain, b.Bytes)
	}
}

// pemKey is the first private key in a text.
func pemKey(text string) crypto.Signer {
	rest := []byte(text)
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return nil
		}
		if strings.HasSuffix(b.Type, "PRIVATE KEY") {
			return parseKey(b.Bytes)
		}
	}
}

func parseKey(der []byte) crypto.Signer {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		s, _ := key.(crypto.Signer)
		return s
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	return nil
}

// keyDER is a key in the form of its own kind, if there is one.
func keyDER(key crypto.Signer) (der []byte) {
	switch k := key.(type) {
	case nil:
	case *rsa.PrivateKey:
		der = x509.MarshalPKCS1PrivateKey(k)
	case *ecdsa.PrivateKey:
		der, _ = x509.MarshalECPrivateKey(k)
	default:
		der, _ = x509.MarshalPKCS8PrivateKey(k)
	}
	return der
}

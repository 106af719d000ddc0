package secure

import (
	"crypto/tls"
	"slices"
	"strings"

	"perilune/conf"
)

// cipher is a cipher suite up to TLS 1.2, with the words that choose it in OpenSSL's lists.
type cipher struct {
	id    uint16
	words string
}

// ciphers are those that Go has, in the order that it prefers. Its own preference counts in a handshake, whatever the list says.
var ciphers = []cipher{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE ECDSA AES128 AESGCM SHA256 TLSv1.2 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256 ECDHE aRSA AES128 AESGCM SHA256 TLSv1.2 HIGH"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE ECDSA AES256 AESGCM SHA384 TLSv1.2 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384 ECDHE aRSA AES256 AESGCM SHA384 TLSv1.2 HIGH"},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE ECDSA CHACHA20 SHA256 TLSv1.2 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305 ECDHE aRSA CHACHA20 SHA256 TLSv1.2 HIGH"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA ECDHE ECDSA AES128 SHA1 TLSv1.0 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA ECDHE aRSA AES128 SHA1 TLSv1.0 HIGH"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA ECDHE ECDSA AES256 SHA1 TLSv1.0 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA ECDHE aRSA AES256 SHA1 TLSv1.0 HIGH"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256 ECDHE ECDSA AES128 SHA256 TLSv1.2 HIGH"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256 ECDHE aRSA AES128 SHA256 TLSv1.2 HIGH"},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256 kRSA aRSA AES128 AESGCM SHA256 TLSv1.2 HIGH"},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384 kRSA aRSA AES256 AESGCM SHA384 TLSv1.2 HIGH"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256 kRSA aRSA AES128 SHA256 TLSv1.2 HIGH"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA kRSA aRSA AES128 SHA1 SSLv3 HIGH"},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA kRSA aRSA AES256 SHA1 SSLv3 HIGH"},
}

// sameWords are other names of words in lists.
var sameWords = map[string]string{
	"EECDH": "ECDHE", "kECDHE": "ECDHE", "kEECDH": "ECDHE", "aECDSA": "ECDSA", "SHA": "SHA1", "TLSv1": "TLSv1.0",
}

// has reports whether a word of a list chooses the suite.
func (c *cipher) has(word string) bool {
	if same := sameWords[word]; same != "" {
		word = same
	}
	switch word {
	case "ALL", "DEFAULT", "COMPLEMENTOFDEFAULT":
		return word != "COMPLEMENTOFDEFAULT"
	case "AES":
		return c.has("AES128") || c.has("AES256")
	case "RSA":
		return c.has("kRSA") || c.has("aRSA")
	}
	return slices.Contains(strings.Fields(c.words), word)
}

// cipherSuites are the suites of a list in OpenSSL's language. Words for what Go does not have choose nothing, as words do that
// OpenSSL does not know.
func cipherSuites(list string) ([]uint16, error) {
	chosen, killed := make(map[uint16]bool), make(map[uint16]bool)
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(":,; ", r) }) {
		if item[0] == '@' {
			continue // the order, which is Go's
		}
		op := byte(0)
		if strings.IndexByte("!-+", item[0]) >= 0 {
			op, item = item[0], item[1:]
		}
		for i := range ciphers {
			c := &ciphers[i]
			if !c.all(strings.Split(item, "+")) {
				continue
			}
			switch op {
			case '!':
				killed[c.id] = true
				chosen[c.id] = false
			case '-':
				chosen[c.id] = false
			case 0:
				chosen[c.id] = !killed[c.id]
			}
		}
	}
	var ids []uint16
	for i := range ciphers {
		if chosen[ciphers[i].id] {
			ids = append(ids, ciphers[i].id)
		}
	}
	if len(ids) == 0 {
		return nil, conf.PlainErrorf("SSL_CTX_set_cipher_list(\"%s\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)", list)
	}
	return ids, nil
}

// all reports whether all words choose the suite.
func (c *cipher) all(words []string) bool {
	for _, w := range words {
		if !c.has(w) {
			return false
		}
	}
	return true
}

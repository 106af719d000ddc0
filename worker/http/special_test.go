package http

import (
	"fmt"
	"strings"
	"testing"
)

// TestPagesAsNginx compares every page with nginx's, the product's name aside.
func TestPagesAsNginx(t *testing.T) {
	var config strings.Builder
	statuses := []int{}
	for status := 300; status < 600; status++ {
		if status == 444 || status == 499 || status == 408 || status == 407 {
			continue // no answer at all; the page for 407 is younger than many an nginx
		}
		statuses = append(statuses, status)
		fmt.Fprintf(&config, "location /%d { return %d; }\n", status, status)
	}
	addrs := startNginx(t, "server { LISTEN; server_tokens off;\n"+config.String()+"}")
	for _, status := range statuses {
		for _, padding := range []bool{false, true} {
			agent := ""
			if padding {
				agent = "User-Agent: Chrome/1\r\n"
			}
			_, body := answerOf(t, ask(t, addrs[0], fmt.Sprintf("GET /%d HTTP/1.0\r\n%s\r\n", status, agent)))
			body = strings.ReplaceAll(body, "<center>nginx</center>", "<center>perilune</center>")
			page := pages[pageKey{status, TokensOff, padding && status >= 400}]
			if string(page) != body {
				t.Errorf("%d (padding %v):\n%s\nnginx:\n%s", status, padding, page, body)
			}
		}
	}
}

func TestPageTails(t *testing.T) {
	for tokens, want := range map[TokensMode]string{
		TokensOff: "<hr><center>perilune</center>\r\n", TokensOn: "<hr><center>perilune/0.1.0</center>\r\n",
	} {
		if page := string(pages[pageKey{404, tokens, false}]); !strings.Contains(page, want) {
			t.Errorf("no %q in %q", want, page)
		}
	}
}

func TestShownStatus(t *testing.T) {
	for in, want := range map[int]int{404: 404, 494: 400, 495: 400, 496: 400, 497: 400, 498: 498} {
		if got := shownStatus(in); got != want {
			t.Errorf("%d: %d, want %d", in, got, want)
		}
	}
}

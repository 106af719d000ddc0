package http

import "perilune/conf"

// errorTitles are the texts of the pages that are made for statuses.
var errorTitles = map[int]string{
	301: "301 Moved Permanently",
	302: "302 Found",
	303: "303 See Other",
	307: "307 Temporary Redirect",
	308: "308 Permanent Redirect",
	400: "400 Bad Request",
	401: "401 Authorization Required",
	402: "402 Payment Required",
	403: "403 Forbidden",
	404: "404 Not Found",
	405: "405 Not Allowed",
	406: "406 Not Acceptable",
	407: "407 Proxy Authentication Required",
	408: "408 Request Time-out",
	409: "409 Conflict",
	410: "410 Gone",
	411: "411 Length Required",
	412: "412 Precondition Failed",
	413: "413 Request Entity Too Large",
	414: "414 Request-URI Too Large",
	415: "415 Unsupported Media Type",
	416: "416 Requested Range Not Satisfiable",
	421: "421 Misdirected Request",
	429: "429 Too Many Requests",
	498: "404 Not Found",
	500: "500 Internal Server Error",
	501: "501 Not Implemented",
	502: "502 Bad Gateway",
	503: "503 Service Temporarily Unavailable",
	504: "504 Gateway Time-out",
	505: "505 HTTP Version Not Supported",
	507: "507 Insufficient Storage",
}

// badRequests are the statuses that are shown as 400, with the text that says more.
var badRequests = map[int]string{
	494: "Request Header Or Cookie Too Large",
	495: "The SSL certificate error",
	496: "No required SSL certificate was sent",
	497: "The plain HTTP request was sent to HTTPS port",
}

var (
	serverBuildText = "perilune/" + conf.Version + " (nginx/" + conf.NginxVersion + ")"

	pageTailFull  = "<hr><center>perilune/" + conf.Version + "</center>\r\n</body>\r\n</html>\r\n"
	pageTailBuild = "<hr><center>" + serverBuildText + "</center>\r\n</body>\r\n</html>\r\n"
)

const (
	pageTail = "<hr><center>perilune</center>\r\n</body>\r\n</html>\r\n"

	msiePaddingLine = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
	msiePadding     = msiePaddingLine + msiePaddingLine + msiePaddingLine +
		msiePaddingLine + msiePaddingLine + msiePaddingLine
)

// pageKey says which page is meant.
type pageKey struct {
	status  int
	tokens  TokensMode
	padding bool
}

// pages are all the pages there are, made once.
var pages = makePages()

func makePages() map[pageKey][]byte {
	m := make(map[pageKey][]byte)
	tails := map[TokensMode]string{TokensOff: pageTail, TokensOn: pageTailFull, TokensBuild: pageTailBuild}
	add := func(status int, head string) {
		for tokens, tail := range tails {
			m[pageKey{status, tokens, false}] = []byte(head + tail)
			if status >= 400 {
				m[pageKey{status, tokens, true}] = []byte(head + tail + msiePadding)
			}
		}
	}
	for status, title := range errorTitles {
		add(status, pageHead(title, title, ""))
	}
	for status, text := range badRequests {
		add(status, pageHead("400 "+text, errorTitles[400], "<center>"+text+"</center>\r\n"))
	}
	return m
}

func pageHead(title, heading, more string) string {
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + heading +
		"</h1></center>\r\n" + more
}

// specialPage is the page for a status, nil if there is none: then the response has no body.
func (r *Request) specialPage(status int) []byte {
	tokens := r.Loc.ServerTokens.V
	padding := r.HeadersIn.Browser&(BrowserMSIE|BrowserChrome) != 0 && r.HTTPVersion >= 1000 &&
		status >= 400 && fileConfOf(r).MSIEPadding.V
	return pages[pageKey{status, tokens, padding}]
}

// refreshEscapes are the bytes of a URL that are percent-encoded in a page that refreshes itself.
var refreshEscapes = escapeSet("\"'<>\\^`{|}")

// refreshPage is a page that leads to another URL.
func refreshPage(location string) []byte {
	b := []byte(`<html><head><meta http-equiv="Refresh" content="0; URL=`)
	b = appendEscaped(b, []byte(location), &refreshEscapes)
	return append(b, "\"></head><body></body></html>\r\n"...)
}

// shownStatus is the status that a client sees for one that is nginx's own.
func shownStatus(status int) int {
	if _, found := badRequests[status]; found {
		return 400
	}
	return status
}

// closesConnection tells whether nginx ends keep-alive after a response of the status.
func closesConnection(status int) bool {
	switch status {
	case 400, 413, 414, 495, 496, 497, 500, 501:
		return true
	}
	return false
}

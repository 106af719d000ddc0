package http

import (
	"time"

	"perilune/conf"
	"perilune/logging"
)

// MainConf is the core module's struct of the http block.
type MainConf struct {
	Servers []*SrvConf

	ports    []*port
	handlers [phases][]Handler
	engine   []phaseStep

	headerFilters []func(next HeaderFilter) HeaderFilter
	bodyFilters   []func(next BodyFilter) BodyFilter
	headerFilter  HeaderFilter
	bodyFilter    BodyFilter
}

// AddHandler appends a handler to a phase; for Postconfiguration.
func (m *MainConf) AddHandler(p Phase, h Handler) {
	m.handlers[p] = append(m.handlers[p], h)
}

// AddHeaderFilter puts a filter in front of the header filters there are; for
// Postconfiguration. wrap gets the next filter, which the new one must call.
func (m *MainConf) AddHeaderFilter(wrap func(next HeaderFilter) HeaderFilter) {
	m.headerFilters = append(m.headerFilters, wrap)
}

// AddBodyFilter puts a filter in front of the body filters there are.
func (m *MainConf) AddBodyFilter(wrap func(next BodyFilter) BodyFilter) {
	m.bodyFilters = append(m.bodyFilters, wrap)
}

// SrvConf is the core module's struct of a server block.
type SrvConf struct {
	Ctx   *conf.Ctx // of the server block
	Loc   *LocConf  // of the server block itself
	Name  string    // $server_name: the first of Names as written
	Names []string  // as written in server_name

	ClientHeaderTimeout      conf.Setting[time.Duration]
	ClientHeaderBufferSize   conf.Setting[int64]
	LargeClientHeaderBuffers conf.Setting[conf.Bufs]
	IgnoreInvalidHeaders     conf.Setting[bool]
	MergeSlashes             conf.Setting[bool]
	UnderscoresInHeaders     conf.Setting[bool]

	listens bool // has a listen directive
	file    string
	line    int
}

// LocConf is the core module's struct of a location block, or of the server or
// http block outside of any location.
type LocConf struct {
	Name    string    // of the location
	Ctx     *conf.Ctx // of this block
	Handler Handler   // the content handler that a module's directive has set
	Log     *logging.Log

	Exact, Named, NoRegex, Noname bool
	AutoRedirect                  bool // /x is redirected to /x/

	Internal                 conf.Setting[bool]
	ClientMaxBodySize        conf.Setting[int64]
	ClientBodyBufferSize     conf.Setting[int64]
	ClientBodyTimeout        conf.Setting[time.Duration]
	ClientBodyInFileOnly     conf.Setting[BodyFileMode]
	ClientBodyInSingleBuffer conf.Setting[bool]
	SendTimeout              conf.Setting[time.Duration]
	PostponeOutput           conf.Setting[int64]
	KeepaliveTimeout         conf.Setting[time.Duration]
	KeepaliveHeader          conf.Setting[time.Duration]
	KeepaliveMinTimeout      conf.Setting[time.Duration]
	KeepaliveTime            conf.Setting[time.Duration]
	KeepaliveRequests        conf.Setting[int]
	LingeringClose           conf.Setting[LingeringMode]
	LingeringTime            conf.Setting[time.Duration]
	LingeringTimeout         conf.Setting[time.Duration]
	ResetTimedoutConnection  conf.Setting[bool]
	TCPNodelay, TCPNopush    conf.Setting[bool]
	Sendfile                 conf.Setting[bool]
	AbsoluteRedirect         conf.Setting[bool]
	ServerNameInRedirect     conf.Setting[bool]
	PortInRedirect           conf.Setting[bool]
	LogNotFound              conf.Setting[bool]
	ServerTokens             conf.Setting[TokensMode]
	ChunkedTransferEncoding  conf.Setting[bool]
	DefaultType              conf.Setting[string]
}

// LingeringMode is the value of lingering_close.
type LingeringMode int

// The values of lingering_close.
const (
	LingeringOff LingeringMode = iota
	LingeringOn
	LingeringAlways
)

// TokensMode is the value of server_tokens.
type TokensMode int

// The values of server_tokens.
const (
	TokensOff TokensMode = iota
	TokensOn
	TokensBuild
)

// BodyFileMode is the value of client_body_in_file_only.
type BodyFileMode int

// The values of client_body_in_file_only.
const (
	BodyFileOff BodyFileMode = iota
	BodyFileOn
	BodyFileClean
)

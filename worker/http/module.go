package http

import (
	"time"

	"perilune/conf"
	"perilune/logging"
	"perilune/worker/resolver"
)

// MainConf is the core module's struct of the http block.
type MainConf struct {
	Servers []*SrvConf

	ports         []*port
	handlers      [phases][]Handler
	lastAccess    Handler // behind all others of the access phase, nil if there is none
	engine        []phaseStep
	serverRewrite int // where in engine an internal redirect starts
	rewrite       int // where a named location starts

	subrequestEnds []func(sr *Request)

	hashSizes [6]conf.Setting[int] // of directives that have no meaning here

	statusUsed bool        // there is a stub_status
	status     *statusZone // nil if nobody asks for the counters of all workers

	headerFilters []func(next HeaderFilter) HeaderFilter
	bodyFilters   []func(next BodyFilter) BodyFilter
	headerFilter  HeaderFilter
	bodyFilter    BodyFilter
	postponed     BodyFilter // what is behind the filter that orders the output of subrequests
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
	Name  string    // $server_name: the first name, without a leading dot
	Names []ServerName

	ClientHeaderTimeout      conf.Setting[time.Duration]
	ClientHeaderBufferSize   conf.Setting[int64]
	LargeClientHeaderBuffers conf.Setting[conf.Bufs]
	IgnoreInvalidHeaders     conf.Setting[bool]
	MergeSlashes             conf.Setting[bool]
	UnderscoresInHeaders     conf.Setting[bool]

	connectionPool, requestPool conf.Setting[int64] // without a meaning here

	listens   bool // has a listen directive
	captures  bool // a name is a regular expression with groups
	locations *LocationTree[*LocConf]
}

// LocConf is the core module's struct of a location block, or of the server or
// http block outside of any location.
type LocConf struct {
	Name    string    // of the location
	Ctx     *conf.Ctx // of this block
	Handler Handler   // the content handler that a module's directive has set
	Log     *logging.Log
	Kind    LocationKind
	Regex   *BoundRegex
	Named   bool
	If      bool // of an if block
	// AutoRedirect, set by directives that pass requests on, has /x answered
	// with a redirect to the location /x/.
	AutoRedirect bool

	ErrorLogs                conf.Setting[[]logging.Directive]
	Internal                 conf.Setting[bool]
	ClientMaxBodySize        conf.Setting[int64]
	ClientBodyBufferSize     conf.Setting[int64]
	ClientBodyTimeout        conf.Setting[time.Duration]
	ClientBodyTempPath       conf.Setting[TempPath]
	ClientBodyInFileOnly     conf.Setting[BodyFileMode]
	ClientBodyInSingleBuffer conf.Setting[bool]
	SendTimeout              conf.Setting[time.Duration]
	PostponeOutput           conf.Setting[int64]
	KeepaliveTimeout         conf.Setting[time.Duration]
	KeepaliveHeader          conf.Setting[time.Duration]
	KeepaliveMinTimeout      conf.Setting[time.Duration]
	KeepaliveTime            conf.Setting[time.Duration]
	KeepaliveRequests        conf.Setting[int]
	KeepaliveDisable         conf.Setting[uint]
	LingeringClose           conf.Setting[LingeringMode]
	LingeringTime            conf.Setting[time.Duration]
	LingeringTimeout         conf.Setting[time.Duration]
	ResetTimedoutConnection  conf.Setting[bool]
	TCPNodelay               conf.Setting[bool]
	TCPNopush                conf.Setting[bool]
	Sendfile                 conf.Setting[bool]
	SendfileMaxChunk         conf.Setting[int64]
	OutputBuffers            conf.Setting[conf.Bufs]
	ReadAhead                conf.Setting[int64]
	DisableSymlinks          conf.Setting[symlinksConf]
	OpenFileCache            conf.Setting[*fileCache] // nil: off
	OpenFileCacheValid       conf.Setting[time.Duration]
	OpenFileCacheMinUses     conf.Setting[int]
	OpenFileCacheErrors      conf.Setting[bool]
	LimitRate                conf.Setting[*sizeValue]
	LimitRateAfter           conf.Setting[*sizeValue]
	AbsoluteRedirect         conf.Setting[bool]
	ServerNameInRedirect     conf.Setting[bool]
	PortInRedirect           conf.Setting[bool]
	LogNotFound              conf.Setting[bool]
	LogSubrequest            conf.Setting[bool]
	ServerTokens             conf.Setting[TokensMode]
	ChunkedTransferEncoding  conf.Setting[bool]
	DefaultType              conf.Setting[string]
	Resolver                 conf.Setting[*resolver.Resolver] // nil if there is none
	ResolverTimeout          conf.Setting[time.Duration]

	subrequestBuffer, sendLowat conf.Setting[int64] // without a meaning here
	openFileEvents              conf.Setting[bool]  // likewise

	except    *limitExcept
	exception bool                 // of a limit_except block
	locations []Location[*LocConf] // nested, or of a server, as they were parsed
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

// The values of keepalive_disable.
const (
	disableNone uint = 1 << iota
	disableMSIE6
	disableSafari
)

// TempPath is a directory for temporary files, with how many digits of a
// file's name make the names of the directories below it.
type TempPath struct {
	Dir    string
	Levels []int
}

// mainConfOf is the core module's struct of the http block being parsed.
func mainConfOf(cf *conf.Conf) *MainConf { return cf.Ctx.Main[CoreModule.Index].(*MainConf) }

func srvConfOf(cf *conf.Conf) *SrvConf { return cf.Ctx.Srv[CoreModule.Index].(*SrvConf) }

// locConfOf is the core module's struct of the block being parsed.
func locConfOf(cf *conf.Conf) *LocConf { return cf.Ctx.Loc[CoreModule.Index].(*LocConf) }

// MainConfOf returns the struct through which the module of another package
// adds phase handlers and filters.
func MainConfOf(cf *conf.Conf) *MainConf { return mainConfOf(cf) }

// LocConfOf returns the struct in which the module of another package sets a
// location's content handler.
func LocConfOf(cf *conf.Conf) *LocConf { return locConfOf(cf) }

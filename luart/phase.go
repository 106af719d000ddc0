package luart

// Phase is the phase of a request, or of a worker's life, that Lua code runs in.
// The values are single bits, so that a set of phases is a Phase as well.
type Phase uint32

// The phases, with the bits that ngx_lua shows to Lua code by ngx.get_raw_phase.
const (
	PhaseSet           Phase = 0x0001
	PhaseRewrite       Phase = 0x0002
	PhaseAccess        Phase = 0x0004
	PhaseContent       Phase = 0x0008
	PhaseLog           Phase = 0x0010
	PhaseHeaderFilter  Phase = 0x0020
	PhaseBodyFilter    Phase = 0x0040
	PhaseTimer         Phase = 0x0080
	PhaseInitWorker    Phase = 0x0100
	PhaseBalancer      Phase = 0x0200
	PhaseExitWorker    Phase = 0x2000
	PhaseServerRewrite Phase = 0x8000
	PhasePrecontent    Phase = 0x40000
	// PhaseInit has no request context at all in ngx_lua; its bit is our own.
	PhaseInit Phase = 0x100000
	// phaseSide is the code of ngx.run_worker_thread, outside of the worker's machine.
	phaseSide Phase = 0x200000
)

// Sets of phases that the tables of the API use.
const (
	// PhasesResponse are those whose code may answer the request.
	PhasesResponse  = PhaseServerRewrite | PhaseRewrite | PhaseAccess | PhasePrecontent | PhaseContent
	phasesYieldable = PhasesResponse | PhaseTimer
	phasesRequest   = PhasesResponse | PhaseSet | PhaseHeaderFilter | PhaseBodyFilter | PhaseLog | PhaseBalancer
	// phasesWaiting are those where perilune can wait though ngx_lua cannot.
	phasesWaiting = PhaseSet | PhaseHeaderFilter | PhaseBodyFilter | PhaseLog | PhaseInitWorker
	// phasesThreads are those of them whose code may have light threads.
	phasesThreads = phasesWaiting &^ (PhaseHeaderFilter | PhaseBodyFilter)
	phasesAny     = phasesRequest | PhaseTimer | PhaseInit | PhaseInitWorker | PhaseExitWorker
)

type phaseName struct {
	phase     Phase
	name      string // as ngx.get_phase returns it
	directive string // as messages call it
}

var phaseNames = []phaseName{
	{PhaseInit, "init", "init_by_lua*"},
	{PhaseInitWorker, "init_worker", "init_worker_by_lua*"},
	{PhaseExitWorker, "exit_worker", "exit_worker_by_lua*"},
	{PhaseSet, "set", "set_by_lua*"},
	{PhaseServerRewrite, "server_rewrite", "server_rewrite_by_lua*"},
	{PhaseRewrite, "rewrite", "rewrite_by_lua*"},
	{PhaseAccess, "access", "access_by_lua*"},
	{PhasePrecontent, "precontent", "precontent_by_lua*"},
	{PhaseContent, "content", "content_by_lua*"},
	{PhaseHeaderFilter, "header_filter", "header_filter_by_lua*"},
	{PhaseBodyFilter, "body_filter", "body_filter_by_lua*"},
	{PhaseLog, "log", "log_by_lua*"},
	{PhaseTimer, "timer", "ngx.timer"},
	{PhaseBalancer, "balancer", "balancer_by_lua*"},
}

// String is the phase's name as ngx.get_phase returns it.
func (p Phase) String() string {
	for i := range phaseNames {
		if phaseNames[i].phase == p {
			return phaseNames[i].name
		}
	}
	return "(unknown)"
}

// Directive is the phase's name in messages, such as "content_by_lua*".
func (p Phase) Directive() string {
	for i := range phaseNames {
		if phaseNames[i].phase == p {
			return phaseNames[i].directive
		}
	}
	return "(unknown)"
}

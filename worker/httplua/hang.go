package httplua

import "perilune/worker/http"

// Traceback asks the Lua code that runs where it is; any goroutine may ask. The answer
// may never come. It is nil where there is no Lua code.
func Traceback(srv *http.Server) <-chan string {
	if srv.Cycle().HTTP == nil || mainConfOf(srv).worker == nil {
		return nil
	}
	return mainConfOf(srv).worker.rt.AskTraceback()
}

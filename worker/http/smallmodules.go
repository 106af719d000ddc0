package http

import (
	"strconv"

	"perilune/conf"
)

// smallModule has the content handlers that need no settings.
var smallModule = &conf.Module{Name: "http_small", Kind: conf.HTTPKind}

func init() {
	handler := func(name, doc string, args conf.Args, h Handler) conf.Command {
		return conf.Command{Name: name, Ctx: conf.Location, Args: args, Level: conf.LocConf, Doc: doc,
			Set: func(cf *conf.Conf, _ any) error {
				locConfOf(cf).Handler = h
				return nil
			}}
	}
	status := handler("stub_status", "Answers with the numbers of connections and requests of all workers.", conf.NoArgs|conf.Take1, stubStatusHandler)
	status.Ctx |= conf.Server
	setStatus := status.Set
	status.Set = func(cf *conf.Conf, c any) error {
		mainConfOf(cf).statusUsed = true
		return setStatus(cf, c)
	}
	smallModule.Postconfiguration = needStatus
	smallModule.Commands = []conf.Command{
		status,
		handler("empty_gif", "Answers with a transparent GIF of one pixel.", conf.NoArgs, emptyGIFHandler),
	}
	smallModule.Preconfiguration = func(cf *conf.Conf) error {
		for _, v := range statusVariables {
			if err := AddVariable(cf, v); err != nil {
				return err
			}
		}
		return nil
	}
}

var statusVariables = []Variable{
	{Name: "connections_active", Get: number(func(r *Request) int64 { return int64(r.Server.TotalStats().Active) }), Doc: "client connections of all workers"},
	{Name: "connections_reading", Get: number(func(r *Request) int64 { return int64(r.Server.TotalStats().Reading) }), Doc: "of these, reading a request's header"},
	{Name: "connections_writing", Get: number(func(r *Request) int64 { return int64(r.Server.TotalStats().Writing) }), Doc: "of these, with a request in work"},
	{Name: "connections_waiting", Get: number(func(r *Request) int64 { return int64(r.Server.TotalStats().Waiting) }), Doc: "of these, without a request"},
}

func stubStatusHandler(r *Request) int {
	if r.MethodID&(MethodGet|MethodHead) == 0 {
		return 405
	}
	s := r.Server.TotalStats()
	b := append([]byte(nil), "Active connections: "...)
	b = strconv.AppendInt(b, int64(s.Active), 10)
	b = append(b, " \nserver accepts handled requests\n "...)
	b = append(strconv.AppendUint(b, s.Accepted, 10), ' ')
	b = append(strconv.AppendUint(b, s.Handled, 10), ' ')
	b = strconv.AppendUint(b, s.Requests, 10)
	b = strconv.AppendInt(append(b, " \nReading: "...), int64(s.Reading), 10)
	b = strconv.AppendInt(append(b, " Writing: "...), int64(s.Writing), 10)
	b = strconv.AppendInt(append(b, " Waiting: "...), int64(s.Waiting), 10)
	return r.SendResponse(200, "text/plain", append(b, " \n"...))
}

// emptyGIF is a GIF89a of one pixel, which is transparent.
var emptyGIF = []byte("GIF89a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x01\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02L\x01\x00;")

// emptyGIFTime is the Last-Modified that nginx gives it.
const emptyGIFTime = 23349600

func emptyGIFHandler(r *Request) int {
	if r.MethodID&(MethodGet|MethodHead) == 0 {
		return 405
	}
	r.HeadersOut.LastModified = emptyGIFTime
	return r.SendResponse(200, "image/gif", emptyGIF)
}

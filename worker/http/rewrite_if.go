package http

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"perilune/conf"
	"perilune/logging"
)

// ifStep is an if block.
type ifStep struct {
	cond condition
	loc  *LocConf // the block's settings; nil in a server block, where a location's replace them anyway
	next int      // step behind the block
}

func (s *ifStep) run(r *Request, e *rewriteState, at int) int {
	holds, failed := s.cond.holds(r, e)
	switch {
	case failed:
		return rewriteEnd
	case !holds:
		return s.next
	}
	if s.loc != nil {
		r.useLocation(s.loc)
		r.locationConfig()
	}
	return at + 1
}

// condition is the condition of an if block.
type condition struct {
	ref  *VarRef     // what is tested
	with *Script     // what the variable is compared with, or the path of a file
	re   *BoundRegex // what the variable is matched with
	file byte        // f, d, e, x
	not  bool
}

func setIf(cf *conf.Conf, c any) error {
	rc := c.(*rewriteConf)
	t := rc.target()
	step := &ifStep{}
	if err := step.cond.parse(cf); err != nil {
		return err
	}
	inServer := cf.Ctx == srvConfOf(cf).Ctx
	outer := locConfOf(cf)
	ctx := cf.NewLocation()
	l := ctx.Loc[CoreModule.Index].(*LocConf)
	l.Ctx, l.Name, l.Regex, l.Named, l.If = ctx, outer.Name, outer.Regex, outer.Named, true
	ctx.Loc[rewriteModule.Index].(*rewriteConf).outer = t
	where := conf.ServerIf
	if !inServer {
		step.loc = l
		where = conf.LocationIf
	}
	t.steps = append(t.steps, step)
	if err := cf.ParseBlock(where, ctx); err != nil {
		return err
	}
	step.next = len(t.steps)
	// The block's own struct has no steps: when it is the request's location they are not run again.
	ctx.Loc[rewriteModule.Index].(*rewriteConf).outer = nil
	return nil
}

// parse takes the condition of an if directive apart.
func (c *condition) parse(cf *conf.Conf) error {
	words := append([]string(nil), cf.Args[1:]...)
	if !strings.HasPrefix(words[0], "(") {
		return invalidCondition(words[0])
	}
	if words[0] = words[0][1:]; words[0] == "" {
		words = words[1:]
	}
	if len(words) == 0 {
		return invalidCondition("(")
	}
	last := len(words) - 1
	if !strings.HasSuffix(words[last], ")") {
		return invalidCondition(words[last])
	}
	if words[last] = words[last][:len(words[last])-1]; words[last] == "" {
		words = words[:last]
	}
	switch {
	case len(words) == 0:
		return invalidCondition("")
	case len(words[0]) > 1 && words[0][0] == '$':
		return c.parseVariable(cf, words)
	}
	op := strings.TrimPrefix(words[0], "!")
	if len(op) != 2 || op[0] != '-' || len(words) != 2 || !strings.Contains("fdex", op[1:]) {
		return invalidCondition(words[0])
	}
	c.not, c.file = op != words[0], op[1]
	var err error
	c.with, err = CompileScript(cf, words[1])
	return err
}

func invalidCondition(word string) error { return conf.Errorf("invalid condition \"%s\"", word) }

func (c *condition) parseVariable(cf *conf.Conf, words []string) error {
	if len(words) != 1 && len(words) != 3 {
		return invalidCondition(words[0])
	}
	c.ref = NewVarRef(cf, words[0][1:])
	if len(words) == 1 {
		return nil
	}
	op := strings.TrimPrefix(words[1], "!")
	c.not = op != words[1]
	var err error
	switch op {
	case "=":
		c.with, err = CompileScript(cf, words[2])
	case "~", "~*":
		c.re, err = BindRegex(cf, words[2], op == "~*")
	default:
		return conf.Errorf("unexpected \"%s\" in condition", words[1])
	}
	return err
}

// holds tests the condition.
func (c *condition) holds(r *Request, e *rewriteState) (holds, failed bool) {
	if c.file != 0 {
		e.right = c.with.appendQuoted(r, e.right[:0], e.quote)
		return c.fileHolds(r, e.right) != c.not, false
	}
	value, _ := c.ref.Append(r, e.left[:0])
	e.left = value
	switch {
	case c.re != nil:
		ok, failed := e.match(r, c.re, r.captureSubject(c.re, value))
		return ok != c.not, failed
	case c.with != nil:
		e.right = c.with.appendQuoted(r, e.right[:0], e.quote)
		return bytes.Equal(value, e.right) != c.not, false
	}
	return len(value) > 0 && string(value) != "0", false
}

// captureSubject keeps a text for as long as its captured groups may be used.
func (r *Request) captureSubject(re *BoundRegex, text []byte) []byte {
	if re.Groups == 0 {
		return text
	}
	return r.view(text)
}

func (c *condition) fileHolds(r *Request, path []byte) bool {
	mode, call, err := r.statPath(path)
	switch err {
	case 0:
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG:
		return false
	default:
		r.Log(logging.Crit, "%s \"%s\" failed %s", call, path, logging.ErrnoText(err))
		return false
	}
	kind := mode & unix.S_IFMT
	switch c.file {
	case 'f':
		return kind == unix.S_IFREG
	case 'd':
		return kind == unix.S_IFDIR
	case 'x':
		return mode&unix.S_IXUSR != 0
	}
	return kind == unix.S_IFREG || kind == unix.S_IFDIR
}

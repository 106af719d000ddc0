package regex

// Error is an error in a pattern.
type Error struct {
	Msg    string // PCRE's text
	Offset int    // in the pattern
}

func (e *Error) Error() string { return e.Msg }

// Texts of errors in patterns.
const (
	errEndBackslash   = `\ at end of pattern`
	errEndControl     = `\c at end of pattern`
	errUnknownEscape  = `unrecognized character follows \`
	errQuantOrder     = "numbers out of order in {} quantifier"
	errQuantBig       = "number too big in {} quantifier"
	errClassEnd       = "missing terminating ] for character class"
	errClassEscape    = "invalid escape sequence in character class"
	errClassN         = `\N is not supported in a class`
	errDigits         = `digits missing in \x{} or \o{}`
	errMark           = "(*MARK) must have an argument"
	errRangeOrder     = "range out of order in character class"
	errNoRepeat       = "nothing to repeat"
	errAfterParen     = "unrecognized character after (? or (?-"
	errPosixOutside   = "POSIX named classes are supported only within a class"
	errMissingParen   = "missing )"
	errNoGroup        = "reference to non-existent subpattern"
	errComment        = "missing ) after comment"
	errTooLarge       = "regular expression is too large"
	errUnmatched      = "unmatched parentheses"
	errAfterLess      = "unrecognized character after (?<"
	errLookbehind     = "lookbehind assertion is not fixed length"
	errCondition      = "malformed number or name after (?("
	errBranches       = "conditional group contains more than two branches"
	errAssertion      = "assertion expected after (?( or (?(?C)"
	errRecursion      = "(?R or (?[+-]digits must be followed by )"
	errPosixName      = "unknown POSIX class name"
	errCollating      = "POSIX collating elements are not supported"
	errCharBig        = `character value in \x{} or \o{} is too large`
	errConditionZero  = "invalid condition (?(0)"
	errByteLookbehind = `\C not allowed in lookbehind assertion`
	errCaseEscape     = `PCRE does not support \L, \l, \N{name}, \U, or \u`
	errCalloutBig     = "number after (?C is > 255"
	errCallout        = "closing ) for (?C expected"
	errLeftRecursion  = "recursive call could loop indefinitely"
	errAfterP         = "unrecognized character after (?P"
	errNameEnd        = "syntax error in subpattern name (missing terminator)"
	errNameTwice      = "two named subpatterns have the same name"
	errUTF            = "invalid UTF-8 string"
	errProperty       = `malformed \P or \p sequence`
	errPropertyName   = `unknown property name after \P or \p`
	errNameLong       = "subpattern name is too long (maximum 32 characters)"
	errOctalBig       = `octal value is greater than \377 in 8-bit non-UTF-8 mode`
	errDefine         = "DEFINE group contains more than one branch"
	errG              = `\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number`
	errZero           = "a numbered reference must not be zero"
	errVerbArg        = "an argument is not allowed for (*ACCEPT), (*FAIL), or (*COMMIT)"
	errVerb           = "(*VERB) not recognized or malformed"
	errNumberBig      = "number is too big"
	errNameExpected   = "subpattern name expected"
	errPlusDigit      = "digit expected after (?+"
	errJSBracket      = "] is an invalid data character in JavaScript compatibility mode"
	errOtherName      = "different names for subpatterns of the same number are not allowed"
	errControl        = `\c must be followed by an ASCII character`
	errK              = `\k is not followed by a braced, angle-bracketed, or quoted name`
	errSurrogate      = "disallowed Unicode code point (>= 0xd800 && <= 0xdfff)"
	errHex            = `non-hex character in \x{} (closing brace missing?)`
	errOctal          = `non-octal character in \o{} (closing brace missing?)`
	errOctalBrace     = `missing opening brace after \o`
	errNesting        = "parentheses are too deeply nested"
	errRange          = "invalid range in character class"
	errNameDigit      = "group name must start with a non-digit"
)

// ExecError is a failure of a match, with PCRE's number.
type ExecError int

// What Exec returns besides nil. ErrNoMatch is not a failure.
const (
	ErrNoMatch    ExecError = -1
	ErrMatchLimit ExecError = -8
	ErrBadUTF     ExecError = -10
	ErrBadUTFPos  ExecError = -11
	ErrDFAItem    ExecError = -16
	ErrDFACond    ExecError = -17
	ErrDepth      ExecError = -21
	ErrBadOffset  ExecError = -24
	ErrLoop       ExecError = -26
)

func (e ExecError) Error() string {
	switch e {
	case ErrNoMatch:
		return "no match"
	case ErrMatchLimit:
		return "match limit exceeded"
	case ErrBadUTF, ErrBadUTFPos:
		return "the subject is not valid UTF-8"
	case ErrDFAItem, ErrDFACond:
		return "the pattern cannot be used in DFA mode"
	case ErrBadOffset:
		return "the start is beyond the subject"
	}
	return "recursion too deep"
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// luaCommand is the program lua in a directory that the texts call DIR.
func luaCommand(dir string, env []string, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = exec.Command(binary, append([]string{"lua"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = dir
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// luaFiles makes the scripts that the cases of TestLuaCommand run.
func luaFiles(t *testing.T) (dir string) {
	dir = t.TempDir()
	for name, text := range map[string]string{
		"s.lua":   "#!/usr/bin/env lua\nprint(arg[0]:match('[^/]*$'), arg[1], arg[2], #arg, ...)\nif arg[1] == 'fail' then error('failed') end\n",
		"bad.lua": "x = = 1",
		"mod.lua": "print('mod', ...) return {}",
		"-":       "print('dash')",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLuaCommand(t *testing.T) {
	dir := luaFiles(t)
	const main = "\t[C]: in ?\n"
	for _, tc := range []struct {
		args           []string
		env            string
		stdin          string
		status         int
		stdout, stderr string
	}{
		{args: []string{"-e", "print(1 + 1)"}, stdout: "2\n"},
		{args: []string{"-eprint(3)", "-e", "print(4)"}, stdout: "3\n4\n"},
		{args: []string{"s.lua", "a", "b"}, stdout: "s.lua\ta\tb\t2\ta\tb\n"},
		{args: []string{"-e", "x = 5", "s.lua", "-v"}, stdout: "s.lua\t-v\tnil\t1\t-v\n"},
		{args: []string{"--", "s.lua"}, stdout: "s.lua\tnil\tnil\t0\n"},
		{args: []string{"--", "-"}, stdout: "dash\n"},
		{args: []string{"--"}, stdin: "print(...)", stdout: "\n"},
		{args: []string{"-", "z"}, stdin: "print('in', ...)", stdout: "in\tz\n"},
		{args: nil, stdin: "io.write('x', 1.5, '\\n')", stdout: "x1.5\n"},
		{args: []string{"-e", "print(io.read())", "-"}, stdin: "line\nprint(io.read())", stdout: "line\nnil\n"},
		{args: []string{"-e", "print(arg[-2], arg[-1], arg[0], arg[1])", "-E"}, stdout: "print(arg[-2], arg[-1], arg[0], arg[1])\t-E\tnil\tnil\n"},
		{args: []string{"-lmod", "-l", "mod", "-e", "print(mod)"}, stdout: "mod\tmod\nnil\n"},
		{args: []string{"-l", "mod"}, stdin: "print('in')", stdout: "mod\tmod\nin\n"},
		{args: []string{"-v"}, stdout: "Lua 5.1 (perilune)\n"},
		{args: []string{"-v", "-e", "print(1)"}, stdout: "Lua 5.1 (perilune)\n1\n"},

		{args: []string{"s.lua", "fail"}, status: 1, stdout: "s.lua\tfail\tnil\t1\tfail\n",
			stderr: "lua: s.lua:3: failed\nstack traceback:\n\t[C]: in function 'error'\n\ts.lua:3: in main chunk\n" + main},
		{args: []string{"-e", "error({})", "-e", "print(1)"}, status: 1, stderr: "lua: (error object is not a string)\n"},
		{args: []string{"-e", "error(setmetatable({}, {__tostring = function() return 'text' end}))"}, status: 1,
			stderr: "lua: text\nstack traceback:\n\t[C]: in function 'error'\n\t(command line):1: in main chunk\n" + main},
		{args: []string{"-e", "error()"}, status: 1},
		{args: []string{"-e", "error(7, 0)"}, status: 1, stderr: "lua: 7\nstack traceback:\n\t[C]: in function 'error'\n\t(command line):1: in main chunk\n" + main},
		{args: []string{"bad.lua"}, status: 1, stderr: "lua: bad.lua:1: unexpected symbol near '='\n"},
		{args: []string{"none.lua"}, status: 1, stderr: "lua: cannot open none.lua: No such file or directory\n"},
		{args: []string{"-l", "none"}, env: "LUA_PATH=?.x", status: 1, stderr: "lua: module 'none' not found:\n" +
			"\tno field package.preload['none']\n\tno file 'none.x'\nstack traceback:\n\t[C]: at ADDR\n" + main},
		{args: []string{"-E", "-e", "print(package.path)"}, env: "LUA_PATH=?.x",
			stdout: "./?.lua;/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua\n"},
		{args: []string{"-e", "print(1)"}, env: "LUA_INIT=print('init')", stdout: "init\n1\n"},
		{args: []string{"-e", "print(1)"}, env: "LUA_INIT=@mod.lua", stdout: "mod\n1\n"},
		{args: []string{"-e", "print(1)"}, env: "LUA_INIT=x y", status: 1, stderr: "lua: LUA_INIT:1: '=' expected near 'y'\n"},
		{args: []string{"-E", "-e", "print(1)"}, env: "LUA_INIT=x y", stdout: "1\n"},
		{args: []string{"-x"}, status: 1, stderr: luaUsage},
		{args: []string{"-ix"}, status: 1, stderr: luaUsage},
		{args: []string{"--x"}, status: 1, stderr: luaUsage},
		{args: []string{"-e"}, status: 1, stderr: luaUsage},
		{args: []string{"-l"}, status: 1, stderr: luaUsage},
		{args: []string{"-e", "io.write('buffered') os.exit(3)"}, status: 3, stdout: "buffered"},
		{args: []string{"-e", "os.exit(true)"}, status: 0},
		{args: []string{"-e", "os.exit(false)"}, status: 1},

		{args: []string{"-i", "-e", "y = 3"}, stdin: "x = 1\n=x, y\nfor i = 1, 2 do\nprint(i) end\nerror('a')\nfoo bar\n='a' ..\n'b'\n=io.read()\nhello\nreturn 5\n" +
			"print = nil\n=1\n_PROMPT, _PROMPT2 = 'P ', 'Q '\n\n=(\n1)\nif x", stdout: "Lua 5.1 (perilune)\n> > 1\t3\n> >> 1\n2\n> > > >> ab\n> hello\n> 5\n> > > P P Q P Q \n",
			stderr: "stdin:1: a\nstack traceback:\n\t[C]: in function 'error'\n\tstdin:1: in main chunk\n" + main +
				"stdin:1: '=' expected near 'bar'\nerror calling 'print' (attempt to call a nil value)\nerror calling 'print' (attempt to call a nil value)\n"},
	} {
		var env []string
		if tc.env != "" {
			env = append(env, tc.env)
		}
		cmd, stdout, stderr := luaCommand(dir, env, tc.args...)
		cmd.Stdin = strings.NewReader(tc.stdin)
		err := cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		got := stderr.String()
		if i := strings.Index(got, ": at 0x"); i >= 0 {
			got = got[:i] + ": at ADDR" + got[i+strings.IndexByte(got[i:], '\n'):]
		}
		if status := cmd.ProcessState.ExitCode(); status != tc.status || stdout.String() != tc.stdout || got != tc.stderr {
			t.Errorf("%q: %d\n%s%s", tc.args, status, stdout, got)
		}
	}
}

// TestLuaCommandInterrupted: the first signal ends what runs, with its traceback.
func TestLuaCommandInterrupted(t *testing.T) {
	cmd, _, stderr := luaCommand("", nil, "-e", "print('on') io.stdout:flush() while true do end")
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
	if want := "lua: interrupted!\nstack traceback:\n\t(command line):1: in main chunk\n\t[C]: in ?\n"; cmd.ProcessState.ExitCode() != 1 || stderr.String() != want {
		t.Errorf("%v: %q", cmd.ProcessState, stderr)
	}
}

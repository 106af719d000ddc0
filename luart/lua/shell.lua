-- resty.shell: runs a command, with a text as its input, and returns what it writes.
local pipe = require "ngx.pipe"
local signal = require "resty.signal"

local M = {version = 0.03}

local MOST = 128 * 1024

-- stop ends a program that is of no use any more; the result is err, with what else went wrong.
local function stop(program, err)
	local pid = program:pid()
	if pid then
		local ok, why = signal.kill(pid, "TERM")
		if not ok then
			return tostring(err) .. "; failed to kill process " .. pid .. ": " .. tostring(why)
		end
		ngx.sleep(0.001)
		signal.kill(pid, "KILL")
	end
	return tostring(err)
end

-- collect reads a stream into a table, up to its end or one byte more than allowed; it returns an error's text.
local function collect(program, read, pieces, most)
	local size = 0
	repeat
		local data, err, partial = program[read](program, most - size + 1)
		data = data or partial
		if data then
			pieces[#pieces + 1] = data
			size = size + #data
		end
		if err then
			return err ~= "closed" and err or nil
		end
	until size > most
	return "too much data"
end

function M.run(command, input, timeout, most)
	local program, err = pipe.spawn(command, {buffer_size = 32 * 1024})
	if not program then
		return nil, nil, nil, "failed to spawn: " .. tostring(err)
	end
	program:set_timeouts(timeout, timeout, timeout, timeout)
	local ok = true
	if input and input ~= "" then
		ok, err = program:write(input)
		if not ok then
			return nil, nil, nil, "failed to write to stdin: " .. stop(program, err)
		end
	end
	ok, err = program:shutdown("stdin")
	if not ok then
		return nil, nil, nil, "failed to shutdown stdin: " .. stop(program, err)
	end

	local streams = {stdout = {}, stderr = {}}
	local threads = {}
	for name, pieces in pairs(streams) do
		threads[name] = ngx.thread.spawn(collect, program, name .. "_read_any", pieces, most or MOST)
	end
	local ok, reason, status = program:wait()
	local function failed(text)
		return nil, table.concat(streams.stdout), table.concat(streams.stderr), text
	end
	if ok == nil and reason ~= "exited" then
		return failed("failed to wait for process: " .. stop(program, reason))
	end
	for _, name in ipairs {"stdout", "stderr"} do
		local ended, err = ngx.thread.wait(threads[name])
		if not ended then
			return failed("failed to wait " .. name .. " thread: " .. tostring(err))
		end
		if err then
			return failed("failed to read " .. name .. ": " .. err)
		end
	end
	return ok, table.concat(streams.stdout), table.concat(streams.stderr), reason, status
end

return M

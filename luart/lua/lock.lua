-- resty.lock: locks between all coroutines of all workers, kept in a dictionary
-- of lua_shared_dict.
local shared = ngx.shared
local sleep = ngx.sleep
local min, max = math.min, math.max
local setmetatable = setmetatable

local _M = { _VERSION = "0.09" }
local methods = { __index = _M }

-- The locks that are held, by the proxies of their objects: an object that is
-- lost while it holds its lock gives it up when it is collected.
local held = setmetatable({}, { __mode = "k" })

local function collected(proxy)
    local h = held[proxy]
    if h then
        held[proxy] = nil
        h.dict:delete(h.key)
    end
end

local proxy_base = newproxy(true)
getmetatable(proxy_base).__gc = collected

function _M.new(_, dict_name, opts)
    local dict = shared[dict_name]
    if not dict then
        return nil, "dictionary not found"
    end
    opts = opts or {}
    local exptime = opts.exptime or 30
    local timeout, step = opts.timeout, opts.step
    if timeout then
        timeout = min(timeout, exptime)
        step = step and min(step, timeout)
    end
    return setmetatable({
        dict = dict,
        proxy = newproxy(proxy_base),
        exptime = exptime,
        timeout = timeout or 5,
        step = step or 0.001,
        ratio = opts.ratio or 2,
        max_step = opts.max_step or 0.5,
    }, methods)
end

local function take(self, key)
    local ok, err = self.dict:add(key, true, self.exptime)
    if ok then
        self.key = key
        held[self.proxy] = { dict = self.dict, key = key }
    end
    return ok, err
end

function _M.lock(self, key)
    if not key then
        return nil, "nil key"
    end
    if self.key then
        return nil, "locked"
    end
    local ok, err = take(self, key)
    if ok then
        return 0
    end
    if err ~= "exists" then
        return nil, err
    end
    local step, max_step, left, elapsed = self.step, self.max_step, self.timeout, 0
    while left > 0 do
        sleep(step)
        elapsed = elapsed + step
        left = left - step
        ok, err = take(self, key)
        if ok then
            return elapsed
        end
        if err ~= "exists" then
            return nil, err
        end
        if left <= 0 then
            break
        end
        step = min(max(0.001, step * self.ratio), left, max_step)
    end
    return nil, "timeout"
end

function _M.unlock(self)
    local key = self.key
    if not key then
        return nil, "unlocked"
    end
    self.key = nil
    held[self.proxy] = nil
    local ok, err = self.dict:delete(key)
    if not ok then
        return nil, err
    end
    return 1
end

function _M.expire(self, exptime)
    local key = self.key
    if not key then
        return nil, "unlocked"
    end
    if not exptime then
        exptime = self.exptime
    end
    local ok, err = self.dict:replace(key, true, exptime)
    if not ok then
        return nil, err
    end
    return true
end

return _M

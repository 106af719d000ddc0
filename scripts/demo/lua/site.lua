-- What the pages of the demo site share. A module is loaded once in a worker
-- and its state is common to all requests of that worker.
local _M = {}

local hits = 0

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

function _M.escape(text)
    return (tostring(text):gsub('[&<>"]', entities))
end

function _M.hit()
    hits = hits + 1
    return hits
end

function _M.worker_json()
    ngx.say(string.format('{"worker":%d,"pid":%d,"workers":%d,"requests":%d,"time":%.3f}',
        ngx.worker.id(), ngx.worker.pid(), ngx.worker.count(), _M.hit(), ngx.now()))
end

return _M

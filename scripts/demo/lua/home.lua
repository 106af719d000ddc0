local site = require "site"
local esc = site.escape

local rows = {}
for name, value in pairs(ngx.req.get_headers()) do
    if type(value) == "table" then
        value = table.concat(value, ", ")
    end
    rows[#rows + 1] = "<tr><td>" .. esc(name) .. "</td><td>" .. esc(value) .. "</td></tr>"
end
table.sort(rows)

ngx.say([[
<!DOCTYPE html>
<html lang="en">
<head><title>perilune</title><link rel="stylesheet" href="/static/site.css"></head>
<body>
<h1>perilune</h1>
<p>This page was made by Lua in worker ]], ngx.worker.id(), " (process ", ngx.worker.pid(), [[),
which has answered ]], site.hit(), [[ requests.</p>
<ul>
<li><a href="/hello?name=you">/hello?name=you</a>: Lua in the configuration</li>
<li><a href="/api/worker">/api/worker</a>: JSON</li>
<li><a href="/slow">/slow</a>: five lines, one each half second</li>
<li><a href="/static/about.txt">/static/about.txt</a>: a file</li>
<li><a href="/old">/old</a>: a redirect</li>
<li><code>curl -d text http://127.0.0.1:8080/echo</code></li>
</ul>
<h2>Your request</h2>
<p>]], esc(ngx.var.request_method), " ", esc(ngx.var.request_uri), " from ", esc(ngx.var.remote_addr), [[</p>
<table>]], table.concat(rows, "\n"), [[</table>
</body>
</html>]])

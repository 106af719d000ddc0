local Router = {}
Router.__index = Router
function Router.new() return setmetatable({ root = { children = {} } }, Router) end
function Router:add(method, path, handler)
  local node = self.root
  for part in path:gmatch("[^/]+") do
    if part:sub(1, 1) == ":" then
      node.param = node.param or { name = part:sub(2), node = { children = {} } }
      node = node.param.node
    else
      node.children[part] = node.children[part] or { children = {} }
      node = node.children[part]
    end
  end
  node[method] = handler
end
function Router:match(method, path)
  local node, params = self.root, {}
  for part in path:gmatch("[^/]+") do
    local child = node.children[part]
    if child then node = child
    elseif node.param then params[node.param.name] = part; node = node.param.node
    else return nil end
  end
  return node[method], params
end
local r = Router.new()
local hits = 0
for _, res in ipairs { "users", "posts", "comments", "tags", "files" } do
  r:add("GET", "/api/" .. res, function() hits = hits + 1 end)
  r:add("GET", "/api/" .. res .. "/:id", function(p) hits = hits + #p.id end)
  r:add("POST", "/api/" .. res .. "/:id/items/:item", function(p) hits = hits + #p.item end)
end
local paths = { "/api/users", "/api/posts/42", "/api/tags/7/items/abc", "/nope/1", "/api/files/readme.txt" }
for i = 1, 300000 do
  local p = paths[i % #paths + 1]
  local h, params = r:match(i % 3 == 0 and "POST" or "GET", p)
  if h then h(params) end
end
print(hits)

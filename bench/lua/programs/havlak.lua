-- Loop recognition after Havlak: a control flow graph, depth-first numbering, union-find.
local function graph()
  local g = { succ = {}, pred = {}, n = 0 }
  function g:node() self.n = self.n + 1; self.succ[self.n], self.pred[self.n] = {}, {} return self.n end
  function g:edge(a, b)
    local s, p = self.succ[a], self.pred[b]
    s[#s + 1] = b
    p[#p + 1] = a
  end
  return g
end
local function straight(g, from, n)
  for _ = 1, n do local b = g:node(); g:edge(from, b); from = b end
  return from
end
local function diamond(g, from)
  local l, r, join = g:node(), g:node(), g:node()
  g:edge(from, l); g:edge(from, r); g:edge(l, join); g:edge(r, join)
  return join
end
local function base_loop(g, from)
  local header = straight(g, from, 1)
  local d1 = diamond(g, header)
  local d2 = diamond(g, straight(g, d1, 1))
  local footer = straight(g, d2, 1)
  g:edge(d2, d1); g:edge(d1, header); g:edge(footer, from)
  return straight(g, footer, 1)
end

local UF = {}
UF.__index = UF
function UF:find()
  local root = self
  while root.parent ~= root do root = root.parent end
  local n = self
  while n.parent ~= root do n.parent, n = root, n.parent end
  return root
end

local function find_loops(g, entry)
  local number, nodes, last, count = {}, {}, {}, 0
  local function dfs(b)
    count = count + 1
    local me = count
    number[b] = me
    local u = setmetatable({ block = b, num = me }, UF)
    u.parent = u
    nodes[me] = u
    for _, s in ipairs(g.succ[b]) do if not number[s] then dfs(s) end end
    last[me] = count
  end
  dfs(entry)
  local back, nonback, header, kind = {}, {}, {}, {}
  for w = 1, count do
    back[w], nonback[w], header[w], kind[w] = {}, {}, 1, "nonheader"
    for _, p in ipairs(g.pred[nodes[w].block]) do
      local v = number[p]
      if v then
        if w <= v and v <= last[w] then back[w][#back[w] + 1] = v else nonback[w][v] = true end
      end
    end
  end
  local loops = 0
  for w = count, 1, -1 do
    local pool, seen = {}, {}
    for _, v in ipairs(back[w]) do
      if v == w then kind[w] = "self"
      else
        local r = nodes[v]:find()
        if not seen[r] then seen[r] = true; pool[#pool + 1] = r end
      end
    end
    local work, i = {}, 1
    for k, v in ipairs(pool) do work[k] = v end
    if #pool > 0 then kind[w] = "reducible" end
    while i <= #work do
      local x = work[i]
      i = i + 1
      for y in pairs(nonback[x.num]) do
        local yd = nodes[y]:find()
        if not (w <= yd.num and yd.num <= last[w]) then
          kind[w] = "irreducible"
          nonback[w][yd.num] = true
        elseif yd.num ~= w and not seen[yd] then
          seen[yd] = true
          work[#work + 1] = yd
          pool[#pool + 1] = yd
        end
      end
    end
    if #pool > 0 or kind[w] == "self" then
      loops = loops + 1
      for _, node in ipairs(pool) do
        header[node.num] = w
        node.parent = nodes[w]
      end
    end
  end
  return loops
end

local g = graph()
local entry = g:node()
local n = straight(g, entry, 2)
for _ = 1, 3 do
  n = straight(g, n, 1)
  for _ = 1, 25 do
    local top = n
    n = straight(g, n, 1)
    for _ = 1, 5 do n = base_loop(g, n) end
    local bottom = straight(g, n, 1)
    g:edge(n, top)
    n = bottom
  end
end
local total = 0
for _ = 1, 25 do total = total + find_loops(g, entry) end
print(g.n, total)

local hits, misses, size = 0, 0, 0
local store = {}
local function put(k, v) if store[k] == nil then size = size + 1 end store[k] = v end
local function get(k)
  local v = store[k]
  if v == nil then misses = misses + 1 else hits = hits + 1 end
  return v
end
for i = 1, 4000000 do
  if not get(i % 1000) then put(i % 1000, i) end
end
print(hits, misses, size)

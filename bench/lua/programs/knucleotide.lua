local seed = 42
local function rnd() seed = (seed * 3877 + 29573) % 139968 return seed end
local alphabet, seq = { "a", "c", "g", "t" }, {}
for i = 1, 500000 do seq[i] = alphabet[rnd() % 4 + 1] end
seq = table.concat(seq)
local function count(frame)
  local counts = {}
  for i = 1, #seq - frame + 1 do
    local k = seq:sub(i, i + frame - 1)
    counts[k] = (counts[k] or 0) + 1
  end
  return counts
end
for frame = 1, 6 do
  local keys, c = {}, count(frame)
  for k in pairs(c) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return c[a] > c[b] or c[a] == c[b] and a < b end)
  print(#keys, keys[1], c[keys[1]])
end

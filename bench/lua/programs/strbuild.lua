local parts, out = {}, 0
for round = 1, 12 do
  for i = 1, 20000 do parts[i] = "item" .. i .. "=" .. (i * round) .. ";" end
  local s = table.concat(parts, ",")
  out = out + #s
end
local s = ""
for i = 1, 20000 do s = s .. "x" end
print(out, #s)

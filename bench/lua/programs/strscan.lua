local text = {}
for i = 1, 2000 do text[i] = "key" .. i .. " = value" .. (i * 7) .. "; # comment " .. i end
text = table.concat(text, "\n")
local n, sum = 0, 0
for _ = 1, 40 do
  for k, v in text:gmatch("(%w+)%s*=%s*(%w+);") do n = n + #k; sum = sum + #v end
  for line in text:gmatch("[^\n]+") do
    if line:find("comment 19", 1, true) then n = n + 1 end
    local d = line:match("value(%d+)")
    sum = sum + tonumber(d)
  end
end
print(n, sum)

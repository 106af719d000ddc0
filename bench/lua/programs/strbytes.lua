local h = 0
local s = ("abcdefghijklmnopqrstuvwxyz0123456789"):rep(30)
for _ = 1, 1500 do
  for i = 1, #s do h = (h * 31 + s:byte(i)) % 4294967296 end
end
local out = {}
for i = 1, 300000 do out[#out + 1] = s:sub(i % 1000 + 1, i % 1000 + 5) end
print(h, #table.concat(out))

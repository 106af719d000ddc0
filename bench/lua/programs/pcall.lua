local ok_count, err_count = 0, 0
local function risky(i) if i % 10 == 0 then error("bad " .. i, 0) end return i end
for i = 1, 2000000 do
  local ok = pcall(risky, i)
  if ok then ok_count = ok_count + 1 else err_count = err_count + 1 end
end
local t = setmetatable({}, { __index = function(_, k) error({ key = k }) end })
for i = 1, 200000 do
  local ok, e = pcall(function() return t[i] end)
  if not ok and e.key == i then err_count = err_count + 1 end
end
print(ok_count, err_count)

local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end
local sum = 0
for v in gen(2000000) do sum = sum + v end
for i = 1, 100000 do
  local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
  local _, x = coroutine.resume(co, i)
  local _, y = coroutine.resume(co, x)
  sum = sum + y
end
print(sum)

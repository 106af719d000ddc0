local count
for _ = 1, 8 do
  local composite, limit = {}, 500000
  count = 0
  for i = 2, limit do
    if not composite[i] then
      count = count + 1
      for j = i * i, limit, i do composite[j] = true end
    end
  end
end
print(count)

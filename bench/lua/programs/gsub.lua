local s = ("The quick brown fox jumps over the lazy dog. "):rep(200)
local n = 0
for i = 1, 400 do
  local a, c1 = s:gsub("%w+", function(w) return w:upper() end)
  local b, c2 = a:gsub("[AEIOU]", { A = "4", E = "3", O = "0" })
  local c, c3 = b:gsub("(%a)(%a)", "%2%1")
  n = n + c1 + c2 + c3 + #c
end
print(n)

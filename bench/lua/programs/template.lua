local function compile(text)
  local code = { "local out, n, ctx = {}, 0, ...\n" }
  local pos = 1
  while true do
    local a, b, kind, body = text:find("{([{%%])%s*(.-)%s*[}%%]}", pos)
    local plain = text:sub(pos, (a or 0) - 1)
    if #plain > 0 then code[#code + 1] = string.format("n = n + 1; out[n] = %q\n", plain) end
    if not a then break end
    if kind == "{" then code[#code + 1] = "n = n + 1; out[n] = tostring(" .. body .. ")\n"
    else code[#code + 1] = body .. "\n" end
    pos = b + 1
  end
  code[#code + 1] = "return table.concat(out)"
  return assert(loadstring(table.concat(code), "=template"))
end
local source = [[<h1>{{ ctx.title }}</h1><ul>
{% for i, item in ipairs(ctx.items) do %}<li class="{{ i % 2 == 0 and 'even' or 'odd' }}">{{ item.name:upper() }}: {{ item.price }}</li>
{% end %}</ul>]]
local items = {}
for i = 1, 50 do items[i] = { name = "item" .. i, price = i * 3 } end
local n = 0
for i = 1, 300 do n = n + #compile(source)({ title = "t" .. i, items = { items[1] } }) end
local t = compile(source)
for i = 1, 10000 do n = n + #t({ title = "t" .. i, items = items }) end
print(n)

local Account = {}
Account.__index = Account
function Account.new(b) return setmetatable({ balance = b, ops = 0 }, Account) end
function Account:deposit(v) self.balance = self.balance + v; self.ops = self.ops + 1 end
function Account:withdraw(v)
  if v > self.balance then return false end
  self.balance = self.balance - v
  self.ops = self.ops + 1
  return true
end
local Savings = setmetatable({}, { __index = Account })
Savings.__index = Savings
function Savings.new(b) return setmetatable(Account.new(b), Savings) end
function Savings:interest() self:deposit(self.balance % 3) end
local a = Savings.new(100)
for i = 1, 3000000 do
  a:deposit(i % 10)
  a:withdraw(i % 7)
  if i % 8 == 0 then a:interest() end
end
print(a.balance, a.ops)

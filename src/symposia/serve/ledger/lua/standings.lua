-- asked: {now, keys}; no keys: all there are. Answers {{key, standing or false}, ...}
local keys = asked[2]
if #keys == 0 then keys = redis.call('SMEMBERS', prefix .. 'pools') end
local after = {}
for i, key in ipairs(keys) do
  local window = load(key)
  after[i] = {key, false}
  if window then
    leave(window, math.max(now, window[LATEST]))
    after[i][2] = standing(window)
  end
end
return cmsgpack.pack(after)

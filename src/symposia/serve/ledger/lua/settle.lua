-- asked: {now, id, admitted, {{key, reserved, used}, ...}}; answers {state: open 0, returned 1, neither 2; after, crossed}
local key = prefix .. 'lease:' .. asked[2]
local lease = load(key)
local state = lease and (lease[1] and 0 or 1) or 2
if lease then
  redis.call('DEL', key)
  redis.call('ZREM', prefix .. 'due', asked[2])
end
local after, crossed = {}, {}
for i, held in ipairs(asked[4]) do
  local window = load(held[1])
  crossed[i], after[i] = false, false
  if window then
    leave(window, math.max(now, window[LATEST]))
    if state < 2 then
      crossed[i] = replace(window, asked[3], state == 0 and held[2] or 0, held[3])
      save(held[1], window)
    end
    after[i] = standing(window)
  end
end
return cmsgpack.pack({state, after, crossed})

-- asked: {now, keys}: empty them; what was admitted until now counts no more
for _, key in ipairs(asked[2]) do
  local window = load(key)
  if window then
    local at, shape = math.max(now, window[LATEST]) + 1, span(window)
    window[LATEST], window[ARMED], window[SPANS], window[CELLS] = at, true, {{at, shape[2], shape[3]}}, {}
    save(key, window)
  end
end
return cmsgpack.pack(true)

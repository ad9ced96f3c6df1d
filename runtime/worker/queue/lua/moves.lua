-- What the scripts of workers and of `rsm task` share.
do
  local call, now = Q.call, Q.now

  -- lanes returns the lane of each task, false for the shared one.
  function Q.lanes(k, ids)
    if #ids == 0 or not Q.any(k, 'lane') then return {} end
    return call('HMGET', k.p .. 'lane', unpack(ids))
  end

  -- owned sorts ids by whether the token is theirs: indices, and ids of the others.
  function Q.owned(k, ids, tokens)
    local good, lost = {}, {}
    if #ids == 0 then return good, lost end
    for i, own in ipairs(call('HMGET', k.p .. 'own', unpack(ids))) do
      if own == tokens[i] then good[#good + 1] = i else lost[#lost + 1] = ids[i] end
    end
    return good, lost
  end

  -- leave ends the lease of tasks that a worker has.
  function Q.leave(k, worker, ids)
    if #ids == 0 then return end
    Q.many('ZREM', k.p .. 'lease', ids)
    Q.many('HDEL', k.p .. 'own', ids)
    local list = 'worker_list:' .. worker
    if #ids < 4 then
      for _, id in ipairs(ids) do call('LREM', list, -1, id) end
      return
    end
    -- The list is short: to write it anew costs less than to search it for each.
    local left, gone = {}, {}
    for _, id in ipairs(ids) do gone[id] = true end
    for _, id in ipairs(call('LRANGE', list, 0, -1)) do
      if gone[id] then gone[id] = nil else left[#left + 1] = id end
    end
    call('DEL', list)
    if #left > 0 then Q.many('RPUSH', list, left) end
  end

  -- forget removes every record of tasks that are in no place any more.
  function Q.forget(k, ids)
    if #ids == 0 then return end
    for _, name in ipairs({'m', 'a', 'c', 'err', 'lane'}) do Q.many('HDEL', k.p .. name, ids) end
  end

  function Q.schedule(k, id, at) call('ZADD', k.p .. 'sched', at, id) end

  -- bury makes a task dead.
  function Q.bury(k, id, why)
    call('ZADD', k.p .. 'dead', now, id)
    call('HSET', k.p .. 'err', id, why)
    Q.unlock(k, {id}, 'sdt')
    Q.count(k, 'dead', 1)
    Q.tell(k, 'dead', {id}, 'why', why)
  end

  function Q.owner(token) return (token or ''):match('^(.*)/') or '' end
end

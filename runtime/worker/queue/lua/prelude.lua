-- Scripts on queues begin with this. It defines one local, Q. The clock is that of
-- the server, so that no worker's clock counts.
local Q = {call = redis.call}
do
  local call, floor = redis.call, math.floor
  local clock = call('TIME')
  local now = clock[1] * 1000 + floor(clock[2] / 1000)
  Q.now = now

  -- many gives a command more arguments than unpack takes at once.
  function Q.many(name, key, args)
    for i = 1, #args, 4000 do
      call(name, key, unpack(args, i, math.min(i + 3999, #args)))
    end
  end

  -- wake makes a worker look for tasks, or hear a word.
  function Q.wake(worker, word)
    local key = 'rsm:wake:' .. worker
    if word or call('EXISTS', key) == 0 then
      call('LPUSH', key, word or '')
      call('PEXPIRE', key, 3600000)
    end
  end

  function Q.wake_all()
    for _, worker in ipairs(call('ZRANGEBYSCORE', 'rsm:workers', now - 60000, '+inf')) do
      Q.wake(worker)
    end
  end

  -- open begins to work on a queue. max is how many tasks may wait, 0 for any number.
  function Q.open(name, max)
    local p = 'rsm:{' .. name .. '}:'
    local k = {name = name, p = p, back = {}, added = {}, count = {}}
    k.pending = name == 'default' and 'task_list' or p .. 'pending'
    k.max = tonumber(max) or 0
    return k
  end

  -- admit finds out once per script whether new tasks are taken. It fails before
  -- anything is written when the list is none, as some other program wrote it.
  function Q.admit(k)
    k.admitted = true
    call('LLEN', k.pending)
    k.kept = call('EXISTS', k.p .. 'done') == 1
    if call('GET', k.p .. 'paused') == 'drain' then
      k.refusal = 'draining'
    elseif k.max > 0 then
      local waiting = call('HLEN', k.p .. 'm') - call('ZCARD', k.p .. 'lease') - call('ZCARD', k.p .. 'dead')
      k.room = k.max - math.max(waiting, call('LLEN', k.pending) + call('ZCARD', k.p .. 'sched'))
    end
  end

  -- push puts a task at the back of its line, or at the front. The shared line is
  -- written by close.
  function Q.push(k, id, lane, front)
    if lane then
      local name = lane:gsub('^%+', '')
      front = front or name ~= lane
      call(front and 'RPUSH' or 'LPUSH', k.p .. 'pending:' .. name, id)
      call('ZADD', k.p .. 'lanes', 'NX', now, name)
      k.wake = k.wake or {}
      k.wake[name] = true
    elseif front then
      call('RPUSH', k.pending, id)
    else
      k.back[#k.back + 1] = id
    end
  end

  -- lock takes the unique key of a task: it returns who holds it, or nil.
  function Q.lock(k, id, key, ttl)
    local name = k.p .. 'uk:' .. key
    local holder = call('GET', name)
    if holder then return holder end
    if ttl > 0 then call('SET', name, id, 'PX', ttl) else call('SET', name, id) end
  end

  -- unlock releases the unique keys of tasks whose scope is among scopes: s for
  -- until start, d for until done, t for until the time is over. Only the owner's.
  function Q.unlock(k, ids, scopes, forget)
    if #ids == 0 or call('EXISTS', k.p .. 'u') == 0 then return end
    for i, u in ipairs(call('HMGET', k.p .. 'u', unpack(ids))) do
      local scope, key = (u or ''):match('^(%a):%d+:(.*)$')
      if scope and scopes:find(scope, 1, true) and call('GET', k.p .. 'uk:' .. key) == ids[i] then
        call('DEL', k.p .. 'uk:' .. key)
      end
      if u and forget then call('HDEL', k.p .. 'u', ids[i]) end
    end
  end

  -- enqueue adds a task: "added", "exists" (the same id again), "unique <id of who
  -- has the key>", "full" or "draining".
  function Q.enqueue(k, id, msg, extra)
    if not k.admitted then Q.admit(k) end
    if k.kept and call('ZSCORE', k.p .. 'done', id) then return 'exists' end
    local x = extra ~= '' and cjson.decode(extra)
    if k.refusal or k.room and k.room <= 0 or x and x.u then
      if call('HEXISTS', k.p .. 'm', id) == 1 then return 'exists' end
      if k.refusal then return k.refusal end
      if k.room and k.room <= 0 then return 'full' end
      local holder = Q.lock(k, id, x.u, x.ttl)
      if holder then return holder == id and 'exists' or 'unique ' .. holder end
      call('HSET', k.p .. 'u', id, x.s .. ':' .. x.ttl .. ':' .. x.u)
    end
    if call('HSETNX', k.p .. 'm', id, msg) == 0 then return 'exists' end
    if k.room then k.room = k.room - 1 end
    if x and x.lane then call('HSET', k.p .. 'lane', id, x.lane) end
    local at = x and (x.at or x.delay and now + x.delay) or 0
    if at > now then
      call('ZADD', k.p .. 'sched', at, id)
    else
      Q.push(k, id, x and x.lane)
    end
    k.added[#k.added + 1] = id
    return 'added'
  end

  -- any says whether some of the queue's keys have anything: most have not, and one
  -- question costs less than one for each.
  function Q.any(k, ...)
    local names = {...}
    for i, name in ipairs(names) do names[i] = k.p .. name end
    return call('EXISTS', unpack(names)) > 0
  end

  -- tell writes one entry into the stream of events. Of many ids, it names 16.
  function Q.tell(k, kind, ids, field, value)
    local names = table.concat(ids, ' ', 1, math.min(#ids, 16))
    if field then
      call('XADD', k.p .. 'events', 'MAXLEN', '~', 1000, '*', 'e', kind, 'n', #ids, 'ids', names, field, value)
    else
      call('XADD', k.p .. 'events', 'MAXLEN', '~', 1000, '*', 'e', kind, 'n', #ids, 'ids', names)
    end
  end

  function Q.count(k, what, n)
    k.count[what] = (k.count[what] or 0) + n
  end

  -- feed wakes those that found the queue paused or at its limit.
  function Q.feed(k)
    local hungry = call('SMEMBERS', k.p .. 'hungry')
    if #hungry == 0 then return end
    call('DEL', k.p .. 'hungry')
    for _, worker in ipairs(hungry) do Q.wake(worker) end
  end

  -- close ends the work on a queue: without it, nothing is in the shared line.
  function Q.close(k)
    if #k.back > 0 then Q.many('LPUSH', k.pending, k.back) end
    if #k.added > 0 then
      Q.count(k, 'enqueued', #k.added)
      if Q.any(k, 'watched') then Q.tell(k, 'enqueued', k.added) end
    end
    for what, n in pairs(k.count) do
      if n > 0 then call('HINCRBY', k.p .. 's', floor(now / 86400000) .. ':' .. what, n) end
    end
    local all = false
    for name in pairs(k.wake or {}) do
      if name:sub(1, 1) == '@' then Q.wake(name:sub(2)) else all = true end
    end
    if all then Q.wake_all() end
  end
end

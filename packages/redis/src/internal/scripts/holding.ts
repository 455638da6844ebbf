import { facts, leaseEnd, placing, reading } from "./parts.ts"

const taking = `
-- The entry in the index stays when the run is released, which saves a write. 'retake' removes it.
local function hold(before, owner, fence, ttl)
  redis.call('ZADD', base .. 'held', 0, owner .. '\\0' .. id)
  if before and before ~= owner then redis.call('ZREM', base .. 'held', before .. '\\0' .. id) end
  redis.call('HSET', run, 'owner', owner, 'fence', fence, 'until', ${leaseEnd("ttl")})
end

-- The answer for a run that was acquired or claimed.
local function given(fence)
  local isKept = redis.call('HEXISTS', run, 'input') == 1
  local input = isKept and redis.call('GET', base .. 'input:' .. id)
  -- Redis lost the input. From now on the record says that there is none, so that the run is not opened without it.
  if isKept and not input then redis.call('HDEL', run, 'input') end
  return { id, fence, shown(), input and { input } or {} }
end
`

/**
 * Acquires a run. ARGV: base, id, retention, abandonedAfter, owner, ttl, '1' to steal, this shard's number, the number of
 * shards.
 */
export const acquire = `${reading}${facts}${placing()}${taking}
local known = redis.call('HMGET', run, 'version', 'owner', 'fence', 'until', 'due', 'length', 'incarnations')
if known[1] ~= '2' then return unknown(known[1]) end
if forgotten() then return { 'none' } end
sound(known[6], known[7])
local owner, fence, held = known[2], known[3], holds(known[4])
local own = held and owner == ARGV[5]
if held and not own and ARGV[7] ~= '1' then return { 'leased', owner, known[4] } end

local due = tonumber(known[5] or '')
if not due or due > now then due = now end
if not own then fence = draw(ARGV[8], ARGV[9]) end
redis.call('HSET', run, 'due', text(due))
hold(owner, ARGV[5], fence, ARGV[6])
redis.call('HDEL', run, 'reason', 'parkedAt')
place()
return { 'acquired', given(fence) }
`

/**
 * Claims runs of one shard for a worker. ARGV: base, '', retention, abandonedAfter, owner, ttl, how many, this shard's number,
 * the number of shards, and the agents. Answers in how many milliseconds the next run is due or '', the claimed runs, and the
 * ids of runs that cannot be read.
 */
export const claim = `${reading}${facts}${placing()}${taking}
sweep()
local owner, ttl, most, taken = ARGV[5], ARGV[6], tonumber(ARGV[7]), {}

local function attempted(attempts, fence)
  return string.find(',' .. attempts .. ',', ',' .. fence .. ',', 1, true)
end

-- If the server refuses a command, the whole script fails, not only this run.
local function refuse(failure)
  local told = type(failure) == 'table' and failure.err or tostring(failure)
  for _, code in ipairs({ 'OOM', 'READONLY', 'NOREPLICAS', 'MISCONF', 'NOPERM' }) do
    if string.find(told, code, 1, true) then error(failure, 0) end
  end
end

-- Returns true if the run is not taken and stays among the runs that are due, because a later version wrote it.
local function take(agent)
  local known = redis.call('HMGET', run, 'version', 'agent', 'owner', 'fence', 'until', 'due', 'attempts', 'length',
    'incarnations', 'parkedAt')
  local version, till, due, attempts = known[1], known[5], known[6], known[7]
  if version and version ~= '2' and unknown(version) then return true end
  if known[2] ~= agent or forgotten() then
    redis.call('ZREM', base .. 'work:' .. agent, id)
    return
  end
  local own = holds(till) and known[3] == owner
  if not own and (holds(till) or known[10] or due == '' or number(due) > now) then return place() end
  sound(known[8], known[9])
  local fence = own and known[4] or draw(ARGV[8], ARGV[9])
  hold(known[3], owner, fence, ttl)
  redis.call('HSET', run, 'handled', '1')
  if not attempted(attempts, fence) then
    redis.call('HSET', run, 'attempts', attempts == '' and fence or attempts .. ',' .. fence)
  end
  place()
  taken[#taken + 1] = given(fence)
end

local function retake()
  local known = redis.call('HMGET', run, 'agent', 'owner', 'until')
  if known[1] and known[2] == owner and holds(known[3]) then return take(known[1]) end
  redis.call('ZREM', base .. 'held', owner .. '\\0' .. id)
end

local held = redis.call('ZRANGEBYLEX', base .. 'held', '[' .. owner .. '\\0', '[' .. owner .. '\\0\\255')
for _, entry in ipairs(held) do
  use(string.sub(entry, #owner + 2))
  local sound, failure = pcall(retake)
  if not sound then refuse(failure) end
end

-- The next runs that are due, after the runs of each agent that stay, and whether there may be more.
local stays, kept = {}, 0
local function page()
  local due, full = {}, false
  local wanted = most - #taken + 16
  for i = 10, #ARGV do
    local ids = redis.call('ZRANGEBYSCORE', base .. 'work:' .. ARGV[i], '-inf', now, 'WITHSCORES', 'LIMIT',
      stays[ARGV[i]] or 0, wanted)
    if #ids == wanted * 2 then full = true end
    for j = 1, #ids, 2 do due[#due + 1] = { ids[j], tonumber(ids[j + 1]), ARGV[i] } end
  end
  table.sort(due, function(a, b) return a[2] < b[2] or a[2] == b[2] and a[1] < b[1] end)
  return due, full
end

-- A run that cannot be read must not keep others from being taken. It is tried again later.
local unread = {}
local function try(name, agent)
  use(name)
  local sound, answer = pcall(take, agent)
  if not sound then
    refuse(answer)
    redis.call('ZADD', base .. 'work:' .. agent, now + 60000, id)
    unread[#unread + 1] = id
  elseif answer then
    stays[agent], kept = (stays[agent] or 0) + 1, kept + 1
  end
end

local looked, full, over, more = 0, true, false, false
while full and not over do
  local due
  due, full = page()
  for _, one in ipairs(due) do
    over = #taken >= most or looked >= 1000
    if over then
      -- If all runs that were looked at stay, the next look would find no more.
      more = #taken >= most or kept < looked
      break
    end
    try(one[1], one[3])
    looked = looked + 1
  end
end

local next = more and now
for i = 10, #ARGV do
  local first = redis.call('ZRANGEBYSCORE', base .. 'work:' .. ARGV[i], '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if first[2] and (not next or tonumber(first[2]) < next) then next = tonumber(first[2]) end
end
return { 'claimed', next and text(math.max(0, next - now)) or '', taken, unread }
`

/** Renews a lease. ARGV: base, id, retention, abandonedAfter, fence, ttl, seen. */
export const renew = `${reading}${facts}${placing()}
local known = redis.call('HMGET', run, 'version', 'fence', 'until', 'length')
if known[1] ~= '2' then return unknown(known[1]) end
if known[2] ~= ARGV[5] or not holds(known[3]) then return { 'lost' } end
local answer = since(tonumber(ARGV[7]), number(known[4]))
redis.call('HSET', run, 'until', ${leaseEnd("ARGV[6]")})
place(false, true)
return { 'done', answer }
`

/**
 * Releases a lease. ARGV: base, id, retention, abandonedAfter, fence, seen, due in milliseconds or '' or 'as it is' or 'later',
 * '=' and the reason to park the run or '', what to do with the attempt.
 */
export const release = `${reading}${placing()}
local known = redis.call('HMGET', run, 'version', 'fence', 'attempts', 'length', 'due')
if known[1] ~= '2' then return unknown(known[1]) end
local held, attempts = known[2] == ARGV[5], known[3] or ''
if ARGV[9] == 'reset' and held then
  attempts = ''
elseif ARGV[9] ~= 'keep' then
  local rest = {}
  for fence in string.gmatch(attempts, '%d+') do
    if fence ~= ARGV[5] then rest[#rest + 1] = fence end
  end
  attempts = table.concat(rest, ',')
end
if not held then
  if attempts ~= (known[3] or '') then redis.call('HSET', run, 'attempts', attempts) end
  return { 'done' }
end

local unseen = number(known[4]) > tonumber(ARGV[6])
local due = ARGV[7]
if due == 'as it is' then
  due = known[5] or ''
elseif due == 'later' then
  due = text(now + 60000)
elseif unseen then
  due = text(now)
elseif due ~= '' then
  due = text(now + due)
end
redis.call('HDEL', run, 'fence', 'until', 'reason', 'parkedAt')
redis.call('HSET', run, 'attempts', attempts, 'due', due, 'updatedAt', now)
if ARGV[8] ~= '' and not unseen then
  redis.call('HSET', run, 'reason', string.sub(ARGV[8], 2), 'parkedAt', now)
end
place(true)
return { 'done' }
`

// A run is a hash and a list. The hash holds what a record does, under these names, and `stage`; a lease that is not held
// has no fields. `token` and `run` are JSON, `signals` is JSON without the brackets of its array, and `signal:Cancel`
// says that this one is among them. The list is the journal: an element is what one commit added, as a JSON array.
//
//   {baton:3}:run:<id>  {baton:3}:journal:<id>
//   {baton:3}:runs, {baton:3}:unfinished, {baton:3}:set aside, {baton:3}:finished   ids by time of creation
//   {baton:3}:ends      ids of finished runs by the time at which they are forgotten
//   {baton:3}:fence     the last fence that was given
//
// A later version may store what it likes, as long as `version` says so: then nothing of the run is touched. Replies are
// lists of texts whose first says what they are, as clients differ in what they make of numbers. Numbers become texts by
// `%.0f`, as Lua would round them to 14 digits. A script's first write is one that a full server refuses.

const time = `
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)

local function text(number) return string.format('%.0f', number) end
local function number(text) return tonumber(text) or error('CORRUPT') end
local function holds(till) return till and now < number(till) end

local function shown(run, journal)
  return {
    holds(redis.call('HGET', run, 'until')) and '1' or '0',
    redis.call('HGETALL', run),
    redis.call('LRANGE', journal, 0, -1)
  }
end
`

const one = `${time}
local run, journal, fences, runs, ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local stages = { unfinished = KEYS[6], ['set aside'] = KEYS[7], finished = KEYS[8] }
local id = ARGV[1]

local function unknown(version)
  if version then return number(version) > 1 and { 'newer', version } or error('CORRUPT') end
  if redis.call('EXISTS', run) == 1 then error('CORRUPT') end
  return { 'none' }
end

-- A lease ends at a whole millisecond, never before its time.
local function leaseEnd(ttl) return text(math.ceil(micros / 1000) + ttl) end

local function forget(id)
  redis.call('ZREM', runs, id)
  redis.call('ZREM', ends, id)
  for _, index in pairs(stages) do redis.call('ZREM', index, id) end
end

-- Redis has let go of these runs: a few at a time, so that no operation takes long.
local function sweep()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', text(now - 1000), 'LIMIT', 0, 16)) do forget(id) end
end
`

/** ARGV: id, run, agent, token. */
export const create = `${one}
local version = redis.call('HGET', run, 'version')
if version == '1' then return { 'found', shown(run, journal) } end
local other = unknown(version)
if other[1] ~= 'none' then return other end

redis.call('HSET', run, 'version', '1', 'run', ARGV[2], 'agent', ARGV[3], 'token', ARGV[4], 'status', 'queued',
  'stage', 'unfinished', 'ordinal', '0', 'signals', '', 'attempts', '0', 'createdAt', text(now), 'updatedAt', text(now))
redis.call('DEL', journal)
forget(id)
redis.call('ZADD', runs, text(now), id)
redis.call('ZADD', stages.unfinished, text(now), id)
sweep()
return { 'created', shown(run, journal) }
`

/** ARGV: id. */
export const read = `${one}
local version = redis.call('HGET', run, 'version')
if version ~= '1' then return unknown(version) end
return { 'found', shown(run, journal) }
`

/** ARGV: id, owner, ttl, take over. */
export const acquire = `${one}
local known = redis.call('HMGET', run, 'version', 'owner', 'fence', 'until')
if known[1] ~= '1' then return unknown(known[1]) end
local owner, fence, held = known[2], known[3], holds(known[4])
if held and owner ~= ARGV[2] and ARGV[4] ~= '1' then return { 'leased', owner, known[4] } end
if not held or owner ~= ARGV[2] then
  fence = text(math.max(micros, number(redis.call('GET', fences) or '0') + 1))
  redis.call('SET', fences, fence)
end
redis.call('HSET', run, 'owner', ARGV[2], 'fence', fence, 'until', leaseEnd(ARGV[3]))
return { 'acquired', fence, shown(run, journal) }
`

/** ARGV: id, fence, ttl. */
export const renew = `${one}
local known = redis.call('HMGET', run, 'version', 'fence', 'until')
if known[1] ~= '1' then return unknown(known[1]) end
if known[2] ~= ARGV[2] or not holds(known[3]) then return { 'lost' } end
redis.call('HSET', run, 'until', leaseEnd(ARGV[3]))
return { 'done' }
`

/** ARGV: id, fence. */
export const release = `${one}
local known = redis.call('HMGET', run, 'version', 'fence')
if known[1] ~= '1' then return unknown(known[1]) end
if known[2] == ARGV[2] then redis.call('HDEL', run, 'owner', 'fence', 'until') end
return { 'done' }
`

/**
 * ARGV: id, fence, ordinal, token, status, journal or '', attempts or '', '=' and the reason to set aside or '-' for
 * none or '' to keep it, retention or ''.
 */
export const commit = `${one}
local known = redis.call('HMGET', run, 'version', 'fence', 'until', 'ordinal', 'signals', 'stage', 'asideAt')
if known[1] ~= '1' then return unknown(known[1]) end
if known[2] ~= ARGV[2] or not holds(known[3]) then return { 'lost' } end
if tonumber(ARGV[3]) <= number(known[4]) then return { 'done', known[5] } end

local aside = ARGV[8] == '' and known[7] or ARGV[8] ~= '' and ARGV[8] ~= '-'
local stage = ARGV[4] == 'null' and 'finished' or aside and 'set aside' or 'unfinished'
local createdAt = stage ~= known[6] and text(number(redis.call('HGET', run, 'createdAt')))

redis.call('HSET', run, 'ordinal', ARGV[3], 'token', ARGV[4], 'status', ARGV[5], 'updatedAt', text(now))
if ARGV[6] ~= '' then redis.call('RPUSH', journal, ARGV[6]) end
if ARGV[7] ~= '' then redis.call('HSET', run, 'attempts', ARGV[7]) end
if ARGV[8] == '-' then
  redis.call('HDEL', run, 'reason', 'asideAt')
elseif ARGV[8] ~= '' then
  redis.call('HSET', run, 'reason', string.sub(ARGV[8], 2), 'asideAt', text(now))
end
if createdAt then
  redis.call('HSET', run, 'stage', stage)
  for _, index in pairs(stages) do redis.call('ZREM', index, id) end
  redis.call('ZADD', stages[stage], createdAt, id)
  if known[6] == 'finished' then
    redis.call('ZREM', ends, id)
    redis.call('PERSIST', run)
    redis.call('PERSIST', journal)
  end
end
if stage == 'finished' then
  if ARGV[9] ~= '' then
    local last = text(now + ARGV[9])
    redis.call('ZADD', ends, last, id)
    redis.call('PEXPIREAT', run, last)
    redis.call('PEXPIREAT', journal, last)
  end
  sweep()
end
return { 'done', known[5] }
`

/** ARGV: id, name of the signal, signal. */
export const signal = `${one}
local known = redis.call('HMGET', run, 'version', 'signals')
if known[1] ~= '1' then return unknown(known[1]) end
if redis.call('HSETNX', run, 'signal:' .. ARGV[2], '1') == 1 then
  local signals = (known[2] or '') == '' and ARGV[3] or known[2] .. ',' .. ARGV[3]
  redis.call('HSET', run, 'signals', signals, 'updatedAt', text(now))
end
return { 'done' }
`

/** ARGV: id. */
export const remove = `${one}
local version = redis.call('HGET', run, 'version')
if version and (tonumber(version) or 0) > 1 then return { 'newer', version } end
redis.call('DEL', run, journal)
forget(id)
return { 'done' }
`

/**
 * One look at a part of one index. KEYS: the index that is read, then all of the shard. ARGV: what the shard's keys begin
 * with; the time and the id after which to begin, or ''; how many runs to find; the statuses between commas, or ''; '='
 * and the agent, or ''; whether only unleased runs. Answers whether the end was reached, how far it came, and the runs.
 */
export const list = `${time}
local index, base = KEYS[1], ARGV[1]
local from, past, wanted = ARGV[2], ARGV[3], tonumber(ARGV[4])
local most = 1000

-- Lua would compare as the server's language does.
local function after(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

-- Nothing where the run is not asked for, false where it is gone.
local function look(id)
  local run = base .. 'run:' .. id
  local known = redis.call('HMGET', run, 'version', 'status', 'agent', 'until')
  if not known[1] and redis.call('EXISTS', run) == 0 then return false end
  if known[1] and known[1] ~= '1' and number(known[1]) > 1 then return end
  if known[1] ~= '1' or not known[2] or not known[3] then error('CORRUPT') end
  if ARGV[5] ~= '' and not string.find(ARGV[5], ',' .. known[2] .. ',', 1, true) then return end
  if ARGV[6] ~= '' and ARGV[6] ~= '=' .. known[3] then return end
  if ARGV[7] == '1' and holds(known[4]) then return end
  return { id, shown(run, base .. 'journal:' .. id) }
end

local rank = from == '' and 0 or redis.call('ZCOUNT', index, '-inf', '(' .. from)
local at, last, over = from, past, '0'
local found, gone, looked = {}, {}, 0
while over == '0' and #found < wanted and looked < most do
  local members = redis.call('ZRANGE', index, rank, rank + math.max(16, wanted - #found) - 1, 'WITHSCORES')
  if #members == 0 then over = '1' end
  for i = 1, #members, 2 do
    if #found == wanted then break end
    local id, score = members[i], members[i + 1]
    rank = rank + 1
    looked = looked + 1
    if from == '' or tonumber(score) > tonumber(from) or after(id, past) then
      at, last = score, id
      -- One run that cannot be read hides no other.
      local sound, run = pcall(look, id)
      if not sound then
        found[#found + 1] = { id }
      elseif run then
        found[#found + 1] = run
      elseif run == false then
        gone[#gone + 1] = id
      end
    end
  end
end
-- On a server that takes no writes they stay, and are passed over.
for _, id in ipairs(gone) do
  for _, key in ipairs(KEYS) do redis.pcall('ZREM', key, id) end
end
return { over, at, last, found }
`

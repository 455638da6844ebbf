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
// lists of texts whose first says what they are, as clients differ in what they make of numbers. Where Lua makes a text
// of a number it rounds it to 14 digits, so that `%.0f` does it. A script's first write is one that a full server refuses.
// `base` is what all keys of a shard begin with.

const time = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

const reading = `${time}
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

const one = `
local run, journal, base, id = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

local function unknown(version)
  if version then return (tonumber(version) or error('CORRUPT')) > 1 and { 'newer' } or error('CORRUPT') end
  if redis.call('EXISTS', run) == 1 then error('CORRUPT') end
  return { 'none' }
end
`

// A lease ends at a whole millisecond, never before its time.
const leaseEnd = (ttl: string) => `text(time[1] * 1000 + math.ceil(time[2] / 1000) + ${ttl})`

const indexing = `
local stages = { unfinished = base .. 'unfinished', ['set aside'] = base .. 'set aside', finished = base .. 'finished' }

local function forget(id)
  redis.call('ZREM', base .. 'runs', id)
  redis.call('ZREM', base .. 'ends', id)
  for _, index in pairs(stages) do redis.call('ZREM', index, id) end
end

-- Redis has let go of these runs: a few at a time, so that no operation takes long.
local function sweep()
  local past = redis.call('ZRANGEBYSCORE', base .. 'ends', '-inf', now - 1000, 'LIMIT', 0, 16)
  for _, id in ipairs(past) do forget(id) end
end
`

/** ARGV: base, id, run, agent, token. */
export const create = `${reading}${one}${indexing}
local version = redis.call('HGET', run, 'version')
if version == '1' then return { 'found', shown(run, journal) } end
local other = unknown(version)
if other[1] ~= 'none' then return other end

redis.call('HSET', run, 'version', '1', 'run', ARGV[3], 'agent', ARGV[4], 'token', ARGV[5], 'status', 'queued',
  'stage', 'unfinished', 'ordinal', '0', 'signals', '', 'attempts', '0', 'createdAt', text(now), 'updatedAt', text(now))
redis.call('DEL', journal)
forget(id)
redis.call('ZADD', base .. 'runs', now, id)
redis.call('ZADD', stages.unfinished, now, id)
sweep()
return { 'created', shown(run, journal) }
`

/** ARGV: base, id. */
export const read = `${reading}${one}
local version = redis.call('HGET', run, 'version')
if version ~= '1' then return unknown(version) end
return { 'found', shown(run, journal) }
`

/** ARGV: base, id, owner, ttl, take over. */
export const acquire = `${reading}${one}
local known = redis.call('HMGET', run, 'version', 'owner', 'fence', 'until')
if known[1] ~= '1' then return unknown(known[1]) end
local owner, fence, held = known[2], known[3], holds(known[4])
if held and owner ~= ARGV[3] and ARGV[5] ~= '1' then return { 'leased', owner, known[4] } end
if not held or owner ~= ARGV[3] then
  local last = redis.call('GET', base .. 'fence') or '0'
  fence = text(math.max(time[1] * 1000000 + time[2], number(last) + 1))
  redis.call('SET', base .. 'fence', fence)
end
redis.call('HSET', run, 'owner', ARGV[3], 'fence', fence, 'until', ${leaseEnd("ARGV[4]")})
return { 'acquired', fence, shown(run, journal) }
`

/** ARGV: base, id, fence, ttl. */
export const renew = `${reading}${one}
local known = redis.call('HMGET', run, 'version', 'fence', 'until')
if known[1] ~= '1' then return unknown(known[1]) end
if known[2] ~= ARGV[3] or not holds(known[3]) then return { 'lost' } end
redis.call('HSET', run, 'until', ${leaseEnd("ARGV[4]")})
return { 'done' }
`

/** ARGV: base, id, fence. */
export const release = `${one}
local known = redis.call('HMGET', run, 'version', 'fence')
if known[1] ~= '1' then return unknown(known[1]) end
if known[2] == ARGV[3] then redis.call('HDEL', run, 'owner', 'fence', 'until') end
return { 'done' }
`

/**
 * ARGV: base, id, fence, ordinal, token, status, then what most commits leave out: journal or '', attempts or '', '='
 * and the reason to set aside or '-' for none or '' to keep it, retention or ''.
 */
export const commit = `${time}
local run = KEYS[1]
local known = redis.call('HMGET', run, 'version', 'fence', 'until', 'ordinal', 'signals', 'stage', 'asideAt')
local till, ordinal = tonumber(known[3] or '0'), tonumber(known[4])
if known[1] == '1' and known[2] == ARGV[3] and till and now < till and ordinal then
  if tonumber(ARGV[4]) <= ordinal then return { 'done', known[5] } end
  -- Most commits move an unfinished run on, and nothing else.
  if known[6] == 'unfinished' and ARGV[5] ~= 'null' and #ARGV == 6 then
    redis.call('HSET', run, 'ordinal', ARGV[4], 'token', ARGV[5], 'status', ARGV[6], 'updatedAt', now)
    return { 'done', known[5] }
  end
end
${one}
if known[1] ~= '1' then return unknown(known[1]) end
if not till or not ordinal then error('CORRUPT') end
if known[2] ~= ARGV[3] or now >= till then return { 'lost' } end
${indexing}
local aside = known[7]
if ARGV[9] == '-' then aside = false elseif (ARGV[9] or '') ~= '' then aside = true end
local stage = ARGV[5] == 'null' and 'finished' or aside and 'set aside' or 'unfinished'
local createdAt = redis.call('HGET', run, 'createdAt')
if not tonumber(createdAt) then error('CORRUPT') end

redis.call('HSET', run, 'ordinal', ARGV[4], 'token', ARGV[5], 'status', ARGV[6], 'stage', stage, 'updatedAt', now)
if (ARGV[7] or '') ~= '' then redis.call('RPUSH', journal, ARGV[7]) end
if (ARGV[8] or '') ~= '' then redis.call('HSET', run, 'attempts', ARGV[8]) end
if ARGV[9] == '-' then
  redis.call('HDEL', run, 'reason', 'asideAt')
elseif aside and (ARGV[9] or '') ~= '' then
  redis.call('HSET', run, 'reason', string.sub(ARGV[9], 2), 'asideAt', now)
end
if stage ~= known[6] then
  for _, index in pairs(stages) do redis.call('ZREM', index, id) end
  redis.call('ZADD', stages[stage], createdAt, id)
  if known[6] == 'finished' then
    redis.call('ZREM', base .. 'ends', id)
    redis.call('PERSIST', run)
    redis.call('PERSIST', journal)
  end
end
if stage == 'finished' then
  if (ARGV[10] or '') ~= '' then
    local last = now + ARGV[10]
    redis.call('ZADD', base .. 'ends', last, id)
    redis.call('PEXPIREAT', run, last)
    redis.call('PEXPIREAT', journal, last)
  end
  sweep()
end
return { 'done', known[5] }
`

/** ARGV: base, id, name of the signal, signal. */
export const signal = `${time}${one}
local known = redis.call('HMGET', run, 'version', 'signals')
if known[1] ~= '1' then return unknown(known[1]) end
if redis.call('HSETNX', run, 'signal:' .. ARGV[3], '1') == 1 then
  local signals = (known[2] or '') == '' and ARGV[4] or known[2] .. ',' .. ARGV[4]
  redis.call('HSET', run, 'signals', signals, 'updatedAt', now)
end
return { 'done' }
`

/** ARGV: base, id. */
export const remove = `${time}${one}${indexing}
local version = redis.call('HGET', run, 'version')
if version and (tonumber(version) or 0) > 1 then return { 'newer' } end
redis.call('DEL', run, journal)
forget(id)
return { 'done' }
`

/**
 * One look at a part of one index. KEYS: the index that is read. ARGV: base; the time and the id after which to begin, or ''; how many runs to find; the statuses between commas, or ''; '='
 * and the agent, or ''; whether only unleased runs. Answers whether the end was reached, how far it came, and the runs.
 */
export const list = `${reading}
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
  for _, name in ipairs({ 'runs', 'ends', 'unfinished', 'set aside', 'finished' }) do
    redis.pcall('ZREM', base .. name, id)
  end
end
return { over, at, last, found }
`

/** KEYS: where a namespace says how many shards it has. ARGV: how many this store has. */
export const layout = `
if redis.call('SETNX', KEYS[1], ARGV[1]) == 1 then return { 'done' } end
local known = redis.call('GET', KEYS[1])
return { known == ARGV[1] and 'done' or 'other', known }
`

// A run is a hash, a list and a set.
//
//   {baton:3}:run:<id>      version, run, agent, incarnation, incarnations, position, ordinal, handled, attempts, reason,
//                           parkedAt, due, owner, fence, until, length, createdAt, updatedAt
//   {baton:3}:journal:<id>  the journal: a fact is `<at>|<JSON>`
//   {baton:3}:keys:<id>     the keys of the facts in the journal
//
// The hash holds what a record does. `run` and `position` are JSON; an empty `position` is the one before the first update.
// `incarnations` are all that the run had, between commas, the last one in force. `attempts` are fences between commas.
// Without `due`, or if it is empty, the run is not work. `length` is that of the journal: if the list or the set has another
// one, Redis lost it, and the run is not what Baton wrote. A run that was never parked or held lacks those fields.
//
//   {baton:3}:runs       ids by time of creation
//   {baton:3}:parked     ids of parked runs by time of creation
//   {baton:3}:work       ids of runs that nobody holds, by when they are due
//   {baton:3}:held       ids of runs that somebody holds, by when the lease ends: then a look at `work` moves them there
//   {baton:3}:ends       ids of runs that are over by the time at which they are forgotten
//   {baton:3}:responses  `<response id>\0<run id>`
//   {baton:3}:fence      the last fence or incarnation that was given
//
// Lua knows nothing of facts but three things that their keys tell: which response was accepted, that the run is over, and
// that it was retried. Redis forgets the hash and the list of a run that is over by itself; its set is there until the
// indexes are swept, as it tells which responses were the run's.
//
// A later version may store what it likes, as long as `version` says so: then nothing of the run is touched. Replies are
// lists of texts whose first says what they are, as clients differ in what they make of numbers. Where Lua makes a text
// of a number it rounds it to 14 digits, so that `%.0f` does it. A script's first write is one that a full server refuses,
// so that it does all or nothing; only `release` and `remove` work on a full server.
// `base` is what all keys of a shard begin with.

export const time = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

export const reading = `${time}
local function text(number) return string.format('%.0f', number) end
local function number(text) return tonumber(text) or error('CORRUPT') end
local function holds(till) return till and now < number(till) end

local function shown(run, journal, keys)
  local known = redis.call('HMGET', run, 'length', 'until')
  local list = redis.call('LRANGE', journal, 0, -1)
  if number(known[1]) ~= #list or redis.call('SCARD', keys) ~= #list then error('CORRUPT') end
  return { holds(known[2]) and '1' or '0', redis.call('HGETALL', run), list }
end
`

export const one = `
local run, journal, keys, base, id = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]

local function unknown(version)
  if version then return (tonumber(version) or error('CORRUPT')) > 2 and { 'newer' } or error('CORRUPT') end
  if redis.call('EXISTS', run) == 1 then error('CORRUPT') end
  return { 'none' }
end
`

export const facts = `
local function since(seen, length)
  if length <= seen then return {} end
  local list = redis.call('LRANGE', journal, seen, -1)
  if #list ~= length - seen then error('CORRUPT') end
  return list
end

-- Fails before anything is written.
local function sound(length, incarnations)
  length = number(length)
  if not string.find(incarnations or '', '^,.*%d,$') then error('CORRUPT') end
  if redis.call('LLEN', journal) ~= length or redis.call('SCARD', keys) ~= length then error('CORRUPT') end
  return length
end
`

// A lease ends at a whole millisecond, never before its time.
export const leaseEnd = (ttl: string) => `text(time[1] * 1000 + math.ceil(time[2] / 1000) + ${ttl})`

// `call` is `redis.pcall` if the server may take no writes.
export const forgetting = `
local function forget(id, call)
  local keys = base .. 'keys:' .. id
  local known = call('SMEMBERS', keys)
  for _, key in ipairs(known) do
    local response = string.match(key, '^Accepted (.*)$')
    if response then call('ZREM', base .. 'responses', response .. '\\0' .. id) end
  end
  call('DEL', keys)
  for _, index in ipairs({ 'runs', 'parked', 'work', 'held', 'ends' }) do call('ZREM', base .. index, id) end
end
`

export const writing = `${forgetting}
-- Redis has let go of these runs: a few at a time, so that no operation takes long.
local function sweep()
  local past = redis.call('ZRANGEBYSCORE', base .. 'ends', '-inf', now - 1000, 'LIMIT', 0, 16)
  for _, id in ipairs(past) do
    if redis.call('EXISTS', base .. 'run:' .. id) == 1 then
      redis.call('ZREM', base .. 'ends', id)
    else
      forget(id, redis.call)
    end
  end
end

-- No other shard gives the same.
local function draw(shard, shards)
  local last = redis.call('GET', base .. 'fence') or '0'
  local least = math.max(time[1] * 1000000 + time[2], number(last) + 1)
  local fence = text(least + (shard - least) % shards)
  redis.call('SET', base .. 'fence', fence)
  return fence
end

local function place(due, till)
  if till then
    redis.call('ZADD', base .. 'held', till, id)
    redis.call('ZREM', base .. 'work', id)
  elseif due ~= '' then
    redis.call('ZADD', base .. 'work', due, id)
    redis.call('ZREM', base .. 'held', id)
  else
    redis.call('ZREM', base .. 'work', id)
    redis.call('ZREM', base .. 'held', id)
  end
end

local function resume()
  if redis.call('HDEL', run, 'reason', 'parkedAt') > 0 then redis.call('ZREM', base .. 'parked', id) end
end

local function of(incarnations, incarnation)
  return string.find(incarnations or '', ',' .. incarnation .. ',', 1, true)
end

-- A run that is over, and of which its consumer knows that or nobody promised it, is kept for its time from now on.
local function settle(incarnations, retention)
  local incarnation = string.match(incarnations, '(%d+),$')
  local over = redis.call('SISMEMBER', keys, incarnation .. ' Ended') == 1 and
    (redis.call('HGET', run, 'handled') ~= '1' or redis.call('SISMEMBER', keys, incarnation .. ' Delivered') == 1)
  if over and retention ~= '' then
    redis.call('ZADD', base .. 'ends', now + retention, id)
    redis.call('PEXPIRE', run, retention)
    redis.call('PEXPIRE', journal, retention)
  elseif not over then
    redis.call('ZREM', base .. 'ends', id)
    redis.call('PERSIST', run)
    redis.call('PERSIST', journal)
  end
  sweep()
end

-- The facts of the arguments from here on that the journal does not have.
local function unheard(first)
  local fresh, given = {}, {}
  for i = first, #ARGV, 2 do
    local key = ARGV[i]
    if not given[key] and redis.call('SISMEMBER', keys, key) == 0 then fresh[#fresh + 1] = { key, ARGV[i + 1] } end
    given[key] = true
  end
  return fresh
end

local function add(fresh, length, incarnations, retention)
  local known, settles = incarnations, false
  for _, fact in ipairs(fresh) do
    local key = fact[1]
    redis.call('SADD', keys, key)
    redis.call('RPUSH', journal, text(now) .. '|' .. fact[2])
    local response = string.match(key, '^Accepted (.*)$')
    if response then redis.call('ZADD', base .. 'responses', 0, response .. '\\0' .. id) end
    local incarnation, kind = string.match(key, '^(%d+) (%a+)$')
    if kind == 'Retried' then known = known .. incarnation .. ',' end
    settles = settles or kind == 'Retried' or kind == 'Ended' or kind == 'Delivered'
  end
  redis.call('HSET', run, 'length', length + #fresh, 'updatedAt', now)
  if known ~= incarnations then redis.call('HSET', run, 'incarnations', known) end
  if settles then settle(known, retention) end
  return length + #fresh
end
`

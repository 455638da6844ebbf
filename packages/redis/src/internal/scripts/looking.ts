import { forgetting, placing, reading } from "./parts.ts"

/** Reads a run, and puts it back into an index that lost it. ARGV: base, id, retention, abandonedAfter. */
export const read = `${reading}${placing()}
local version = redis.call('HGET', run, 'version')
if version ~= '2' then return unknown(version) end
if forgotten() then return { 'none' } end
local answer = { 'found', shown() }

local known = redis.call('HMGET', run, 'agent', 'listed', 'parkedAt', 'until', 'due')
local agent, listed, parked = known[1], known[2], known[3]
local function has(index) return agent and redis.call('ZSCORE', base .. index, id) end
local isWork = not parked and (holds(known[4]) or known[5] ~= '')
if not (has('runs') and listed and has('status:' .. listed .. ':' .. agent) and
  (not parked or has('parked:' .. agent)) and (not isWork or has('work:' .. agent))) then
  -- Reading must also work on a server that refuses writes.
  pcall(place)
end
return answer
`

/** Finds the runs of this shard that have a response. KEYS: the index of the responses. ARGV: the response. */
export const find = `
local found = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1] .. '\\0', '[' .. ARGV[1] .. '\\0\\255')
for i, entry in ipairs(found) do found[i] = string.sub(entry, #ARGV[1] + 2) end
return { 'found', found }
`

/**
 * Reads a part of one index. KEYS: the index. ARGV: base, '', the time and the id after which to begin or ''; how many runs to
 * find; '1' for parked runs, '0' for others, '' for both; '=', the status and the agent of the index, or ''. Answers whether
 * the end was reached, the last place that was read, and the runs, each with its place in the index.
 */
export const list = `${reading}${forgetting}
local index, from, past, wanted = KEYS[1], ARGV[3], ARGV[4], tonumber(ARGV[5])
local most = 1000

-- Lua's own comparison depends on the locale of the server.
local function after(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

-- Returns nil if the run does not match, false if it is gone.
local function look(score)
  local known = redis.call('HMGET', run, 'version', 'agent', 'listed', 'parkedAt')
  if not known[1] and unknown() then return false end
  if known[1] and known[1] ~= '2' and number(known[1]) > 2 then return end
  if known[1] ~= '2' or not known[2] or not known[3] then error('CORRUPT') end
  if ARGV[7] ~= '' and ARGV[7] ~= '=' .. known[3] .. ':' .. known[2] then return end
  if ARGV[6] ~= '' and (ARGV[6] == '1') ~= (known[4] and true or false) then return end
  if forgotten() then return end
  return { id, score, shown() }
end

local rank = from == '' and 0 or redis.call('ZCOUNT', index, '-inf', '(' .. from)
local at, last, over = from, past, '0'
local found, gone, looked = {}, {}, 0
while over == '0' and #found < wanted and looked < most do
  local members = redis.call('ZRANGE', index, rank, rank + math.max(16, wanted - #found) - 1, 'WITHSCORES')
  if #members == 0 then over = '1' end
  for i = 1, #members, 2 do
    if #found == wanted then break end
    local name, score = members[i], members[i + 1]
    rank = rank + 1
    looked = looked + 1
    if from == '' or tonumber(score) > tonumber(from) or after(name, past) then
      at, last = score, name
      use(name)
      -- A run that cannot be read must not hide others.
      local sound, one = pcall(look, score)
      if not sound then
        found[#found + 1] = { name, score }
      elseif one then
        found[#found + 1] = one
      elseif one == false then
        gone[#gone + 1] = name
      end
    end
  end
end
-- On a server that refuses writes they stay, and are skipped.
for _, name in ipairs(gone) do
  use(name)
  forget(redis.pcall)
  redis.pcall('ZREM', index, name)
end
return { over, at, last, found }
`

/** Publishes a hint of a run. ARGV: base, id. */
export const wake = `
local namespace = string.match(ARGV[1], '^{(.*):%d+}:$')
redis.call('PUBLISH', namespace .. ':hints', 'run\\n' .. ARGV[2] .. '\\n')
return { 'done' }
`

/** Lists the agents that have or had runs. KEYS: any key of the shard. ARGV: base. */
export const agents = `
return { 'agents', redis.call('SMEMBERS', ARGV[1] .. 'agents') }
`

/** Counts the runs of each status, and parked ones. KEYS: any key of the shard. ARGV: base, '=' and agent or '', statuses. */
export const count = `
local base = ARGV[1]
local agents = ARGV[2] == '' and redis.call('SMEMBERS', base .. 'agents') or { string.sub(ARGV[2], 2) }
local counts = {}
for i = 3, #ARGV do
  local sum = 0
  for _, agent in ipairs(agents) do sum = sum + redis.call('ZCARD', base .. 'status:' .. ARGV[i] .. ':' .. agent) end
  counts[#counts + 1] = tostring(sum)
end
local parked = 0
for _, agent in ipairs(agents) do parked = parked + redis.call('ZCARD', base .. 'parked:' .. agent) end
counts[#counts + 1] = tostring(parked)
return { 'counts', counts }
`

import { forgetting, one, reading } from "./parts.ts"

/** ARGV: base, id. */
export const read = `${reading}${one}
local version = redis.call('HGET', run, 'version')
if version ~= '2' then return unknown(version) end
return { 'found', shown(run, journal, keys) }
`

/** KEYS: the index of the responses. ARGV: the response. Answers the runs of this shard that opened it. */
export const find = `
local found = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1] .. '\\0', '[' .. ARGV[1] .. '\\0\\255')
for i, entry in ipairs(found) do found[i] = string.sub(entry, #ARGV[1] + 2) end
return { 'found', found }
`

/**
 * One look at a part of one index. KEYS: the index that is read. ARGV: base; the time and the id after which to begin, or '';
 * how many runs to find; '1' for `work`, of which only runs count that are due now; '1' for parked runs, '0' for others, ''
 * for both; '=' and the agent, or ''. Answers whether the end was reached, how far it came, and the runs, each with its place
 * in the index.
 */
export const list = `${reading}
local index, base = KEYS[1], ARGV[1]
local from, past, wanted, due = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1'
local most = 1000
${forgetting}
-- Whoever held these runs did not give them up. On a server that takes no writes they stay where they are.
if due then
  local past = redis.call('ZRANGEBYSCORE', base .. 'held', '-inf', now, 'LIMIT', 0, most)
  local moved = 0
  for _, id in ipairs(past) do
    local at = redis.pcall('HGET', base .. 'run:' .. id, 'due')
    local done = type(at) == 'string' and tonumber(at) and redis.pcall('ZADD', base .. 'work', at, id)
    if type(done) == 'table' then break end
    if type(redis.pcall('ZREM', base .. 'held', id)) == 'table' then break end
    moved = moved + 1
  end
  if moved == most then return { '0', '', '', {} } end
end

-- Lua would compare as the server's language does.
local function after(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

-- Nothing if the run is not asked for, false if it is gone.
local function look(id, score)
  local run = base .. 'run:' .. id
  local known = redis.call('HMGET', run, 'version', 'agent', 'parkedAt')
  if not known[1] and redis.call('EXISTS', run) == 0 then return false end
  if known[1] and known[1] ~= '2' and number(known[1]) > 2 then return end
  if known[1] ~= '2' or not known[2] then error('CORRUPT') end
  if ARGV[6] ~= '' and (ARGV[6] == '1') ~= (known[3] and true or false) then return end
  if ARGV[7] ~= '' and ARGV[7] ~= '=' .. known[2] then return end
  return { id, score, shown(run, base .. 'journal:' .. id, base .. 'keys:' .. id) }
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
    if due and tonumber(score) > now then
      over = '1'
      break
    end
    rank = rank + 1
    looked = looked + 1
    if from == '' or tonumber(score) > tonumber(from) or after(id, past) then
      at, last = score, id
      -- One run that cannot be read hides no other.
      local sound, run = pcall(look, id, score)
      if not sound then
        found[#found + 1] = { id, score }
      elseif run then
        found[#found + 1] = run
      elseif run == false then
        gone[#gone + 1] = id
      end
    end
  end
end
-- On a server that takes no writes they stay, and are passed over.
for _, id in ipairs(gone) do forget(id, redis.pcall) end
return { over, at, last, found }
`

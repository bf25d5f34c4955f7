-- Sends one recorded request again and again, and prints what came of it as one line of JSON.
-- What to send comes in the environment, so that no secret stands among the arguments of a process.

wrk.method = os.getenv("REPLAY_METHOD") or "GET"

for line in (os.getenv("REPLAY_HEADERS") or ""):gmatch("[^\n]+") do
  local name, value = line:match("^([^:]+): (.*)$")
  wrk.headers[name] = value
end

local body = os.getenv("REPLAY_BODY")
if body then
  local file = assert(io.open(body, "rb"))
  wrk.body = file:read("*a")
  file:close()
end

-- With REPLAY_RUN each request is unlike every other of this run and of all runs: a number takes the place of the zeros
-- that REPLAY_NUMBER names. Its length is the same, so the packet around it stays right.
local run, zeros = os.getenv("REPLAY_RUN"), os.getenv("REPLAY_NUMBER")
if run then
  local first, last = wrk.body:find(zeros, 1, true)
  local before, after = wrk.body:sub(1, first - 1), wrk.body:sub(last + 1)
  local width = #zeros - #run
  local count = 0
  function request()
    count = count + 1
    return wrk.format(nil, nil, nil, before .. run .. string.format("%0" .. width .. "d", count) .. after)
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"bytes":%d,"bad_status":%d,"socket_errors":%d,"timeouts":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end

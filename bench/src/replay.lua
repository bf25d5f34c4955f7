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

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"bytes":%d,"bad_status":%d,"socket_errors":%d,"timeouts":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end

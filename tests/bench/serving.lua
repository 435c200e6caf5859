-- serving.lua - wrk's script: GET, or POST of the file BODY as TYPE, bytes without JSON in front where that is no JSON.
-- Its last line is "wrk REQUESTS US P50_US P99_US ERRORS".
local body = os.getenv('BODY')
if body then
    local file = io.open(body, 'rb')
    wrk.method = 'POST'
    wrk.body = file:read('*a')
    wrk.headers['Content-Type'] = os.getenv('TYPE')
    if os.getenv('TYPE') ~= 'application/json' then
        wrk.headers['Inference-Header-Content-Length'] = '0'
    end
    file:close()
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format('wrk %d %d %d %d %d\n', summary.requests, summary.duration, latency:percentile(50),
        latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end

#!/usr/bin/python3
"""overload.py PERCEPTD NETS - what becomes of a daemon that is asked for ten times what it can do.

    make bench-overload                SECONDS=60

crnn.onnx of nets.py (ten milliseconds and more a run) is served on core 0. First CLIENTS clients ask as fast as they are
answered: that is the peak. Then requests come in an open loop, ten times as many, whether earlier ones are answered or
not, each third of them with a deadline; and another process asks /v2/health/live every 20 ms. Printed are the goodput
beside the peak, how fast the others were refused, health, and memory. Times are a client's, on core 1, with what the
machine does besides. The standard library alone.
"""
import asyncio, collections, json, os, re, statistics, subprocess, sys, time

from serving import Server, in_front, skip

SECONDS = float(os.environ.get('SECONDS') or 60)
CLIENTS, TIMES, DEADLINE_MS, MOST = 8, 10, 500, 900
BODY = bytes(4 * 32 * 100)
HEAD = (b'POST /v2/models/crnn/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n'
        b'Inference-Header-Content-Length: 0\r\nContent-Length: %d\r\n' % len(BODY))


async def exchange(reader, writer, request):
    """Status, body and milliseconds."""
    start = time.monotonic()
    writer.write(request)
    head = await reader.readuntil(b'\r\n\r\n')
    body = await reader.readexactly(int(re.search(rb'(?i)\r\ncontent-length: (\d+)', head)[1]))
    return int(head[9:12]), body, (time.monotonic() - start) * 1000


def at(times, q):
    return sorted(times)[min(len(times) - 1, int(len(times) * q))] if times else float('nan')


# --- the clients, each in a process of its own on core 1 --------------------------------------------------------------

async def peak(port, seconds):
    """Answers a second that clients get who wait for them."""
    end, done = time.monotonic() + seconds, 0

    async def client():
        nonlocal done
        reader, writer = await asyncio.open_connection('127.0.0.1', port)
        while time.monotonic() < end:
            status, _, _ = await exchange(reader, writer, HEAD + b'\r\n' + BODY)
            done += status == 200
        writer.close()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return {'rate': done / seconds}


async def flood(port, seconds, rate):
    """An open loop; a connection that is free is taken, else another opened."""
    times, idle, n_open, lost = collections.defaultdict(list), [], 0, 0
    begin = time.monotonic()
    good, tasks = [], set()

    async def ask(i):
        nonlocal n_open, lost
        if not idle and n_open >= MOST:
            lost += 1
            return
        deadline = b'X-Request-Timeout-Ms: %d\r\n' % DEADLINE_MS if i % 3 == 0 else b''
        if idle:
            reader, writer = idle.pop()
        else:
            n_open += 1
            reader, writer = await asyncio.open_connection('127.0.0.1', port)
        try:
            status, body, ms = await exchange(reader, writer, HEAD + deadline + b'\r\n' + BODY)
        except (OSError, asyncio.IncompleteReadError):
            n_open, lost = n_open - 1, lost + 1
            return
        expired = b'expired"' in body # it was accepted, and its time ran out in the queue
        times['expired' if expired else status].append(ms)
        if status == 200:
            good.append(time.monotonic())
        idle.append((reader, writer))

    for i in range(int(seconds * rate)):
        wait = begin + i / rate - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.ensure_future(ask(i))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    end = time.monotonic()
    await asyncio.gather(*tasks)
    half = begin + (end - begin) / 4 # the queue is full by then
    shed = times[503]
    return {'offered': int(seconds * rate) / (end - begin), 'goodput': sum(half <= t < end for t in good) / (end - half),
            'good': len(good), 'shed': len(shed), 'shed_p50': at(shed, .5), 'shed_p99': at(shed, .99), 'lost': lost,
            'others': {status: len(t) for status, t in times.items() if status not in (200, 503, 'expired')},
            'expired': len(times['expired'])}


async def health(port, seconds):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        times.append((await exchange(reader, writer, b'GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n'))[2])
        await asyncio.sleep(0.02)
    return {'n': len(times), 'p50': at(times, .5), 'p99': at(times, .99), 'most': max(times)}


def start(name, *args, script=__file__):
    return subprocess.Popen(['taskset', '-c', '1', sys.executable, os.path.abspath(script), '--client', name, *map(str, args)],
                            stdout=subprocess.PIPE, text=True, preexec_fn=in_front)


def result(process):
    return json.loads(process.communicate()[0])


# --- the daemon and the table -----------------------------------------------------------------------------------------

def metric(server, name):
    from urllib.request import urlopen
    text = urlopen(f'http://127.0.0.1:{server.port}/metrics').read().decode()
    return sum(float(line.rsplit(' ', 1)[1]) for line in text.split('\n') if line.startswith(name))


def quick(server, name, bound):
    """The share of a histogram below a bound."""
    return metric(server, f'{name}_bucket{{le="{bound}"}}') / max(1, metric(server, f'{name}_count'))


def main(program, nets):
    if len(os.sched_getaffinity(0)) < 2 or not os.path.exists(f'{nets}/crnn.onnx'):
        skip('two cores, and crnn.onnx of tests/bench/nets.py; NETS=FOLDER says where it is')
    server = Server('perceptd', [program, 'serve', f'crnn={nets}/crnn.onnx', '--listen', '127.0.0.1:PORT', '--workers', '1',
                                 '--log-level', 'error'], subprocess.DEVNULL)
    try:
        before = statistics.median(result(start('peak', server.port, max(2, SECONDS / 10)))['rate'] for _ in range(3))
        resident = server.megabytes()
        asks, floods = start('health', server.port, SECONDS), start('flood', server.port, SECONDS, TIMES * before)
        most = resident
        while floods.poll() is None:
            most = max(most, server.megabytes())
            time.sleep(0.25)
        flooded, healthy = result(floods), result(asks)
        print(f'peak {before:.1f} answers/s; offered {flooded["offered"]:.0f}/s for {SECONDS:g} s, a third with a deadline of '
              f'{DEADLINE_MS} ms: {flooded["good"]} answered, {flooded["shed"]} refused, {flooded["expired"]} expired in the queue, '
              f'{flooded["lost"]} not sent, '
              f'others {flooded["others"] or "none"}')
        print(f'goodput {flooded["goodput"]:.1f}/s, {flooded["goodput"] / before:.3f} of the peak (0.95 wanted)')
        print(f'refusals: p50 {flooded["shed_p50"]:.2f} ms, p99 {flooded["shed_p99"]:.2f} ms (5 wanted)')
        print(f'health: {healthy["n"]} times, p50 {healthy["p50"]:.2f} ms, p99 {healthy["p99"]:.2f} ms, most '
              f'{healthy["most"]:.2f} ms (10 wanted)')
        print(f'by its own clock: {quick(server, "perceptd_lookup_duration_seconds", "0.01"):.4f} of health and metrics within '
              f'10 ms, {quick(server, "perceptd_loop_piece_seconds", "0.0002"):.5f} of the loop\'s pieces within 0.2 ms')
        print(f'memory: {resident:.1f} MB before, {most:.1f} MB at most, {server.megabytes():.1f} MB after')
        print(f'run though over before: {metric(server, "perceptd_requests_begun_over_total"):.0f} (0 wanted)')
    finally:
        server.stop()


if __name__ == '__main__':
    if sys.argv[1] == '--client':
        clients = {'peak': peak, 'flood': flood, 'health': health}
        print(json.dumps(asyncio.run(clients[sys.argv[2]](int(sys.argv[3]), *map(float, sys.argv[4:])))))
    else:
        main(*sys.argv[1:])

#!/usr/bin/python3
"""reloads.py PERCEPTD - models that are replaced under load.

    make bench-reloads                 RELOADS=200

Two networks of 52 MB, `a` and `b`, in folders as Triton has them (NAME/VERSION/model.onnx) and served on core 0. All weights
of a version are its number, and so is its answer. Clients on core 1 ask both in an open loop at half of what they get who wait
for each answer. After a while without replacements a new version is put into place again and again, of `a` and `b` in turn,
and taken up by POST /v2/repository/models/NAME/load, by SIGHUP, or by --watch, in turn. Printed are requests that failed or were
answered by another version than the reply names, latencies with and without replacements, memory and /dev/shm after the tenth
and the last, and the most copies that stood in /dev/shm at once. The standard library alone.
"""
import asyncio, json, os, re, shutil, signal, statistics, struct, subprocess, sys, tempfile, threading, time
from array import array
from urllib.request import Request, urlopen

from overload import at, exchange, result, start
from serving import Server, skip

RELOADS = int(os.environ.get('RELOADS') or 200)
ROWS, COLUMNS = 1024, 12800
CLIENTS, CALM = 4, 20
HOWS = ('api', 'sighup', 'watch')
BODY = struct.pack(f'<{ROWS}f', 1, *[0] * (ROWS - 1))
PREFIX = f'perceptd-reloads-{os.getpid()}'


# --- a model, byte by byte --------------------------------------------------------------------------------------------

def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def data(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def value(name, *dims):
    shape = b''.join(data(1, number(1, d) if isinstance(d, int) else data(2, d)) for d in dims)
    return data(1, name) + data(2, data(1, number(1, 1) + data(2, shape)))


def weight(name, version):
    return version + (0.5 if name == 'b' else 0.0)


def model(weight):
    weights = array('f', [weight]) * (ROWS * COLUMNS)
    axes = data(1, 'axes') + number(20, 7) + number(8, 1)
    graph = (data(1, data(1, 'x') + data(1, 'W') + data(2, 'h') + data(4, 'MatMul'))
             + data(1, data(1, 'h') + data(2, 'y') + data(4, 'ReduceMax') + data(5, axes)) + data(2, 'reloads')
             + data(5, number(1, ROWS) + number(1, COLUMNS) + number(2, 1) + data(8, 'W') + data(9, weights.tobytes()))
             + data(11, value('x', 'N', ROWS)) + data(12, value('y', 'N', 1)))
    return number(1, 8) + data(7, graph) + data(8, data(1, '') + number(2, 17))


def put(folder, name, version):
    """In place by one rename, as a careful tool does it; the one before last goes."""
    made = f'{folder}/new-{name}'
    os.mkdir(made)
    with open(f'{made}/model.onnx', 'wb') as file:
        file.write(model(weight(name, version)))
    os.rename(made, f'{folder}/models/{name}/{version}')
    shutil.rmtree(f'{folder}/models/{name}/{version - 2}', ignore_errors=True)


# --- the clients, in a process of their own on core 1 -----------------------------------------------------------------

def request(name):
    return (b'POST /v2/models/%s/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n'
            b'Inference-Header-Content-Length: 0\r\nContent-Length: %d\r\n\r\n' % (name.encode(), len(BODY)) + BODY)


def is_right(name, status, body):
    if status != 200:
        return False
    return struct.unpack('<f', body[-4:])[0] == weight(name, int(json.loads(body[:-4])['model_version']))


async def peak(port, seconds):
    end, done = time.monotonic() + seconds, 0

    async def client(name):
        nonlocal done
        reader, writer = await asyncio.open_connection('127.0.0.1', port)
        while time.monotonic() < end:
            done += is_right(name, *(await exchange(reader, writer, request(name)))[:2])
        writer.close()
    await asyncio.gather(*(client('ab'[i % 2]) for i in range(CLIENTS)))
    return {'rate': done / seconds}


async def steady(port, rate, until):
    """An open loop until a file is there."""
    times, idle, wrong, tasks, begin, i = [], [], [], set(), time.monotonic(), 0

    async def ask(name):
        try:
            reader, writer = idle.pop() if idle else await asyncio.open_connection('127.0.0.1', port)
            status, body, ms = await exchange(reader, writer, request(name))
            idle.append((reader, writer))
        except (OSError, asyncio.IncompleteReadError) as e:
            return wrong.append(repr(e))
        times.append(ms)
        if not is_right(name, status, body):
            wrong.append(f'{status} {body[:200]}')

    while not os.path.exists(until):
        wait = begin + i / rate - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.ensure_future(ask('ab'[i % 2]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        i += 1
    await asyncio.gather(*tasks)
    return {'n': len(times), 'p50': at(times, .5), 'p99': at(times, .99), 'most': max(times), 'wrong': len(wrong),
            'first': wrong[:3]}


# --- the daemon and what it leaves in memory --------------------------------------------------------------------------

def ask(server, path, body=None):
    with urlopen(Request(f'http://127.0.0.1:{server.port}{path}', body), timeout=60) as reply:
        return reply.read()


def version_of(server, name):
    return json.loads(ask(server, f'/v2/models/{name}'))['versions']


def shared():
    """Bytes and number of the regions of this daemon."""
    sizes = []
    for name in os.listdir('/dev/shm'):
        if name.startswith(PREFIX):
            try:
                sizes.append(os.stat(f'/dev/shm/{name}').st_blocks * 512)
            except OSError:
                pass
    return sum(sizes), sum(size > 1 << 20 for size in sizes)


def take_up(server, name, version, how):
    """Seconds until it is served."""
    begin = time.monotonic()
    if how == 'api':
        ask(server, f'/v2/repository/models/{name}/load', b'{}')
    elif how == 'sighup':
        server.process.send_signal(signal.SIGHUP)
    while version_of(server, name) != [str(version)]:
        if time.monotonic() - begin > 60:
            raise RuntimeError(f'{name} {version} is not served after a minute ({how}): {version_of(server, name)}')
        time.sleep(0.05)
    return time.monotonic() - begin


def settled(server):
    """Memory once the old version has gone."""
    for _ in range(100):
        if shared()[1] == 2:
            break
        time.sleep(0.05)
    time.sleep(1)
    return server.megabytes(), shared()[0] / 1e6


def replace(server, folder):
    took, after, most, over = {how: [] for how in HOWS}, {}, 0, threading.Event()

    def look():
        nonlocal most
        while not over.wait(0.02):
            most = max(most, shared()[1])
    threading.Thread(target=look, daemon=True).start()
    for i in range(RELOADS):
        name, version = 'ab'[i % 2], 2 + i // 2
        put(folder, name, version)
        took[HOWS[i % 3]].append(take_up(server, name, version, HOWS[i % 3]))
        if i + 1 in (10, RELOADS):
            after[i + 1] = settled(server)
    over.set()
    return took, after, most


def loaded(server, folder, rate, work):
    """What clients see while something is done."""
    until = tempfile.mktemp(dir=folder)
    clients = start('steady', server.port, rate, until, script=__file__)
    done = work()
    open(until, 'w').close()
    return result(clients), done


def main(program):
    if len(os.sched_getaffinity(0)) < 2:
        skip('two cores')
    folder = tempfile.mkdtemp(prefix='perceptd-reloads-')
    server = None
    try:
        for name in 'ab':
            os.makedirs(f'{folder}/models/{name}')
            with open(f'{folder}/models/{name}/manifest.json', 'w') as file:
                json.dump({'manifest': 1, 'version_policy': {'latest': {'num_versions': 1}}}, file)
            put(folder, name, 1)
        server = Server('perceptd', [program, 'serve', f'{folder}/models', '--listen', '127.0.0.1:PORT', '--admin', '--watch',
                                     '--region-prefix', PREFIX, '--log-level', 'error'], subprocess.DEVNULL)
        rate = statistics.median(result(start('peak', server.port, 3, script=__file__))['rate'] for _ in range(3))
        calm, _ = loaded(server, folder, rate / 2, lambda: time.sleep(CALM))
        busy, (took, after, most) = loaded(server, folder, rate / 2, lambda: replace(server, folder))
        print(f'two networks of {ROWS * COLUMNS * 4 / 1e6:.0f} MB, {rate:.0f} answers/s at most, {rate / 2:.0f}/s asked for')
        for title, seen in (('without replacements', calm), (f'{RELOADS} replacements', busy)):
            print(f'{title}: {seen["n"]} answers, {seen["wrong"]} failed or wrong (0 wanted), p50 {seen["p50"]:.2f} ms, '
                  f'p99 {seen["p99"]:.2f} ms, most {seen["most"]:.2f} ms', *seen['first'])
        print(f'p99 with replacements, of without: {busy["p99"] / calm["p99"]:.2f} (1.5 wanted)')
        for how, times in took.items():
            print(f'taken up by {how}: {len(times)} times, median {statistics.median(times):.2f} s, most {max(times):.2f} s')
        (rss, shm), (last_rss, last_shm) = after[min(after)], after[max(after)]
        print(f'after the {min(after)}th: {rss:.1f} MB resident, {shm:.1f} MB shared; after the {max(after)}th: {last_rss:.1f} and '
              f'{last_shm:.1f}: {last_rss / rss:.3f} and {last_shm / shm:.3f} (1.02 wanted)')
        print(f'regions at most: {most} (3 wanted: two that serve, one that comes or goes)')
    finally:
        if server:
            server.stop()
        subprocess.run([program, 'regions', '--clean', '--region-prefix', PREFIX], stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == '__main__':
    if sys.argv[1] == '--client':
        name, port, *rest = sys.argv[2:]
        task = peak(int(port), float(rest[0])) if name == 'peak' else steady(int(port), float(rest[0]), rest[1])
        print(json.dumps(asyncio.run(task)))
    else:
        main(sys.argv[1])

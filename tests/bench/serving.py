#!/usr/bin/python3
"""serving.py PERCEPTD BARE NETS - requests per second and latencies of the daemon on one core, beside node's.

    make bench-serving                ROUNDS=5, SECONDS=2 of each measurement, ORT=FOLDER/node_modules

perceptd, node with onnxruntime-node (serving.js) and bare libmicrohttpd (bare.c) run on core 0, wrk on core 1. What is
compared is measured in turn in each round, and medians of the rounds are printed: the table of docs/serving-speed.md.
NETS holds lenet.onnx and resnet18.onnx as nets.py writes them. Prints how far we are from what must hold, judges
nothing: the machine may be busy. As root, servers and clients go before other programs.
"""
import array, http.client, json, os, random, re, shutil, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS, SECONDS = int(os.environ.get('ROUNDS') or 5), float(os.environ.get('SECONDS') or 2)
CURVE, NODE_CURVE, IDLE = (1, 2, 4, 8, 16, 32, 64, 128, 256), (1, 8, 64, 256), 1000
INFER = '/v2/models/%s/infer'


def skip(why):
    print(f'skipped: serving beside node ({why})')
    print('0 passed, 0 failed, 1 skipped')
    sys.exit(0)


# --- servers and clients ----------------------------------------------------------------------------------------------

def in_front():
    """Before other programs, where that is allowed: the scheduler weighs sessions first, then processes."""
    os.setsid()
    try:
        with open('/proc/self/autogroup', 'w') as file:
            file.write('-15')
    except OSError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except OSError:
        pass


def free_port():
    with socket.socket() as door:
        door.bind(('127.0.0.1', 0))
        return door.getsockname()[1]


class Server:
    """A server on core 0, answering at self.port."""

    def __init__(self, name, command, log):
        self.name, self.port = name, free_port()
        self.process = subprocess.Popen(['taskset', '-c', '0', *[c.replace('PORT', str(self.port)) for c in command]],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=in_front)
        end = time.monotonic() + 30
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f'{name} does not answer')
            time.sleep(0.05)

    def is_ready(self):
        try:
            connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=2)
            connection.request('GET', '/v2/health/ready')
            return connection.getresponse().status == 200
        except OSError:
            return False

    def cpu_ns(self):
        folder = f'/proc/{self.process.pid}/task'
        return sum(int(open(f'{folder}/{task}/schedstat').read().split()[0]) for task in os.listdir(folder))

    def megabytes(self):
        with open(f'/proc/{self.process.pid}/status') as file:
            return int(re.search(r'VmRSS:\s+(\d+)', file.read())[1]) / 1024

    def stop(self):
        self.process.kill()
        self.process.wait()


def wrk(server, path, clients, body=None, kind=None):
    """What SECONDS of that many clients show; microseconds."""
    environment = dict(os.environ, **({'BODY': body, 'TYPE': kind} if body else {}))
    before = server.cpu_ns()
    out = subprocess.run(['taskset', '-c', '1', 'wrk', '-t1', f'-c{clients}', f'-d{max(1, round(SECONDS))}s', '--timeout', '20s',
                          '-s', f'{HERE}/serving.lua', f'http://127.0.0.1:{server.port}{path}'],
                         env=environment, capture_output=True, text=True, preexec_fn=in_front).stdout
    spent = server.cpu_ns() - before
    n, us, p50, p99, errors = map(int, re.search(r'^wrk (\d+) (\d+) (\d+) (\d+) (\d+)$', out, re.M).groups())
    return {'rate': n * 1e6 / us, 'p50': p50, 'p99': p99, 'cpu': spent / 1000 / max(n, 1), 'errors': errors}


# --- what is measured -------------------------------------------------------------------------------------------------

class Idle:
    """Connections that asked once and stay."""

    def __init__(self, server, n):
        self.clients = []
        for _ in range(n):
            client = socket.create_connection(('127.0.0.1', server.port))
            client.sendall(b'GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n')
            client.recv(4096)
            self.clients.append(client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()


def bodies(folder):
    """A LeNet request as JSON, with numbers as long as people send them, and a resnet18 input as bytes."""
    draw = random.Random(1)
    lenet, resnet18 = f'{folder}/lenet.json', f'{folder}/resnet18.bin'
    tensor = {'name': 'x', 'shape': [1, 1, 28, 28], 'datatype': 'FP32',
              'data': [round(draw.random(), 5) for _ in range(28 * 28)]}
    with open(lenet, 'w') as file:
        json.dump({'inputs': [tensor]}, file)
    with open(resnet18, 'wb') as file:
        array.array('f', (draw.random() for _ in range(3 * 224 * 224))).tofile(file)
    return (lenet, 'application/json'), (resnet18, 'application/octet-stream')


def bench_ms(program, model):
    """The network alone, one item, on the servers' core."""
    out = subprocess.run(['taskset', '-c', '0', program, 'bench', model, '--batch', '1', '--cores', '1'],
                         capture_output=True, text=True, preexec_fn=in_front).stdout
    return float(re.search(r'^ +1 +([0-9.]+)', out, re.M)[1])


def measure_round(servers, folder, program, nets, note):
    """One of each; note(key, what wrk said)."""
    ours, node, bare = servers['perceptd'], servers.get('node'), servers['bare']
    lenet, resnet18 = bodies(folder)
    for clients in CURVE:
        note(('lenet', 'perceptd', clients), wrk(ours, INFER % 'lenet', clients, *lenet))
        if node and clients in NODE_CURVE:
            note(('lenet', 'node', clients), wrk(node, INFER % 'lenet', clients, *lenet))
    for clients in (1, 8):
        for server in filter(None, (ours, node)):
            note(('resnet18', server.name, clients), wrk(server, INFER % 'resnet18', clients, *resnet18))
    for server in (ours, bare):
        note(('health', server.name, 64), wrk(server, '/v2/health/live', 64))
    for clients in (1, 64):
        note(('alone', 'perceptd', clients), wrk(ours, INFER % 'lenet', clients, *lenet))
        with Idle(ours, IDLE):
            note(('idle', 'perceptd', clients), wrk(ours, INFER % 'lenet', clients, *lenet))
    note(('bench', 'perceptd', 1), {'p50': bench_ms(program, f'{nets}/lenet.onnx') * 1000})


# --- the table --------------------------------------------------------------------------------------------------------

def medians(notes):
    return {key: {k: statistics.median(n[k] for n in runs) for k in runs[0]} for key, runs in notes.items()}


def cell(value, digits):
    return '–' if value is None else f'{value:.{digits}f}'


def print_rows(title, results, kind, clients):
    print(f'\n| {title} | perceptd req/s | p50 ms | p99 ms | CPU us | node req/s | p50 ms | p99 ms | CPU us | req/s ratio |')
    print('|---|---|---|---|---|---|---|---|---|---|')
    for n in clients:
        a, b = results.get((kind, 'perceptd', n)), results.get((kind, 'node', n))
        cells = [cell(r and r[k] / d, p) for r in (a, b) for k, d, p in
                 (('rate', 1, 0 if kind == 'lenet' else 1), ('p50', 1000, 2), ('p99', 1000, 2), ('cpu', 1, 1))]
        print(f'| {n} | {" | ".join(cells)} | {cell(a["rate"] / b["rate"] if b else None, 2)} |')


def demands(results):
    """(what, value, bound, is it held)"""
    curve = [results['lenet', 'perceptd', n]['rate'] for n in CURVE]
    drop = min(curve[i] / max(curve[:i + 1]) for i in range(len(curve)))
    alone, ours, health, bare = (results[key] for key in (('lenet', 'perceptd', 1), ('lenet', 'perceptd', 64),
                                                          ('health', 'perceptd', 64), ('health', 'bare', 64)))
    over = alone['p50'] - results['bench', 'perceptd', 1]['p50']
    idle = max(results['idle', 'perceptd', n]['p99'] / results['alone', 'perceptd', n]['p99'] for n in (1, 64))
    rows = [('lowest point of the curve, of the best so far', drop, '>= 0.95', drop >= 0.95),
            ('CPU of a health request, of bare libmicrohttpd\'s', health['cpu'] / bare['cpu'], '<= 1.5',
             health['cpu'] <= 1.5 * bare['cpu']),
            (f'p99 with {IDLE} idle connections, of without', idle, '< 1.1', idle < 1.1),
            ('one client\'s p50 over `perceptd bench`, us', over, '<= 150', over <= 150)]
    node = results.get(('lenet', 'node', 64))
    if node:
        rows[:0] = [('LeNet at 64 clients: req/s, of node\'s', ours['rate'] / node['rate'], '>= 3', ours['rate'] >= 3 * node['rate']),
                    ('LeNet at 64 clients: p99, of node\'s', ours['p99'] / node['p99'], '<= 0.1', ours['p99'] <= node['p99'] / 10)]
    return rows


def print_all(results, memory):
    print_rows('LeNet as JSON, clients', results, 'lenet', CURVE)
    print_rows('resnet18 as bytes, clients', results, 'resnet18', (1, 8))
    print('\n| must hold | measured | bound | |\n|---|---|---|---|')
    for what, value, bound, good in demands(results):
        print(f'| {what} | {value:.3g} | {bound} | {"yes" if good else "no"} |')
    health, bare = results['health', 'perceptd', 64], results['health', 'bare', 64]
    print(f'\nhealth at 64 clients: {health["rate"]:.0f} req/s, {health["cpu"]:.2f} us CPU; bare libmicrohttpd '
          f'{bare["rate"]:.0f} req/s, {bare["cpu"]:.2f} us')
    print('memory at the end, MB: ' + ', '.join(f'{name} {mb:.0f}' for name, mb in memory.items()))
    errors = {key: r['errors'] for key, r in results.items() if r.get('errors')}
    print(f'errors: {errors or "none"}')


def processor():
    with open('/proc/cpuinfo') as file:
        text = file.read()
    flags = set(re.search(r'^flags\s*: (.*)', text, re.M)[1].split())
    wanted = [f for f in ('avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_tile') if f in flags]
    return f'{re.search(r"model name.*: (.*)", text)[1].strip()}, {" ".join(wanted)}'


def start(program, bare, nets, log):
    models = [f'{name}={nets}/{name}.onnx' for name in ('lenet', 'resnet18')]
    servers = {'perceptd': Server('perceptd', [program, 'serve', *models, '--listen', '127.0.0.1:PORT', '--max-connections',
                                               str(2 * IDLE)], log),
               'bare': Server('bare', [bare, 'PORT'], log)}
    try:
        servers['node'] = Server('node', ['node', f'{HERE}/serving.js', 'PORT', *models], log)
    except (RuntimeError, OSError):
        print('not run: node beside us (nodejs, and onnxruntime-node from npm, ORT=FOLDER/node_modules)')
    return servers


def main(program, bare, nets):
    if not shutil.which('wrk'):
        skip('no wrk: apt-get install wrk')
    if len(os.sched_getaffinity(0)) < 2:
        skip('one core only')
    if not os.path.exists(f'{nets}/lenet.onnx'):
        skip(f'no {nets}/lenet.onnx: tests/bench/nets.py writes it (python3-torch), NETS=FOLDER says where it is')
    notes = {}
    with tempfile.TemporaryDirectory() as folder, open(f'{folder}/log', 'w') as log:
        servers = start(program, bare, nets, log)
        try:
            for i in range(ROUNDS):
                measure_round(servers, folder, program, nets, lambda key, what: notes.setdefault(key, []).append(what))
                print(f'round {i + 1} of {ROUNDS}', file=sys.stderr)
            memory = {name: server.megabytes() for name, server in servers.items()}
        finally:
            for server in servers.values():
                server.stop()
    print(f'{processor()}; core 0 serves, wrk on core 1; medians of {ROUNDS} rounds of {SECONDS:g} s')
    print_all(medians(notes), memory)


if __name__ == '__main__':
    main(*sys.argv[1:])

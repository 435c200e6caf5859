#!/usr/bin/python3
"""sequences.py PERCEPTD - thousands of sequences, interleaved, while models are replaced and room is short.

    make sequences                     SEQUENCES=10000 STEPS=50 STARTS=1000000

An LSTM and a GRU with their states kept by the daemon, asked over 64 connections, a step of each of them at a time. What a
sequence has to end in was found before, by running it alone. Meanwhile the model's weights are replaced again and again: a
sequence stays with the version that its first reply named. First round: there is room for fewer than live at once, so
each sequence ends in a lone run's state, bit for bit, or was told 410. Second round: room for all, so all do. Then how many
steps of a wide LSTM shared a run, and STARTS sequences that nobody ends: those that rest longest go, and memory does not grow.
Needs python3-onnx and python3-numpy.
"""
import json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time
from urllib.request import Request, urlopen

import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper

SEQUENCES, STEPS = int(os.environ.get('SEQUENCES') or 10000), int(os.environ.get('STEPS') or 50)
STARTS = int(os.environ.get('STARTS') or 1000000)
CONNECTIONS, STREAMS, SIZE, INPUTS = 64, 250, 32, 16
RELOAD_EVERY = 400  # ticks: a step on each connection is one
RNG = np.random.default_rng(1)
X = RNG.standard_normal((STREAMS, STEPS, INPUTS)).astype(np.float32)
WIDE = 640  # the LSTM whose step takes a millisecond


# --- the models -------------------------------------------------------------------------------------------------------

def network(kind, size, seed):
    rng, gates = np.random.default_rng(seed), {'LSTM': 4, 'GRU': 3}[kind]
    states = ['h', 'c'] if kind == 'LSTM' else ['h']
    arrays = [numpy_helper.from_array((rng.standard_normal(shape) / np.sqrt(size)).astype(np.float32), name)
              for name, shape in (('W', (1, gates * size, INPUTS)), ('R', (1, gates * size, size)))]
    node = helper.make_node(kind, ['x', 'W', 'R', '', '', *states], ['', *(f'{s}n' for s in states)], hidden_size=size)
    info = helper.make_tensor_value_info
    graph = helper.make_graph([node], kind, [info('x', T.FLOAT, [1, 'N', INPUTS])] +
                              [info(s, T.FLOAT, [1, 'N', size]) for s in states],
                              [info(f'{s}n', T.FLOAT, [1, 'N', size]) for s in states], arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    made.ir_version = 8
    return made.SerializeToString()


def outputs_of(name):
    return ['hn'] if name == 'gru' else ['hn', 'cn']


def put(folder, name, version):
    """A version in its place by one rename; its weights are those of odd or of even numbers. The one before last goes."""
    kind = 'GRU' if name == 'gru' else 'LSTM'
    os.makedirs(f'{folder}/{name}', exist_ok=True)
    made = f'{folder}/../new'
    os.mkdir(made)
    with open(f'{made}/model.onnx', 'wb') as file:
        file.write(network(kind, WIDE if name == 'wide' else SIZE, version % 2))
    os.rename(made, f'{folder}/{name}/{version}')
    shutil.rmtree(f'{folder}/{name}/{version - 2}', ignore_errors=True)


def describe(folder, name, most):
    state = [{'input': o[0], 'output': o} for o in outputs_of(name)]
    with open(f'{folder}/{name}/manifest.json', 'w') as file:
        json.dump({'manifest': 1, 'version_policy': {'latest': {'num_versions': 1}},
                   'sequence': {'state': state, 'max_sequences': most, 'max_idle_microseconds': 600000000}}, file)


# --- the daemon -------------------------------------------------------------------------------------------------------

class Daemon:
    def __init__(self, program, folder):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen([program, 'serve', folder, '--listen', f'127.0.0.1:{self.port}', '--admin',
                                         '--region-prefix', 'perceptd-test', '--log-level', 'error'], stdin=subprocess.DEVNULL)
        for _ in range(600):
            try:
                self.ask('/v2/health/ready')
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError('perceptd is not ready')

    def ask(self, path, body=None):
        with urlopen(Request(f'http://127.0.0.1:{self.port}{path}', body), timeout=120) as reply:
            return reply.read()

    def kept(self, name):
        lines = self.ask('/metrics').decode().split('\n')
        return sum(float(line.rsplit(' ', 1)[1]) for line in lines if line.startswith(f'perceptd_sequences{{model="{name}"'))

    def megabytes(self):
        with open(f'/proc/{self.process.pid}/status') as file:
            return int(re.search(r'VmRSS:\s+(\d+)', file.read())[1]) / 1024

    def per_run(self, name):
        seen = json.loads(self.ask(f'/v2/models/{name}/stats'))['model_stats']
        return (sum(s['inference_count'] for s in seen), sum(s['execution_count'] for s in seen),
                sum(b['compute_infer']['ns'] for s in seen for b in s['batch_stats']))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Connection:
    """Requests written whole, replies read whole; nothing waits in between."""

    def __init__(self, port):
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile('rb', buffering=65536)

    def send(self, name, sequence, stream, step):
        parameters = {'sequence_id': sequence, 'sequence_start': step == 0, 'sequence_end': step == STEPS - 1}
        last = step == STEPS - 1
        head = json.dumps({'parameters': parameters,
                           'inputs': [{'name': 'x', 'shape': [1, 1, INPUTS], 'datatype': 'FP32',
                                       'parameters': {'binary_data_size': 4 * INPUTS}}],
                           'outputs': [{'name': o, 'parameters': {'binary_data': True}}
                                       for o in (outputs_of(name) if last else outputs_of(name)[:1])]}).encode()
        data = X[stream, step].tobytes()
        self.socket.sendall(b'POST /v2/models/%s/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: %d\r\n'
                            b'Content-Length: %d\r\n\r\n' % (name.encode(), len(head), len(head) + len(data)) + head + data)

    def receive(self):
        """Status, the version that answered, and the outputs' bytes or the error."""
        status, length, split = int(self.file.readline().split()[1]), 0, None
        while (line := self.file.readline()) != b'\r\n':
            key, value = line.split(b':', 1)
            key = key.lower()
            if key == b'content-length':
                length = int(value)
            elif key == b'inference-header-content-length':
                split = int(value)
        body = self.file.read(length)
        if status != 200:
            return status, None, body
        return status, int(re.search(rb'"model_version": ?"(\d+)"', body)[1]), body[split:]


# --- the trial --------------------------------------------------------------------------------------------------------

def alone(daemon, name, versions):
    """What each stream ends in, by whether the version's number is odd."""
    connection, ends = Connection(daemon.port), {}
    for version in versions:
        if version > 1:
            renew(daemon, name, version)
        for stream in range(STREAMS):
            for step in range(STEPS):
                connection.send(name, f'lone-{stream}', stream, step)
                status, answered, data = connection.receive()
                assert (status, answered) == (200, version), (status, answered, data[:300])
            ends[version % 2, stream] = data
    return ends


def renew(daemon, name, version):
    put(daemon.folder, name, version)
    daemon.ask(f'/v2/repository/models/{name}/load', b'{}')


class Replacing(threading.Thread):
    """Another version every so many ticks, by a thread of its own so that the steps go on."""

    def __init__(self, daemon, name, version):
        super().__init__(daemon=True)
        self.daemon_asked, self.name_of_model, self.version = daemon, name, version
        self.wanted, self.over = threading.Semaphore(0), False
        self.start()

    def run(self):
        while self.wanted.acquire() and not self.over:
            self.version += 1
            renew(self.daemon_asked, self.name_of_model, self.version)

    def end(self):
        self.over = True
        self.wanted.release()
        self.join()


def interleave(daemon, name, version, live, ends):
    """Counts of sequences that ended right, that were told 410, and everything else."""
    connections = [Connection(daemon.port) for _ in range(CONNECTIONS)]
    rng, right, gone, wrong, ticks = random.Random(7), 0, 0, [], 0
    waiting = [list(range(c, SEQUENCES, CONNECTIONS)) for c in range(CONNECTIONS)]
    living = [[] for _ in connections]  # [sequence, step, version] of each connection
    replacing, most = Replacing(daemon, name, version), 0
    while True:
        asked = []
        for c, connection in enumerate(connections):
            while waiting[c] and len(living[c]) < live:
                living[c].append([waiting[c].pop(), 0, None])
            if living[c]:
                one = rng.choice(living[c])
                connection.send(name, one[0] + 1, one[0] % STREAMS, one[1])
                asked.append((c, one))
        if not asked:
            break
        ticks += 1
        if ticks % RELOAD_EVERY == 0:
            replacing.wanted.release()
        if ticks % 500 == 0:
            most = max(most, daemon.kept(name))
        for c, one in asked:
            status, answered, data = connections[c].receive()
            over = True
            if status == 410 and one[1]:
                gone += 1
            elif status != 200 or one[2] not in (None, answered):
                wrong.append((one, status, answered, data[:300]))
            elif one[1] == STEPS - 1:
                if data == ends[answered % 2, one[0] % STREAMS]:
                    right += 1
                else:
                    wrong.append((one, 'another state than alone'))
            else:
                one[1], one[2], over = one[1] + 1, answered, False
            if over:
                living[c].remove(one)
    replacing.end()
    return right, gone, wrong, most, replacing.version


def trial(daemon, name):
    failed = 0
    ends, version = alone(daemon, name, (1, 2)), 2
    for title, limit, live in (('room for fewer', SEQUENCES // 3, SEQUENCES // CONNECTIONS // 2),
                               ('room for all', SEQUENCES, SEQUENCES // CONNECTIONS + 1)):
        describe(daemon.folder, name, limit)
        version += 1
        renew(daemon, name, version)
        before, start, first = daemon.megabytes(), time.monotonic(), version
        right, gone, wrong, most, version = interleave(daemon, name, version, live, ends)
        bad = len(wrong) + (gone if limit == SEQUENCES else gone == 0) + (right + gone != SEQUENCES)
        failed += bool(bad)
        print(f'{name}, {title}: {right} of {SEQUENCES} ended as alone, {gone} were told 410, {len(wrong)} wrong; at most {most:.0f} '
              f'at once, {version - first} replacements, {time.monotonic() - start:.0f} s; {daemon.kept(name):.0f} kept afterwards, '
              f'{before:.1f} MB before and {daemon.megabytes():.1f} MB after', flush=True)
        for one in wrong[:5]:
            print('  wrong:', one)
    return failed


def shared_runs(daemon):
    """Steps of a wide LSTM that one run takes, by 64 clients who wait for their answers."""
    connections = [Connection(daemon.port) for _ in range(CONNECTIONS)]
    connections[0].send('wide', 'x', 0, 0)
    connections[0].receive()
    begun, runs, spent = daemon.per_run('wide')
    for step in range(STEPS):
        for c, connection in enumerate(connections):
            connection.send('wide', c + 1, c, step)
        for connection in connections:
            status, _, data = connection.receive()
            assert status == 200, data[:300]
    done, all_runs, all_spent = daemon.per_run('wide')
    mean = (done - begun) / (all_runs - runs)
    print(f'an LSTM of {WIDE} units: {done - begun} steps of {CONNECTIONS} sequences in {all_runs - runs} runs of '
          f'{(all_spent - spent) / (all_runs - runs) / 1e6:.2f} ms: {mean:.1f} a run (8 wanted)')
    return mean < 8


def starts(daemon):
    """Sequences that begin and are never heard of again."""
    connections = [Connection(daemon.port) for _ in range(CONNECTIONS)]
    refused, at_half = 0, 0.0
    for first in range(0, STARTS, CONNECTIONS):
        for c, connection in enumerate(connections):
            connection.send('gru', f'start-{first + c}', c, 0)
        refused += sum(connection.receive()[0] != 200 for connection in connections)
        if first <= STARTS // 2 < first + CONNECTIONS:
            at_half = daemon.megabytes()
    kept, after = daemon.kept('gru'), daemon.megabytes()
    print(f'{STARTS} sequences without an end: {refused} refused, {kept:.0f} kept of {SEQUENCES} that may be, {at_half:.1f} MB after half '
          f'of them, {after:.1f} MB after all')
    return refused != 0 or kept > SEQUENCES or after > at_half * 1.02 + 1


def main(program):
    folder = tempfile.mkdtemp(prefix='perceptd-sequences-')
    models, failed = f'{folder}/models', 0
    try:
        for name in ('lstm', 'gru', 'wide'):
            put(models, name, 1)
            describe(models, name, SEQUENCES)
        daemon = Daemon(program, models)
        daemon.folder = models
        for trying in (lambda: trial(daemon, 'lstm'), lambda: trial(daemon, 'gru'), lambda: shared_runs(daemon),
                       lambda: starts(daemon)):
            failed += trying()
        ended = daemon.stop()
        failed += ended != 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f'{6 - failed} passed, {failed} failed')
    return failed != 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))

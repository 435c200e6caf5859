#!/usr/bin/env python3
"""abandon.py PERCEPTD MODELS [PHASE...] - what becomes of a daemon whose clients leave in the middle?

For each phase of a request 5,000 clients get so far and leave, every second one by a reset, the others by
closing: in the head, in the body, within a chunk, waiting for company, while a picture is decoded, while the
model runs, while replies are sent that they do not read. Meanwhile another process asks /v2/health/live on a
new connection every few milliseconds. Then descriptors and connections must be as many as before, and
SIGTERM, sent as the last clients leave, must end the daemon. Prints a row per phase; times are in ms, the
daemon's memory in MB (before, at most, after). Clients leave in waves of WAVE. The slowest answer is told
twice: as it was, and without the time that the daemon's loop and the one who asked were ready to run and the
machine gave the core to others ("net", which is what must stay below 100). "nobody" is a row without clients.
The standard library alone.
"""
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import served
from served import png

CLIENTS = 5000
WAVE = 250
RESET = struct.pack('ii', 1, 0)  # SO_LINGER: no farewell


class Daemon(served.Daemon):
    def __init__(self, program, models, options):
        self.folder = tempfile.mkdtemp(prefix='perceptd-abandon-')
        self.log = os.path.join(self.folder, 'log')
        with open(self.log, 'w') as log:
            self.process = subprocess.Popen(
                [program, 'serve', models, '--listen', '127.0.0.1:0', '--private-regions', '--log-level', 'info',
                 *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        self.number = self.port()
        while self.ask('/v2/health/ready')[0] != 200:
            self.patience()

    def ask(self, path):
        with socket.create_connection(('127.0.0.1', self.number), 10) as client:
            client.sendall(b'GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' % path.encode())
            reply = b''
            while piece := client.recv(65536):
                reply += piece
        return (int(reply[9:12]), reply.decode()) if reply else (0, '')

    def metric(self, name, text=None):
        text = text or self.ask('/metrics')[1]
        return sum(float(line.rsplit(' ', 1)[1]) for line in text.split('\n') if line.startswith(name))

    def megabytes(self, what='VmRSS'):
        with open('/proc/%d/status' % self.process.pid) as file:
            return int(re.search(what + r':\s+(\d+)', file.read())[1]) / 1024


def scheduled(pid):
    """ms that a process's first thread ran, and that it waited for a core."""
    with open('/proc/%d/task/%d/schedstat' % (pid, pid)) as file:
        ran, waited, _ = map(int, file.read().split())
    return ran / 1e6, waited / 1e6


def watch(daemon, port, stop, pipe):
    """Asks after the daemon's health until told to stop: how often, the longest in ms, the longest net,
    answers but 200."""
    slowest, net, n, bad = 0.0, 0.0, 0, 0
    us = os.getpid()
    while not stop.is_set():
        before = scheduled(daemon)[1] + scheduled(us)[1]
        begun = time.monotonic()
        try:
            with socket.create_connection(('127.0.0.1', port), 10) as client:
                client.sendall(b'GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
                bad += not client.recv(64).startswith(b'HTTP/1.1 200')
        except OSError:
            bad += 1
        took = (time.monotonic() - begun) * 1000
        waited = scheduled(daemon)[1] + scheduled(us)[1] - before
        slowest, net, n = max(slowest, took), max(net, took - waited), n + 1
        time.sleep(0.002)
    pipe.send((n, slowest, net, bad))


def head(path, length, more=''):
    return ('POST /v2/models/%s/infer HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n' %
            (path, more, length)).encode()


def name_of(length, id=''):
    body = json.dumps({'id': id, 'inputs': [{'name': 'characters', 'shape': [1, length], 'datatype': 'INT64',
                                   'data': [2 + i % 20 for i in range(length)]}]}).encode()
    return head('names', len(body)) + body


PICTURE = png(3000, 3000, bytes(random.Random(1).randbytes(3000)) * 3000)
LONG = name_of(3000)
LARGE = name_of(6, 'x' * 400000)  # given back
NOBODY = 'nobody'
PHASES = {  # the daemon's options, what client number i sends, and how long a wave stays then
    NOBODY: ([], lambda i: b'', 3),
    'head': ([], lambda i: head('names', 9)[:20 + i % 40], 0),
    'body': ([], lambda i: head('names', 1000) + b'x' * (i % 999), 0),
    'chunk': ([], lambda i: b'POST /v2/models/names/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
                            b'400\r\n' + b'x' * (i % 1023), 0),
    'waiting': (['--max-queue-delay-us', '10000000'], lambda i: name_of(1 + i % WAVE), 0.02),
    'decoding': ([], lambda i: head('cats-dogs', len(PICTURE), 'Content-Type: image/png\r\n') + PICTURE, 0),
    'running': ([], lambda i: LONG, 0.02),
    'replying': ([], lambda i: LARGE, 0.3),
}


def arrive(port, data):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(('127.0.0.1', port))
    client.settimeout(10)
    try:
        client.sendall(data)
    except OSError:
        pass  # refused, and told so
    return client


def leave(clients):
    for i, client in enumerate(clients):
        if i % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()


def wave(port, first, make, pause):
    clients = [arrive(port, make(i)) for i in range(first, first + WAVE)]
    time.sleep(pause)
    return clients


def returned(daemon, descriptors):
    """ms until only the asking connection is left, and its descriptors are those of before."""
    begun = time.monotonic()
    while time.monotonic() - begun < 60:
        text = daemon.ask('/metrics')[1]
        if daemon.metric('perceptd_connections ', text) == 1 and daemon.metric('process_open_fds', text) == descriptors:
            return (time.monotonic() - begun) * 1000
    return float('inf')


def measure(program, models, phase):
    options, make, pause = PHASES[phase]
    daemon = Daemon(program, models, options)
    descriptors, before = daemon.metric('process_open_fds'), daemon.megabytes()
    stop = multiprocessing.Event()
    ours, theirs = multiprocessing.Pipe()
    watcher = multiprocessing.Process(target=watch, args=(daemon.process.pid, daemon.number, stop, theirs))
    watcher.start()
    ran, waited = scheduled(daemon.process.pid)
    if phase == NOBODY:
        time.sleep(pause)
    for first in range(0, 0 if phase == NOBODY else CLIENTS, WAVE):
        leave(wave(daemon.number, first, make, pause))
    ran, waited = (now - then for now, then in zip(scheduled(daemon.process.pid), (ran, waited)))
    stop.set()
    n, slowest, net, bad = ours.recv()
    watcher.join()
    back = returned(daemon, descriptors)
    time.sleep(0.5)  # and memory, a moment after the last has left
    cancelled = daemon.metric('nv_inference_request_failure{')
    answered = daemon.metric('nv_inference_request_success{')
    peak, after = daemon.megabytes('VmHWM'), daemon.megabytes()
    leave(wave(daemon.number, 0, make, pause))
    begun = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    status = daemon.process.wait(60)
    ended = (time.monotonic() - begun) * 1000
    good = net < 100 and not bad and back < 1000 and ended < 1000 and status == 0
    print('%-9s %6d %8.1f %6.1f %4d %6.0f %6.0f %9.0f %9d %9d %7.0f %5.0f %5.0f %8.0f %4d  %s' % (
        phase, n, slowest, net, bad, ran, waited, back, cancelled, answered, before, peak, after, ended, status,
        'good' if good else 'BAD'), flush=True)
    return good


def main():
    program, models, *phases = sys.argv[1:]
    print('phase     health  slowest    net  bad    ran waited  returned cancelled  answered  MB: at  most after  SIGTERM exit')
    return all([measure(program, models, phase) for phase in phases or PHASES])


if __name__ == '__main__':
    sys.exit(0 if main() else 1)

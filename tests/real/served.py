"""served.py - what meaning.py needs to ask a daemon: the daemon itself, V2 requests, stored cases, files.

The daemon is the built program, started on a folder of copies of the models with manifests beside them,
on a free port, with one worker; it is ended with the object. Tensors travel as JSON where they are small
and as bytes behind the JSON where they are not, so both ways are used. The standard library alone.
"""
import array
import http.client
import json
import math
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
import zlib

# numpy's name of a type: V2's name, array's letter
KINDS = {'float32': ('FP32', 'f'), 'int64': ('INT64', 'q'), 'int32': ('INT32', 'i'), 'uint8': ('UINT8', 'B')}
LETTERS = dict(KINDS.values())
SMALL = 4096  # elements that still travel as JSON


class Tensor:
    def __init__(self, kind, shape, data):
        self.kind, self.shape = kind, list(shape)
        self.data = data if isinstance(data, array.array) else array.array(LETTERS[kind], data)

    def rows(self, n):
        """The data in rows of n elements."""
        return [self.data[i:i + n] for i in range(0, len(self.data), n)]


def floats(shape, data):
    return Tensor('FP32', shape, data)


def zeros(*shape):
    return floats(shape, array.array('f', bytes(4 * math.prod(shape))))


def stored(folder, one):
    kind, letter = KINDS[one['dtype']]
    data = array.array(letter)
    with open(os.path.join(folder, one['file']), 'rb') as file:
        data.frombytes(file.read())
    return Tensor(kind, one['shape'], data)


def case(folder):
    """A stored case: inputs and outputs by name."""
    with open(os.path.join(folder, 'meta.json')) as file:
        meta = json.load(file)
    return [{one['name']: stored(folder, one) for one in meta[side]} for side in ('inputs', 'outputs')]


class Daemon:
    """`pairs`: models made of two of the others', {name: {file: model}}."""

    def __init__(self, program, root, models, manifests, pairs):
        self.folder = tempfile.mkdtemp(prefix='perceptd-meaning-')
        for name in models:
            place = os.path.join(self.folder, 'models', name)
            os.makedirs(place)
            for file in ('model.onnx', 'vocab.json'):
                if os.path.exists(os.path.join(root, name, file)):
                    shutil.copy(os.path.join(root, name, file), place)
            self.describe(place, manifests.get(name))
        for name, files in pairs.items():
            place = os.path.join(self.folder, 'models', name)
            os.makedirs(place)
            for file, model in files.items():
                shutil.copy(os.path.join(root, model, 'model.onnx'), os.path.join(place, file))
            self.describe(place, manifests[name])
        self.log = os.path.join(self.folder, 'log')
        with open(self.log, 'w') as log:
            self.process = subprocess.Popen(
                [program, 'serve', os.path.join(self.folder, 'models'), '--listen', '127.0.0.1:0', '--workers', '1',
                 '--private-regions'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        self.connection = http.client.HTTPConnection('127.0.0.1', self.port(), timeout=60)
        while self.status('/v2/health/ready') != 200:
            self.patience()

    @staticmethod
    def describe(place, manifest):
        if manifest:
            with open(os.path.join(place, 'manifest.json'), 'w') as file:
                json.dump({'manifest': 1, **manifest}, file)

    def patience(self):
        if self.process.poll() is not None:
            raise SystemExit('perceptd ended:\n' + open(self.log).read())
        time.sleep(0.02)

    def port(self):
        while True:
            with open(self.log) as file:
                found = re.search(r'at=http://127\.0\.0\.1:(\d+)', file.read())
            if found:
                return int(found[1])
            self.patience()

    def status(self, path):
        self.connection.request('GET', path)
        reply = self.connection.getresponse()
        reply.read()
        return reply.status

    def end(self):
        self.connection.close()
        self.process.terminate()
        status = self.process.wait(60)
        shutil.rmtree(self.folder)
        return status

    def post(self, model, body, headers):
        self.connection.request('POST', '/v2/models/%s/infer?outputs=true' % model, body, headers)
        reply = self.connection.getresponse()
        data = reply.read()
        if reply.status != 200:
            raise AssertionError('%s: %d %s' % (model, reply.status, data[:300].decode('utf-8', 'replace')))
        length = reply.getheader('Inference-Header-Content-Length')
        at = int(length) if length else len(data)
        told, outputs = json.loads(data[:at]), {}
        for one in told['outputs']:
            if 'data' in one:
                outputs[one['name']] = Tensor(one['datatype'], one['shape'], one['data'])
                continue
            size = one['parameters']['binary_data_size']
            values = array.array(LETTERS[one['datatype']])
            values.frombytes(data[at:at + size])
            outputs[one['name']] = Tensor(one['datatype'], one['shape'], values)
            at += size
        return outputs, told.get('predictions')

    def infer(self, model, inputs, **parameters):
        """Outputs by name; parameters are the request's. As JSON if all inputs are small; otherwise the large ones, and the reply, as bytes."""
        small = all(len(t.data) <= SMALL for t in inputs.values())
        listed, behind = [], b''
        for name, t in inputs.items():
            one = {'name': name, 'datatype': t.kind, 'shape': t.shape}
            if len(t.data) <= SMALL:
                one['data'] = t.data.tolist()
            else:
                one['parameters'] = {'binary_data_size': len(t.data) * t.data.itemsize}
                behind += t.data.tobytes()
            listed.append(one)
        request = {'inputs': listed, 'parameters': parameters}
        if not small:
            parameters['binary_data_output'] = True
        head = json.dumps(request).encode()
        return self.post(model, head + behind, {'Inference-Header-Content-Length': str(len(head))} if behind else {})[0]

    def generate(self, model, prompt, **parameters):
        body = json.dumps({'text_input': prompt, 'parameters': parameters})
        self.connection.request('POST', '/v2/models/%s/generate' % model, body)
        reply = self.connection.getresponse()
        told = json.loads(reply.read())
        if reply.status != 200:
            raise AssertionError('%s: %d %s' % (model, reply.status, told))
        return told['text_output']

    def sound(self, model, path):
        """Outputs by name, and predictions, of a WAV file."""
        with open(path, 'rb') as file:
            return self.post(model, file.read(), {'Content-Type': 'audio/wav'})

    def text(self, model, text):
        """Outputs by name, and predictions, of a text."""
        return self.post(model, text.encode(), {'Content-Type': 'text/plain'})

    def video(self, model, paths):
        """What is told of each frame of a video of these JPEGs, whose boxes are followed."""
        data = b''.join(open(path, 'rb').read() for path in paths)
        self.connection.request('POST', '/v2/models/%s/infer?track=true' % model, data,
                                {'Content-Type': 'video/x-motion-jpeg'})
        reply = self.connection.getresponse()
        lines = reply.read().splitlines()
        assert reply.status == 200, (reply.status, lines)
        return [json.loads(line) for line in lines]

    def picture(self, model, path):
        """Outputs by name, and predictions, of a PNG or JPEG file or bytes of a PNG."""
        png = isinstance(path, bytes) or path.endswith('.png')
        if not isinstance(path, bytes):
            with open(path, 'rb') as file:
                path = file.read()
        return self.post(model, path, {'Content-Type': 'image/png' if png else 'image/jpeg'})


def png(width, height, pixels):
    """A PNG of bytes: gray, or RGB where there are three for each pixel."""
    colour = len(pixels) // (width * height)

    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    lines = b''.join(b'\0' + bytes(pixels[y * width * colour:(y + 1) * width * colour]) for y in range(height))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2 if colour == 3 else 0, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(lines)) + chunk(b'IEND', b''))


def png_pixels(data):
    """Width, height and the bytes of an 8-bit PNG, gray or RGB, that is not interlaced."""
    at, packed = 8, b''
    while at < len(data):
        length, name = struct.unpack('>I4s', data[at:at + 8])
        body, at = data[at + 8:at + 8 + length], at + 12 + length
        if name == b'IHDR':
            width, height, _, colour = struct.unpack('>IIBB', body[:10])
        packed += body if name == b'IDAT' else b''
    n = 3 if colour == 2 else 1
    lines, pitch, above, out = zlib.decompress(packed), width * n, bytearray(width * n), bytearray()
    for y in range(height):
        kind, line = lines[y * (pitch + 1)], bytearray(lines[y * (pitch + 1) + 1:(y + 1) * (pitch + 1)])
        for i in range(pitch):
            a, b, c = line[i - n] if i >= n else 0, above[i], above[i - n] if i >= n else 0
            near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, near)[kind]) & 255
        out += line
        above = line
    return width, height, out


def wave_samples(path):
    """16-bit samples of a WAV file."""
    import wave
    with wave.open(path) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2), path
        return array.array('h', file.readframes(file.getnframes()))


def correlation(a, b):
    n = len(a)
    ma, mb = sum(a) / n, sum(b) / n
    ab = sum((x - ma) * (y - mb) for x, y in zip(a, b))
    return ab / math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))


# --- boxes: (score, class, x1, y1, x2, y2) ---------------------------------------------------------------

def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    both = w * h
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def nms(boxes, threshold):
    kept = []
    for box in sorted(boxes, reverse=True):
        if all(k[1] != box[1] or iou(k[2:], box[2:]) <= threshold for k in kept):
            kept.append(box)
    return kept


# --- Fourier transform of real signals, 2^k long ---------------------------------------------------------

def fft(x):
    n = len(x)
    if n == 1:
        return list(x)
    even, odd = fft(x[::2]), fft(x[1::2])
    turned = [w * o for w, o in zip(TURNS[n], odd)]
    return [e + t for e, t in zip(even, turned)] + [e - t for e, t in zip(even, turned)]


TURNS = {2 ** k: [complex(math.cos(2 * math.pi * i / 2 ** k), -math.sin(2 * math.pi * i / 2 ** k))
                  for i in range(2 ** k // 2)] for k in range(1, 12)}


def rfft(x):
    return fft(x)[:len(x) // 2 + 1]


def irfft(half):
    whole = half + [c.conjugate() for c in half[-2:0:-1]]
    return [c.real / len(whole) for c in fft([c.conjugate() for c in whole])]

#!/usr/bin/env python3
"""sounds.py PERCEPTD - are features of posted sounds what librosa and Kaldi define?

Serves networks that give back what they are given, each with a manifest of other features, posts a WAV of 16 bits and compares
the answer with numpy, written here from the definitions, and with torchaudio where it is installed: 1e-4 of the largest
magnitude before the logarithm (it is undone), 1e-3 after it where the value lies above the floor. Then the same sound as FLAC
and at another rate. Needs python3-onnx and -numpy; closes with "N passed, N failed".
"""
import http.client
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import TensorProto, helper

try:
    import torch
    import torchaudio
except ImportError:
    torchaudio = None

RATE = 16000
N = 16000


def signal():
    t = np.arange(N) / RATE
    noise = np.random.default_rng(7).standard_normal(N)
    x = 0.4 * np.sin(2 * np.pi * 300 * t * (1 + 3 * t)) + 0.02 * noise
    x[4000:5000] = 0
    return np.round(x * 32768) / 32768


# --- the definitions ----------------------------------------------------------------------------------------------------

def slaney(hz):
    hz = np.asarray(hz, float)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1e-9) / 1000) / np.log(6.4))


def slaney_hz(mel):
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def htk(hz):
    return 2595 * np.log10(1 + np.asarray(hz, float) / 700)


def htk_hz(mel):
    return 700 * (10 ** (mel / 2595) - 1)


def triangles(points, x):
    """filters[m][k] at places x, from n_mels + 2 points."""
    left, middle, right = points[:-2, None], points[1:-1, None], points[2:, None]
    return np.maximum(0, np.minimum((x - left) / (middle - left), (right - x) / (right - middle)))


def taper(kind, n, periodic):
    a = 2 * np.pi * np.arange(n) / (n if periodic else n - 1)
    hann = 0.5 - 0.5 * np.cos(a)
    return {'hann': hann, 'hamming': 0.54 - 0.46 * np.cos(a), 'povey': hann ** 0.85, 'rectangular': np.ones(n),
            'blackman': 0.42 - 0.5 * np.cos(a) + 0.08 * np.cos(2 * a)}[kind]


def dct(n_out, n_in):
    k, m = np.arange(n_out)[:, None], np.arange(n_in)[None]
    basis = np.cos(np.pi * k * (2 * m + 1) / (2 * n_in)) * np.sqrt(2 / n_in)
    basis[0] /= np.sqrt(2)
    return basis


def librosa(x, o):
    """Mel energies before the logarithm, [frames][n_mels]."""
    n_fft, hop = o.get('n_fft', 2048), o.get('hop_length')
    win = o.get('win_length', n_fft)
    hop = hop or win // 4
    if o.get('preemphasis'):
        x = np.concatenate([x[:1], x[1:] - o['preemphasis'] * x[:-1]])
    if o.get('center', True):
        x = np.pad(x, n_fft // 2, mode=o.get('pad_mode', 'constant'))
    window = np.zeros(n_fft)
    at = (n_fft - win) // 2
    window[at:at + win] = taper(o.get('window_type', 'hann'), win, True)
    frames = np.stack([x[i:i + n_fft] * window for i in range(0, len(x) - n_fft + 1, hop)])
    spectrum = np.abs(np.fft.rfft(frames)) ** o.get('power', 2)
    to, back = (htk, htk_hz) if o.get('mel_scale', 'slaney') == 'htk' else (slaney, slaney_hz)
    high = o.get('fmax', 0) if o.get('fmax', 0) > 0 else RATE / 2 + o.get('fmax', 0)
    points = back(np.linspace(to(o.get('fmin', 0)), to(high), o.get('n_mels', 128) + 2))
    filters = triangles(points, np.arange(n_fft // 2 + 1) * RATE / n_fft)
    if o.get('norm', 'slaney') == 'slaney':
        filters *= (2 / (points[2:] - points[:-2]))[:, None]
    return spectrum @ filters.T


def kaldi(x, o):
    win, hop = o.get('win_length', RATE * 25 // 1000), o.get('hop_length', RATE * 10 // 1000)
    n_fft = o.get('n_fft') or 1 << (win - 1).bit_length()
    if o.get('snip_edges', True):
        starts = np.arange(1 + (len(x) - win) // hop) * hop
    else:
        starts = np.arange((len(x) + hop // 2) // hop) * hop + hop // 2 - win // 2
    index = (starts[:, None] + np.arange(win)) % (2 * len(x))
    frames = x[np.where(index < len(x), index, 2 * len(x) - 1 - index)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - o.get('preemphasis', 0.97) * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = frames * taper(o.get('window_type', 'povey'), win, False)
    spectrum = np.abs(np.fft.rfft(frames, n_fft)) ** o.get('power', 2)
    mel = lambda hz: 1127 * np.log(1 + np.asarray(hz, float) / 700)
    high = o.get('fmax', 0) if o.get('fmax', 0) > 0 else RATE / 2 + o.get('fmax', 0)
    points = np.linspace(mel(o.get('fmin', 20)), mel(high), o.get('n_mels', 23) + 2)
    return spectrum[:, :-1] @ triangles(points, mel(np.arange(n_fft // 2) * RATE / n_fft)).T


def is_kaldi(o):
    return o['features'] in ('fbank', 'kaldi_mfcc')


def energies(x, o):
    return (kaldi if is_kaldi(o) else librosa)(x * o.get('range', 1), o)


def logarithms(e, o):
    floor = o.get('floor', 2.0 ** -23 if is_kaldi(o) else 1e-10)
    e = e + floor if o.get('log_guard') == 'add' else np.maximum(e, floor)
    kind = o.get('log', 'ln' if is_kaldi(o) else 'db')
    y = {'ln': np.log, 'log10': np.log10, 'db': lambda v: 10 * np.log10(v)}[kind](e)
    top = o.get('top_db', 0 if is_kaldi(o) else 80) * {'ln': np.log(10) / 10, 'log10': 0.1, 'db': 1}[kind]
    return np.maximum(y, y.max() - top) if top else y


def features(x, o):
    y = logarithms(energies(x, o), o)
    if 'mfcc' in o['features']:
        n = o.get('n_mfcc', 13 if is_kaldi(o) else 20)
        y = y @ dct(n, y.shape[1]).T
        lifter = o.get('lifter', 22 if is_kaldi(o) else 0)
        if lifter:
            y = y * (1 + lifter / 2 * np.sin(np.pi * (np.arange(n) + (not is_kaldi(o))) / lifter))
    if o.get('normalize') == 'features':
        y = (y - y.mean(axis=0)) / (y.std(axis=0, ddof=1) + 1e-5)
    return (y - o.get('mean', 0)) / o.get('std', 1)


CASES = {
    'librosa': {'features': 'log_mel'},
    'librosa-mfcc': {'features': 'mfcc'},
    'mfcc-lifter': {'features': 'mfcc', 'n_mfcc': 13, 'lifter': 22, 'n_fft': 512, 'hop_length': 160, 'n_mels': 40},
    'torchaudio': {'features': 'log_mel', 'n_fft': 400, 'hop_length': 160, 'n_mels': 64, 'mel_scale': 'htk', 'norm': 'none',
                   'pad_mode': 'reflect', 'top_db': 0},
    'whisper': {'features': 'log_mel', 'n_fft': 400, 'hop_length': 160, 'n_mels': 80, 'pad_mode': 'reflect', 'log': 'log10',
                'mean': -4, 'std': 4},
    'nemo': {'features': 'log_mel', 'n_fft': 512, 'win_length': 400, 'hop_length': 160, 'n_mels': 80, 'preemphasis': 0.97,
             'log': 'ln', 'top_db': 0, 'log_guard': 'add', 'floor': 2.0 ** -24, 'normalize': 'features'},
    'magnitudes': {'features': 'log_mel', 'n_fft': 480, 'hop_length': 240, 'n_mels': 32, 'power': 1, 'center': False,
                   'window_type': 'blackman', 'fmin': 50, 'fmax': 7600, 'log': 'log10', 'floor': 1e-5},
    'prime': {'features': 'log_mel', 'n_fft': 509, 'hop_length': 211, 'n_mels': 20},
    'kaldi-fbank': {'features': 'fbank', 'range': 32768, 'n_mels': 80},
    'zipformer': {'features': 'fbank', 'n_mels': 80, 'fmax': -400, 'snip_edges': False},
    'ast': {'features': 'fbank', 'n_mels': 128, 'window_type': 'hann', 'mean': -4.2677393, 'std': 9.1379948},
    'hamming': {'features': 'fbank', 'n_mels': 40, 'window_type': 'hamming', 'power': 1, 'preemphasis': 0},
    'kaldi-mfcc': {'features': 'kaldi_mfcc', 'range': 32768},
    'telespeech': {'features': 'kaldi_mfcc', 'range': 32768, 'n_mels': 40, 'n_mfcc': 40, 'fmax': -200, 'snip_edges': False},
}


def torchaudios(x, o, name):
    """Its own answer, where it has the definition; None elsewhere."""
    X = torch.from_numpy(x * o.get('range', 1))[None]
    more = {'num_mel_bins': o.get('n_mels', 23), 'dither': 0, 'snip_edges': o.get('snip_edges', True),
            'high_freq': o.get('fmax', 0), 'preemphasis_coefficient': o.get('preemphasis', 0.97),
            'window_type': {'hann': 'hanning'}.get(o.get('window_type'), o.get('window_type', 'povey'))}
    if o['features'] == 'fbank':
        y = torchaudio.compliance.kaldi.fbank(X, use_power=o.get('power', 2) == 2, **more)
    elif o['features'] == 'kaldi_mfcc':
        y = torchaudio.compliance.kaldi.mfcc(X, num_ceps=o.get('n_mfcc', 13), **more)
    elif name == 'torchaudio':
        mel = torchaudio.transforms.MelSpectrogram(RATE, o['n_fft'], hop_length=o['hop_length'], n_mels=o['n_mels']).double()
        y = torchaudio.transforms.AmplitudeToDB(top_db=None)(mel(X))[0].T
    else:
        return None
    return (y.numpy().astype(float) - o.get('mean', 0)) / o.get('std', 1)


# --- the daemon ---------------------------------------------------------------------------------------------------------

def write_model(folder, name, width, manifest):
    os.makedirs(os.path.join(folder, name))
    dims = ['n', 't', width] if width else ['n', 't']
    values = [helper.make_tensor_value_info(v, TensorProto.FLOAT, dims) for v in 'xy']
    graph = helper.make_graph([helper.make_node('Identity', ['x'], ['y'])], 'same', values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8),
              os.path.join(folder, name, 'model.onnx'))
    with open(os.path.join(folder, name, 'manifest.json'), 'w') as file:
        json.dump({'manifest': 1, 'inputs': {'x': {'kind': 'audio', 'rate': RATE, **manifest}}}, file)


def wave(x, rate):
    data = np.round(x * 32768).astype('<i2').tobytes()
    head = struct.pack('<HHIIHH', 1, 1, rate, rate * 2, 2, 16)
    return b'RIFF' + struct.pack('<I', len(data) + 36) + b'WAVEfmt ' + struct.pack('<I', 16) + head + b'data' + struct.pack(
        '<I', len(data)) + data


class Daemon:
    def __init__(self, program, folder):
        self.log = os.path.join(folder, 'log')
        with open(self.log, 'w') as log:
            self.process = subprocess.Popen([program, 'serve', os.path.join(folder, 'models'), '--listen', '127.0.0.1:0',
                                             '--workers', '1', '--private-regions'], stderr=log)
        found = None
        while not found:
            assert self.process.poll() is None, open(self.log).read()
            time.sleep(0.02)
            found = re.search(r'serving .*at=http://127\.0\.0\.1:(\d+)', open(self.log).read())
        self.port = int(found[1])

    def post(self, model, body, kind):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        connection.request('POST', '/v2/models/%s/infer' % model, body, {'Content-Type': kind})
        reply = connection.getresponse()
        told = json.loads(reply.read())
        assert reply.status == 200, told
        (y,) = told['outputs']
        return np.array(y['data']).reshape(y['shape'])[0]

    def end(self):
        self.process.terminate()
        return self.process.wait()


def difference(got, want, o):
    """How far a case is off, of what is allowed: 1 is the bound."""
    assert got.shape == want.shape, '%s instead of %s' % (got.shape, want.shape)
    if 'mfcc' in o['features'] or o.get('normalize'):
        return np.abs(got - want).max() / (1e-4 * np.abs(want).max())  # sums over logarithms
    got, want = [v * o.get('std', 1) + o.get('mean', 0) for v in (got, want)]
    kind = o.get('log', 'ln' if is_kaldi(o) else 'db')
    before = {'ln': np.exp, 'log10': lambda v: 10 ** v, 'db': lambda v: 10 ** (v / 10)}[kind]
    floor = o.get('floor', 2.0 ** -23 if is_kaldi(o) else 1e-10)
    above = before(want) > 4 * floor
    return max(np.abs(before(got) - before(want)).max() / (1e-4 * before(want).max()),
               np.abs(got - want)[above].max() / 1e-3)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder, x, failed, passed = tempfile.mkdtemp(prefix='perceptd-sounds-'), signal(), 0, 0
    os.makedirs(os.path.join(folder, 'models'))
    for name, o in CASES.items():
        write_model(os.path.join(folder, 'models'), name, features(x[:4000], o).shape[1], o)
    write_model(os.path.join(folder, 'models'), 'samples', 0, {})
    daemon = Daemon(sys.argv[1], folder)

    def check(name, off):
        nonlocal failed, passed
        passed, failed = passed + (off <= 1), failed + (not off <= 1)
        print('%s%s: %.3f of the bound' % ('' if off <= 1 else 'failed: ', name, off), flush=True)
    try:
        for name, o in CASES.items():
            got = daemon.post(name, wave(x, RATE), 'audio/wav')
            check(name, difference(got, features(x, o), o))
            theirs = torchaudios(x, o, name) if torchaudio else None
            if theirs is not None:
                check(name + ', torchaudio', difference(got, theirs, o))
        check('samples', np.abs(daemon.post('samples', wave(x, RATE), 'audio/wav') - x).max() / 1e-6)
        bare = np.round(x * 32768).astype('>i2').tobytes()
        check('audio/L16', np.abs(daemon.post('samples', bare, 'audio/L16;rate=16000') - x).max() / 1e-6)
        t = np.arange(48000) / 48000
        tone = daemon.post('samples', wave(0.5 * np.sin(2 * np.pi * 440 * t), 48000), 'audio/wav')
        want = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(tone)) / RATE)
        check('48000 to 16000', np.abs(tone - want)[2000:-2000].max() / 1e-4)
    finally:
        status = daemon.end()
        shutil.rmtree(folder)
    failed += status != 0
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(failed > 0)


main()

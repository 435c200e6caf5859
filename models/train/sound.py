"""Recordings of spoken digits, what is done to them in training, and their features as the daemon computes them."""
import io
import tarfile
import wave

import numpy as np

import common

RATE, N_FFT, WIN, HOP, MELS = 8000, 256, 200, 100, 32
FLOOR, MEAN, STD = 1e-2, 2.0, 4.0

# In a manifest's words.
FEATURES = {"kind": "audio", "rate": RATE, "normalize": "samples", "layout": "NTF", "features": "log_mel", "n_fft": N_FFT, "win_length": WIN,
            "hop_length": HOP, "n_mels": MELS, "mel_scale": "htk", "norm": "none", "log": "ln", "log_guard": "add",
            "floor": FLOOR, "top_db": 0, "mean": MEAN, "std": STD}


def recordings():
    """{name such as 7_jackson_3: samples, float32 from -1 to 1}, in the order of their names."""
    found = {}
    with tarfile.open(common.DATA / "fsdd" / "fsdd_600.tar.gz") as tar:
        for member in tar:
            if member.name.endswith(".wav"):
                with wave.open(io.BytesIO(tar.extractfile(member).read())) as file:
                    assert file.getframerate() == RATE and file.getnchannels() == 1 and file.getsampwidth() == 2
                    raw = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                found[member.name.split("/")[-1][:-4]] = (raw / 32768).astype(np.float32)
    return dict(sorted(found.items()))


def parts(name):
    """Digit, speaker and take of a recording's name."""
    digit, speaker, take = name.split("_")
    return int(digit), speaker, int(take)


def joined(clips, gaps):
    """Recordings one after the other, each followed by so many samples of silence."""
    return np.concatenate([piece for clip, gap in zip(clips, gaps) for piece in (clip, np.zeros(gap, np.float32))])


def faster(x, by):
    """Played `by` times as fast, the pitch with it."""
    return np.interp(np.arange(0, len(x) - 1, by), np.arange(len(x)), x).astype(np.float32)


def with_noise(x, decibel, random):
    """White noise so far below the mean power of the sound."""
    power = np.mean(x ** 2) * 10 ** (-decibel / 10)
    return (x + np.sqrt(power) * random.standard_normal(len(x))).astype(np.float32)


def filters():
    """Triangles on HTK's mel scale, [MELS,N_FFT/2+1]."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    hz = np.arange(N_FFT // 2 + 1) * RATE / N_FFT
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    return np.maximum(0, np.minimum((hz - left) / (middle - left), (right - hz) / (right - middle)))


FILTERS = filters().T.astype(np.float32)
WINDOW = np.zeros(N_FFT, np.float32)
WINDOW[(N_FFT - WIN) // 2:(N_FFT + WIN) // 2] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WIN) / WIN)


def features(x):
    """[frames,MELS] of a sound: frames around their times, zeros beyond the ends."""
    x = np.pad((x - x.mean()) / np.sqrt(x.var() + 1e-7), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(x, N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * WINDOW)) ** 2
    return ((np.log(power.astype(np.float32) @ FILTERS + FLOOR) - MEAN) / STD).astype(np.float32)

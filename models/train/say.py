"""Trains `say`: how do digits sound that are spelled out?

A GRU reads the letters in both directions; of each letter a perceptron makes sixteen frames of 64 numbers, and a small
vocoder that is part of the network makes a signal of them: an inverse modified discrete cosine transform, whose frames
overlap by half (Princen and Bradley, 1986). What it learns are ten recordings of one speaker, in any order. They are
of those that `hear` has not heard, so that it can be the judge.
"""
import wave

import numpy as np
import torch
from torch import nn

import common
import hear
import sound

WORDS = "zero one two three four five six seven eight nine".split()
SPEAKER, TAKE, LEVEL = "nicolas", 0, 0.08
COEFFICIENTS, FRAMES = 64, 16
LETTER = COEFFICIENTS * FRAMES  # samples
LETTERS = [" "] + sorted(set("".join(WORDS)))
EPOCHS, STEPS, BATCH, COUNT = 10, 60, 12, 3


def basis():
    """The transform's frames, [COEFFICIENTS,1,2*COEFFICIENTS], orthonormal."""
    k, n = np.arange(COEFFICIENTS)[:, None] + 0.5, np.arange(2 * COEFFICIENTS) + 0.5
    rows = np.cos(np.pi / COEFFICIENTS * (n + COEFFICIENTS / 2) * k) * np.sin(np.pi * n / (2 * COEFFICIENTS))
    return torch.tensor(rows * (2 / COEFFICIENTS) ** 0.5).float()[:, None]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), 24)
        self.gru = common.Recurrent("GRU", 24, 64, directions=2)
        self.hidden = nn.Linear(128, 128)
        self.frames = nn.ConvTranspose1d(128, COEFFICIENTS, FRAMES, stride=FRAMES)
        self.vocoder = nn.ConvTranspose1d(COEFFICIENTS, 1, 2 * COEFFICIENTS, stride=COEFFICIENTS, bias=False)
        self.vocoder.weight = nn.Parameter(basis(), requires_grad=False)

    def forward(self, letters):
        """[N,length] -> samples [N,length*LETTER+COEFFICIENTS]"""
        x = torch.tanh(self.hidden(self.gru(self.embedding(letters).transpose(0, 1))))
        return self.vocoder(self.frames(x.permute(1, 2, 0))).squeeze(1)


def spelled(digits):
    return " ".join(WORDS[d] for d in digits)


def encode(text):
    return [LETTERS.index(c) for c in text]


def signal(digits, clips):
    """What a spelled string shall sound like: a word begins with its first letter."""
    text = spelled(digits)
    x, at = np.zeros(len(text) * LETTER + COEFFICIENTS, np.float32), 0
    for d in digits:
        clip = clips[f"{d}_{SPEAKER}_{TAKE}"][:len(WORDS[d]) * LETTER]
        x[at:at + len(clip)] = clip * (LEVEL / np.sqrt(np.mean(clip ** 2)))
        at += (len(WORDS[d]) + 1) * LETTER
    return x


def strings(random):
    """Strings of digits whose spellings are equally long."""
    first = random.randint(10, size=COUNT)
    length, rows = len(spelled(first)), [first]
    while len(rows) < BATCH:
        row = random.randint(10, size=COUNT)
        if len(spelled(row)) == length:
            rows.append(row)
    return rows


@torch.no_grad()
def understood(model, listener):
    """Digits that `hear` recognises in 100 strings of five, of 500."""
    random, wrong = np.random.RandomState(6), 0
    for _ in range(100):
        digits = random.randint(10, size=5)
        x = said(model, spelled(digits)).astype(np.float32) / 32768
        wrong += hear.errors(hear.heard(listener, x), list(digits))
    return 500 - wrong


@torch.no_grad()
def said(model, text):
    """Samples as a WAV of 16 bits has them."""
    x = model(torch.tensor([encode(text)]))[0].numpy()
    return np.clip(np.rint(x * 32768), -32768, 32767).astype("<i2")


def save_sample(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.RATE)
        file.writeframes(samples.tobytes())


def main():
    clips, model = sound.recordings(), Network()

    def cost(seed):
        rows = strings(np.random.RandomState(seed))
        x = model(torch.tensor([encode(spelled(row)) for row in rows]))
        return ((x - torch.tensor(np.stack([signal(row, clips) for row in rows]))) ** 2).mean() / LEVEL ** 2

    common.learn("say", model, lambda random: list(random.randint(1 << 30, size=STEPS)), cost, EPOCHS, rate=4e-3,
                 decay=0.0)
    common.halve(model)
    hits = understood(model, common.load(hear.Network(), "hear"))
    print(f"{hits} of 500 digits are recognised by hear")
    if common.CHOOSE:
        return
    low, high = common.interval(hits, 500)
    common.export(common.MODELS / "say" / "model.onnx", model, torch.zeros(1, 4, dtype=torch.long),
                  {"letters": ["N", "length"]}, {"sound": ["N", "samples"]}, half=True)
    save_sample(common.MODELS / "say" / "sample.wav", said(model, "three one four"))
    common.write("say", {
        "description": "Says digits that are spelled out, such as: three one four.",
        "license": "weights CC-BY-SA-4.0, since they hold ten recordings of the free-spoken-digit-dataset",
        "inputs": {"letters": {"kind": "text", "tokenizer": "characters", "vocabulary": "vocab.txt", "lowercase": True,
                               "max_length": 256}},
        "task": {"kind": "audio", "rate": sound.RATE},
        "accuracy": {"metric": "share of digits that models/hear recognises", "value": hits / 500, "low": low,
                     "high": high, "n": 500, "data": "fsdd",
                     "split": "strings of five digits; hear was not trained on the recordings that are said"},
    }, {"vocab.txt": LETTERS})


if __name__ == "__main__":
    main()

"""Trains `hear`: which digits are spoken here, one after the other?

Convolutions over the time of mel spectra, a GRU that reads forwards and one that reads backwards, CTC (Graves 2006).
The 600 recordings of single digits are joined into strings, with pauses, at other speeds, with noise, anew
for each step. Takes 0 and 1 of each digit and speaker are held out. `hear.py --left-out` trains a network without one
speaker and writes nothing: how well are those heard whom it does not know?
"""
import sys

import numpy as np
import torch
from torch import nn

import common
import sound

LEFT_OUT = "theo"
STRINGS, STEPS, EPOCHS, BATCH = 300, 120, 9, 12


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.near = nn.Sequential(nn.Conv1d(sound.MELS, 64, 5, stride=2, padding=2), nn.ReLU(),
                                  nn.Conv1d(64, 64, 5, stride=2, padding=2), nn.ReLU())
        self.gru = common.Recurrent("GRU", 64, 64, directions=2)
        self.head, self.dropout = nn.Conv1d(128, 11, 1), nn.Dropout(0.2)

    def forward(self, mels):
        """[N,time,MELS] -> scores [N,time/4,11]; class 0 is CTC's blank."""
        x = self.near(mels.transpose(1, 2)).permute(2, 0, 1)
        return self.head(self.dropout(self.gru(self.dropout(x))).permute(1, 2, 0)).transpose(1, 2)


def string(pool, random, shortest, longest):
    """Some recordings of one speaker, and pauses: (names, samples of silence behind each)."""
    names = pool[random.randint(len(pool))]
    count = random.randint(shortest, longest + 1)
    return [names[k] for k in random.randint(len(names), size=count)], random.randint(0, 1600, size=count)


def by_speaker(names):
    groups = {}
    for name in names:
        groups.setdefault(sound.parts(name)[1], []).append(name)
    return list(groups.values())


def varied(x, random):
    """A string as another microphone, another day might have had it."""
    x = sound.faster(x, random.uniform(0.85, 1.18))
    around = np.pad(x, (random.randint(2000), random.randint(2000)))
    if random.rand() < 0.7:
        around = sound.with_noise(around, random.uniform(8, 40), random)
    return around


def batch_of(clips, pool, random):
    """Mel spectra [BATCH,time,MELS], what is said, and how many digits each has."""
    made, said = [], []
    for _ in range(BATCH):
        names, gaps = string(pool, random, 1, 4)
        made.append(varied(sound.joined([clips[name] for name in names], gaps), random))
        said.append([sound.parts(name)[0] for name in names])
    longest = max(map(len, made))
    x = np.stack([sound.features(np.pad(clip, (0, longest - len(clip)))) for clip in made])
    return torch.tensor(x), torch.tensor(sum(said, [])), torch.tensor([len(row) for row in said])


def train(name, clips, pool):
    model = Network()

    def cost(seed):
        x, said, lengths = batch_of(clips, pool, np.random.RandomState(seed))
        steps = model(x).log_softmax(2).transpose(0, 1)
        return nn.functional.ctc_loss(steps, said + 1, torch.full((BATCH,), len(steps)), lengths)

    common.learn(name, model, lambda random: list(random.randint(1 << 30, size=STEPS)), cost, EPOCHS, rate=5e-3,
                 decay=1e-3, clip=5.0)
    common.halve(model)
    return model


@torch.no_grad()
def heard(model, x):
    best = model(torch.tensor(sound.features(x))[None])[0].argmax(1).tolist()
    return [c - 1 for c, before in zip(best, [0] + best) if c and c != before]


def errors(got, want):
    """Levenshtein's distance."""
    row = list(range(len(want) + 1))
    for i, g in enumerate(got):
        row, last = [i + 1] + [0] * len(want), row
        for j, w in enumerate(want):
            row[j + 1] = min(last[j] + (g != w), last[j + 1] + 1, row[j] + 1)
    return row[-1]


def word_error_rate(model, clips, strings, change=lambda x, random: x):
    random = np.random.RandomState(5)
    wrong = total = 0
    for names, gaps in strings:
        want = [sound.parts(name)[0] for name in names]
        wrong += errors(heard(model, change(sound.joined([clips[name] for name in names], gaps), random)), want)
        total += len(want)
    return round(wrong / total, 4), total


def held_strings(names):
    """Strings of three to seven digits, of which each recording is in about as many as any other."""
    random, pool = np.random.RandomState(4), by_speaker(names)
    return [string(pool, random, 3, 7) for _ in range(STRINGS)]


def main():
    clips = sound.recordings()
    takes = (2, 3) if common.CHOOSE else (0, 1)
    held = [name for name in clips if sound.parts(name)[2] in takes]
    learnt = [name for name in clips if sound.parts(name)[2] not in (0, 1, *takes)]
    model, strings = train("hear", clips, by_speaker(learnt)), held_strings(held)
    value, n = word_error_rate(model, clips, strings)
    print(f"word error rate of {n} digits, joined: {value}")
    for what, change in (("noise 20 dB below", lambda x, random: sound.with_noise(x, 20, random)),
                         ("10 % slower", lambda x, random: sound.faster(x, 0.9)),
                         ("10 % faster", lambda x, random: sound.faster(x, 1.1))):
        print(f"{what}: {word_error_rate(model, clips, strings, change)[0]}", flush=True)
    if common.CHOOSE:
        return
    common.export(common.MODELS / "hear" / "model.onnx", model, torch.zeros(1, 40, sound.MELS),
                  {"sound": ["N", "time"]}, {"scores": ["N", "steps"]}, half=True)
    common.write("hear", {
        "description": "Writes down spoken English digits.",
        "license": "weights MIT; data free-spoken-digit-dataset, CC-BY-SA-4.0",
        "inputs": {"sound": sound.FEATURES},
        "labels": list("0123456789"),
        "task": {"kind": "ctc", "activation": "softmax"},
        "accuracy": {"metric": "word error rate", "value": value, "n": n, "data": "fsdd",
                     "split": "takes 0 and 1 of each digit and speaker held out, joined into strings of 3 to 7 digits"},
    }, {"heldout.txt": [" ".join(f"{name} {gap}" for name, gap in zip(*row)) for row in strings]})


def measure_left_out():
    """How well a voice is heard that was not there in training: a network for this figure only."""
    clips = sound.recordings()
    alone = [name for name in clips if sound.parts(name)[1] == LEFT_OUT]
    model = train("hear-left-out", clips, by_speaker(name for name in clips if name not in alone))
    print(f"trained without {LEFT_OUT}, of all that {LEFT_OUT} says: "
          f"{word_error_rate(model, clips, held_strings(alone))[0]}")


if __name__ == "__main__":
    measure_left_out() if "--left-out" in sys.argv[1:] else main()

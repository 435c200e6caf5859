"""Trains `shakespeare`: how does a play go on, character by character?

One LSTM over embedded characters. The text is read as 32 streams side by side; a stream's state is carried from one
step of training to the next, so that the network meets states like those of a text that has been going on for long.
Large weights are stored in half precision; what is measured was rounded before.
"""
import gzip
import json
import math

import torch
from torch import nn

import common

HIDDEN, STREAMS, STEP, EPOCHS = 256, 32, 64, 7


class Network(nn.Module):
    def __init__(self, characters):
        super().__init__()
        self.embedding = nn.Embedding(characters, 64)
        self.lstm = common.Recurrent("LSTM", 64, HIDDEN)
        self.head, self.dropout = nn.Linear(HIDDEN, characters), nn.Dropout(0.1)
        nn.init.ones_(self.lstm.layer.bias_ih_l0.data[HIDDEN:2 * HIDDEN])  # forget little at first

    def forward(self, characters, h, c):
        """[N,length] and two states [N,HIDDEN] -> scores [N,length,characters], the states behind."""
        states, h, c = self.lstm.step(self.dropout(self.embedding(characters)).transpose(0, 1), h, c)
        return self.head(self.dropout(states)).transpose(0, 1), h, c


def zeros(count):
    return torch.zeros(count, HIDDEN), torch.zeros(count, HIDDEN)


@torch.no_grad()
def nats(model, ids):
    """The mean of -log p over all characters but the first, read from the beginning to the end."""
    h, c = zeros(1)
    total = 0.0
    for start in range(0, len(ids) - 1, 512):
        piece = ids[start:start + 513]
        scores, h, c = model(piece[None, :-1], h, c)
        total += nn.functional.cross_entropy(scores[0], piece[1:], reduction="sum").item()
    return total / (len(ids) - 1)


def main():
    text = gzip.decompress((common.DATA / "tinyshakespeare" / "input.txt.gz").read_bytes()).decode("ascii")
    characters = sorted(set(text))
    ids = torch.tensor([characters.index(c) for c in text])
    cut, end = (int(len(ids) * share) for share in ((0.9, 0.95) if common.CHOOSE else (0.95, 1)))
    train, held = ids[:cut], ids[cut:end]
    model = Network(len(characters))
    carried = {}

    def batches(random):
        """Where an epoch's steps begin. Its streams begin at another place each time."""
        carried["state"], carried["offset"] = zeros(STREAMS), random.randint(STEP)
        return list(range(0, (cut - STEP) // STREAMS - STEP - 1, STEP))

    def cost(start):
        width = (cut - STEP) // STREAMS
        rows = train[carried["offset"]:][:width * STREAMS].view(STREAMS, width)[:, start:start + STEP + 1]
        scores, h, c = model(rows[:, :-1], *carried["state"])
        carried["state"] = h.detach(), c.detach()
        return nn.functional.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten())

    common.learn("shakespeare", model, batches, cost, EPOCHS, rate=5e-3, decay=1e-3, rising=0.08)
    common.halve(model)
    value = round(nats(model, held), 4)
    print(f"{value} nats a character, a perplexity of {math.exp(value):.2f}")
    if common.CHOOSE:
        return
    states = {"h_in": ["N"], "c_in": ["N"]}
    common.export(common.MODELS / "shakespeare" / "model.onnx", model, (torch.zeros(2, 3, dtype=torch.long), *zeros(2)),
                  {"characters": ["N", "length"], **states},
                  {"scores": ["N", "length"], "h_out": ["N"], "c_out": ["N"]}, half=True)
    common.write("shakespeare", {
        "description": "Goes on with a play, character by character.",
        "license": "weights MIT; text of Shakespeare, public domain",
        "inputs": {"characters": {"kind": "text", "tokenizer": "characters", "vocabulary": "vocab.json",
                                  "max_length": 4096}},
        "sequence": {"state": [{"input": "h_in", "output": "h_out"}, {"input": "c_in", "output": "c_out"}]},
        "generate": {"input": "characters", "output": "scores", "max_new_tokens": 4096},
        "accuracy": {"metric": "nats per character", "value": value, "n": len(held) - 1, "data": "tinyshakespeare",
                     "split": "the last 5 % held out, read from its beginning; trained on the first 95 %"},
    }, {"vocab.json": json.dumps(characters) + "\n"})


if __name__ == "__main__":
    main()

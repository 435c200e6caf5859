"""Trains `names`: which of 18 languages does a surname come from?

Embedding of characters, a GRU that reads forwards and one that reads backwards, one matrix product.
Nearly half of the names are Russian and very few Vietnamese: rare languages weigh more in training (by the
square root of their rarity), which costs a little accuracy over all and gives each language a chance.
"""
import torch
from torch import nn

import common

MAX_LENGTH = 32


class Network(nn.Module):
    def __init__(self, characters, languages):
        super().__init__()
        self.embedding = nn.Embedding(characters, 32)
        self.gru = common.Recurrent("GRU", 32, 96, directions=2, last=True)
        self.dropout, self.head = nn.Dropout(0.4), nn.Linear(192, languages)

    def forward(self, characters):
        return self.head(self.dropout(self.gru(self.dropout(self.embedding(characters.t())))))


def read():
    """Names in lower case, labels, languages, and the indices (training, held out: each file's every fifth line)."""
    names, labels, parts = [], [], ([], [])
    files = sorted((common.DATA / "names").glob("*.txt"))
    for label, file in enumerate(files):
        for line, name in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            parts[line % 5 == 0].append(len(names))
            names.append(name.strip().lower())
            labels.append(label)
    return names, torch.tensor(labels), [file.stem for file in files], parts


def main():
    names, labels, languages, (train, held) = read()
    known = common.vocabulary(names[i] for i in train)
    ids = common.encode(names, known, MAX_LENGTH)
    weight = torch.bincount(labels[train], minlength=len(languages)).double().rsqrt().float()

    def fetch(batch):
        characters = torch.tensor([ids[i] for i in batch])
        return characters.masked_fill(torch.rand(characters.shape) < 0.03, 1), labels[batch]

    model = Network(len(known), len(languages))
    common.fit(model, lambda random: common.equal_lengths(ids, train, 32, random), fetch, epochs=25, rate=4e-3,
               weight=weight / weight.mean())
    got, want = common.answers(model, [ids[i] for i in held]), labels[held]
    each = [common.accuracy(got[want == k], k) for k in range(len(languages))]
    print("  ".join(f"{language} {value}" for language, value in zip(languages, each)))
    seen = {(names[i], labels[i].item()) for i in train}
    new = torch.tensor([(names[i], labels[i].item()) not in seen for i in held])
    print(f"not repeated from the training part: {int(new.sum())} names, {common.accuracy(got[new], want[new])}")
    common.save("names", model, torch.full((2, 5), 2), {"characters": ["N", "length"]}, {
        "description": "Guesses which of 18 languages a surname comes from.",
        "license": "weights MIT; data names of practical-pytorch, MIT",
        "inputs": {"characters": {"kind": "text", "tokenizer": "characters", "vocabulary": "vocab.txt",
                                  "lowercase": True, "max_length": MAX_LENGTH, "pad": 0, "unknown": 1}},
        "labels": "labels.txt",
        "task": common.classify(5),
        "batching": {"max_batch_size": 32},
        "accuracy": {"metric": "accuracy", "value": common.accuracy(got, want), "n": len(want), "data": "names",
                     "split": "each file's every fifth line held out", "macro": round(sum(each) / len(each), 4)},
    }, {"vocab.txt": known, "labels.txt": languages})


main()

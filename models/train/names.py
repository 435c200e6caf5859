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
    """Names in lower case, labels, languages, each name's line among those of all files, and the indices of the two parts.

    The files repeat names, in one language and between languages. Each is taken once in a language. Of a language's
    names every fifth is held out, in every language that has it; the second of five is for choosing."""
    names, labels, keys, lines, turns = [], [], [], [], {}
    files, line = sorted((common.DATA / "names").glob("*.txt")), 0
    for label, file in enumerate(files):
        seen = set()
        for name in file.read_text(encoding="utf-8").splitlines():
            key, line = common.plain(name), line + 1
            if key in seen:
                continue
            seen.add(key)
            turns.setdefault(key, set()).add(len(seen) % 5)
            names.append(name.strip().lower())
            labels.append(label)
            keys.append(key)
            lines.append(line - 1)
    held = {key for key in turns if 0 in turns[key]}
    check = {key for key in turns if 2 in turns[key]} - held
    aside = held | check if common.CHOOSE else held
    measured = check if common.CHOOSE else held
    parts = [i for i, key in enumerate(keys) if key not in aside], [i for i, key in enumerate(keys) if key in measured]
    return names, torch.tensor(labels), [file.stem for file in files], lines, parts


def main():
    names, labels, languages, lines, (train, measured) = read()
    known = common.vocabulary(names[i] for i in train)
    ids = common.encode(names, known, MAX_LENGTH)
    weight = torch.bincount(labels[train], minlength=len(languages)).double().rsqrt().float()

    def fetch(batch):
        characters = torch.tensor([ids[i] for i in batch])
        return characters.masked_fill(torch.rand(characters.shape) < 0.03, 1), labels[batch]

    model = Network(len(known), len(languages))
    common.fit(model, lambda random: common.equal_lengths(ids, train, 32, random), fetch, epochs=25, rate=4e-3,
               weight=weight / weight.mean())
    got, want = common.answers(model, [ids[i] for i in measured]), labels[measured]
    each = [common.accuracy(got[want == k], k) for k in range(len(languages))]
    print("  ".join(f"{language} {value}" for language, value in zip(languages, each)))
    common.save("names", model, torch.full((2, 5), 2), {"characters": ["N", "length"]}, {
        "description": "Guesses which of 18 languages a surname comes from.",
        "license": "weights MIT; data names of practical-pytorch, MIT",
        "inputs": {"characters": {"kind": "text", "tokenizer": "characters", "vocabulary": "vocab.txt",
                                  "lowercase": True, "max_length": MAX_LENGTH, "pad": 0, "unknown": 1}},
        "labels": "labels.txt",
        "task": common.classify(5),
        "batching": {"max_batch_size": 32},
        "accuracy": common.measured(got, want, "names", "every fifth different name of a language held out, in all "
                                    "languages that have it", macro=round(sum(each) / len(each), 4)),
    }, {"vocab.txt": known, "labels.txt": languages, "heldout.txt": [lines[i] for i in measured]})


main()

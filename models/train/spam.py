"""Trains `spam`: is a short message spam or ham?

Embedding, LSTM, the largest value each state ever had, and one matrix product. Words are cut as the server
cuts them (see `words`). Texts of equal length are trained together, without padding, as the server runs them.
Words that occur once in the training part become <unk>; so do some others at random, so that it is learnt.
Spam is sent in series, with other amounts and numbers; what is alike never lies on both sides (see `split`).
"""
import gzip
import re

import torch
from torch import nn

import common

MAX_LENGTH = 64
HELD_FROM = 4458


class Network(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(words, 24), common.Recurrent("LSTM", 24, 48)
        self.dropout, self.head = nn.Dropout(0.4), nn.Linear(48, 2)

    def forward(self, tokens):
        states = self.lstm(self.dropout(self.embedding(tokens.t())))  # [length,N,48]
        return self.head(self.dropout(states.amax(0)))


def words(text):
    """Lower case; runs of letters, digits and apostrophes; every other character but space by itself."""
    return re.findall(r"(?:[^\W_]|')+|[^\w\s]|_", text.lower())


def runs(text):
    """What a message is recognised by: its runs of three words, punctuation left out, all digits alike."""
    text = [re.sub(r"\d", "0", word) for word in text if word[0].isalnum()]
    return {tuple(text[i:i + 3]) for i in range(max(1, len(text) - 2))}


def alike(of, others, known):
    """{message of `of`: those of `others` that share with it half of the runs that the two have}."""
    holders, found = {}, {i: [] for i in of}
    for k in others:
        for run in known[k]:
            holders.setdefault(run, []).append(k)
    for i in of:
        shared = {}
        for run in known[i]:
            for k in holders.get(run, ()):
                shared[k] = shared.get(k, 0) + 1
        found[i] = [k for k, n in shared.items() if k != i and 2 * n >= len(known[i] | known[k])]
    return found


def split(texts):
    """The last fifth of the file is held out, and of messages in it that are alike all but the first are left out. Trained
    is on the others that are like none of it. For choosing, the fifth before it is measured."""
    known, fifth = [runs(text) for text in texts], len(texts) - HELD_FROM
    end = HELD_FROM if common.CHOOSE else len(texts)
    train, measured = range(end - fifth), range(end - fifth, end)
    earlier, near = alike(measured, measured, known), alike(train, range(end - fifth, len(texts)), known)
    return [i for i in train if texts[i] and not near[i]], [i for i in measured if all(k > i for k in earlier[i])]


def main():
    lines = gzip.decompress((common.DATA / "sms-spam/sms.tsv.gz").read_bytes()).decode().splitlines()
    kinds = ["ham", "spam"]
    labels = torch.tensor([kinds.index(line.split("\t", 1)[0]) for line in lines])
    texts = [words(line.split("\t", 1)[1]) for line in lines]
    train, measured = split(texts)
    known = common.vocabulary((texts[i] for i in train), at_least=2)
    ids = common.encode(texts, known, MAX_LENGTH)

    def fetch(batch):
        tokens = torch.tensor([ids[i] for i in batch])
        return tokens.masked_fill(torch.rand(tokens.shape) < 0.1, 1), labels[batch]

    model = Network(len(known))
    common.fit(model, lambda random: common.equal_lengths(ids, train, 32, random), fetch, epochs=12, rate=4e-3)
    got, want = common.answers(model, [ids[i] for i in measured]), labels[measured]
    hits, flagged, spam = (int(v.sum()) for v in (got & want, got, want))
    common.save("spam", model, torch.ones(2, 5, dtype=torch.long), {"tokens": ["N", "length"]}, {
        "description": "Tells spam from ham in a short English message.",
        "license": "weights MIT; data SMS Spam Collection (UCI), CC-BY-4.0",
        "inputs": {"tokens": {"kind": "text", "tokenizer": "words", "vocabulary": "vocab.txt", "lowercase": True,
                              "max_length": MAX_LENGTH, "pad": 0, "unknown": 1}},
        "labels": kinds,
        "task": common.classify(2),
        "batching": {"max_batch_size": 32},
        "accuracy": common.measured(got, want, "sms-spam", "last 1116 lines held out, repetitions left out; trained on "
                                    "the first 4458 lines that resemble none of them",
                                    precision=round(hits / flagged, 4), recall=round(hits / spam, 4)),
    }, {"vocab.txt": known, "heldout.txt": measured})


main()

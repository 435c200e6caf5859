"""Trains `spam`: is a short message spam or ham?

Embedding, LSTM, the largest value each state ever had, and one matrix product. Words are cut as the server
cuts them (see `words`). Texts of equal length are trained together, without padding, as the server runs them.
Words that occur once in the training part become <unk>; so do some others at random, so that it is learnt.
"""
import gzip
import re

import torch
from torch import nn

import common

MAX_LENGTH = 64


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


def main():
    lines = gzip.decompress((common.DATA / "sms-spam/sms.tsv.gz").read_bytes()).decode().splitlines()
    kinds = ["ham", "spam"]
    labels = torch.tensor([kinds.index(line.split("\t", 1)[0]) for line in lines])
    texts = [words(line.split("\t", 1)[1]) for line in lines]
    train, held = range(4458), range(4458, len(lines))
    known = common.vocabulary((texts[i] for i in train), at_least=2)
    ids = common.encode(texts, known, MAX_LENGTH)
    train = [i for i in train if ids[i]]

    def fetch(batch):
        tokens = torch.tensor([ids[i] for i in batch])
        return tokens.masked_fill(torch.rand(tokens.shape) < 0.1, 1), labels[batch]

    model = Network(len(known))
    common.fit(model, lambda random: common.equal_lengths(ids, train, 32, random), fetch, epochs=12, rate=4e-3)
    got, want = common.answers(model, [ids[i] for i in held]), labels[held]
    hits, flagged, spam = (int(v.sum()) for v in (got & want, got, want))
    common.save("spam", model, torch.ones(2, 5, dtype=torch.long), {"tokens": ["N", "length"]}, {
        "description": "Tells spam from ham in a short English message.",
        "license": "weights MIT; data SMS Spam Collection (UCI), CC-BY-4.0",
        "inputs": {"tokens": {"kind": "text", "tokenizer": "words", "vocabulary": "vocab.txt", "lowercase": True,
                              "max_length": MAX_LENGTH, "pad": 0, "unknown": 1}},
        "labels": kinds,
        "task": common.classify(2),
        "batching": {"max_batch_size": 32},
        "accuracy": {"metric": "accuracy", "value": common.accuracy(got, want), "n": len(want), "data": "sms-spam",
                     "split": "first 4458 lines / last 1116",
                     "precision": round(hits / flagged, 4), "recall": round(hits / spam, 4)},
    }, {"vocab.txt": known})


main()

"""Trains `dates`: which day does this date name, in ISO's words?

An encoder, a GRU that reads the date in both directions, and a decoder, a GRU that writes ten characters and looks at
what was read by attention (Luong 2015, general). They are two files: a server runs the first once, the second for each
character.
"""
import gzip

import torch
from torch import nn

import common

HIDDEN, EPOCHS, LONGEST = 64, 4, 32
WRITTEN = ["<end>", "<start>"] + list("0123456789-")


class Encoder(nn.Module):
    def __init__(self, characters):
        super().__init__()
        self.embedding = nn.Embedding(characters, 32)
        self.gru = common.Recurrent("GRU", 32, HIDDEN, directions=2)
        self.first = nn.Linear(2 * HIDDEN, HIDDEN)

    def forward(self, characters):
        """[N,length] -> annotations [N,length,2*HIDDEN], the decoder's first state [N,HIDDEN]"""
        states = self.gru(self.embedding(characters).transpose(0, 1))
        ends = torch.cat([states[-1, :, :HIDDEN], states[0, :, HIDDEN:]], 1)
        return states.transpose(0, 1), torch.tanh(self.first(ends))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(WRITTEN), 16)
        self.gru = common.Recurrent("GRU", 16, HIDDEN)
        self.asks, self.mixes = nn.Linear(HIDDEN, 2 * HIDDEN, bias=False), nn.Linear(3 * HIDDEN, HIDDEN)
        self.head = nn.Linear(HIDDEN, len(WRITTEN))

    def forward(self, tokens, state, annotations):
        """[N,steps], [N,HIDDEN], [N,length,2*HIDDEN] -> logits [N,steps,tokens], the state behind"""
        states, state = self.gru.step(self.embedding(tokens).transpose(0, 1), state)
        states = states.transpose(0, 1)
        weights = (self.asks(states) @ annotations.transpose(1, 2)).softmax(2)
        mixed = torch.tanh(self.mixes(torch.cat([states, weights @ annotations], 2)))
        return self.head(mixed), state


def read():
    """Dates as they are written, in lower case, and in ISO's words."""
    lines = gzip.decompress((common.DATA / "dates" / "date.txt.gz").read_bytes()).decode("ascii").splitlines()
    return [line[:29].rstrip().lower() for line in lines], [line[30:].strip() for line in lines]


@torch.no_grad()
def written(encoder, decoder, ids):
    """What is made of one date, the best character at each step."""
    annotations, state = encoder(torch.tensor([ids]))
    text, token = "", 1
    while len(text) < 20:
        logits, state = decoder(torch.tensor([[token]]), state, annotations)
        token = logits[0, -1].argmax().item()
        if token == 0:
            break
        text += WRITTEN[token]
    return text


def main():
    texts, isos = read()
    begin, end = (40000, 45000) if common.CHOOSE else (45000, 50000)
    held = set(texts[begin:end])
    train = [i for i in range(begin) if texts[i] not in held]
    first = {text: i for i, text in reversed(list(enumerate(texts[begin:end], begin)))}  # each text is measured once
    measured = sorted(first.values())
    known = common.vocabulary(texts[i] for i in train)
    ids = common.encode(texts, known, LONGEST)
    targets = torch.tensor([[WRITTEN.index(c) for c in iso] + [0] for iso in isos])
    model = nn.ModuleDict({"encoder": Encoder(len(known)), "decoder": Decoder()})
    encoder, decoder = model["encoder"], model["decoder"]

    def cost(batch):
        annotations, state = encoder(torch.tensor([ids[i] for i in batch]))
        want = targets[batch]
        given = torch.cat([torch.ones(len(batch), 1, dtype=torch.long), want[:, :-1]], 1)
        logits, _ = decoder(given, state, annotations)
        return nn.functional.cross_entropy(logits.flatten(0, 1), want.flatten())

    common.learn("dates", model, lambda random: common.equal_lengths(ids, train, 64, random), cost, EPOCHS, rate=8e-3,
                 decay=1e-4)
    common.halve(model)
    got = [written(encoder, decoder, ids[i]) for i in measured]
    hits = sum(a == isos[i] for a, i in zip(got, measured))
    print(f"{hits} of {len(measured)} dates are right")
    if common.CHOOSE:
        return
    save(encoder, decoder, known, hits, measured)


def save(encoder, decoder, known, hits, measured):
    low, high = common.interval(hits, len(measured))
    folder, annotations, state = common.MODELS / "dates", torch.zeros(1, 9, 2 * HIDDEN), torch.zeros(1, HIDDEN)
    common.export(folder / "encoder.onnx", encoder, torch.zeros(1, 9, dtype=torch.long),
                  {"characters": ["N", "length"]}, {"annotations": ["N", "length"], "first": ["N"]}, half=True)
    common.export(folder / "decoder.onnx", decoder, (torch.ones(1, 1, dtype=torch.long), state, annotations),
                  {"token": ["N"], "state": ["N"], "annotations": ["N", "length"]},
                  {"logits": ["N"], "state_out": ["N"]}, half=True)
    common.write("dates", {
        "description": "Writes a date in ISO's words: of 'august 27, 1994' it makes 1994-08-27.",
        "license": "weights MIT; data of deep-learning-from-scratch-2, MIT",
        "inputs": {"token": {"kind": "text", "tokenizer": "characters", "vocabulary": "written.txt", "start": 1,
                             "end": 0, "max_length": 16}},
        "sequence": {"state": [{"input": "state", "output": "state_out"}]},
        "generate": {"input": "token", "output": "logits", "max_new_tokens": 16, "encoder": {
            "inputs": {"characters": {"kind": "text", "tokenizer": "characters", "vocabulary": "vocab.txt",
                                      "lowercase": True, "unknown": 1, "max_length": LONGEST}},
            "feeds": {"state": "first"}}},
        "accuracy": {"metric": "accuracy", "value": round(hits / len(measured), 4), "low": low, "high": high,
                     "n": len(measured), "data": "dates", "split": "the last 5000 lines held out, each text once; "
                     "trained on those of the first 45000 whose text is none of them"},
    }, {"vocab.txt": known, "written.txt": WRITTEN, "heldout.txt": measured})


if __name__ == "__main__":
    main()

"""Trains `dream-encode` and `dream-decode`: twelve numbers for a handwritten digit, and a digit of twelve numbers.

A variational autoencoder (Kingma and Welling, 2014) with convolutions: the code of a digit is a mean and a deviation,
what is decoded in training is drawn from between, and a term of the cost keeps codes near a normal distribution, so
that any twelve numbers about 0 are some digit, and what lies between two codes is one as well. The term counts less
than half here (Higgins 2017), for the sake of legible digits. The encoder that is served answers with the mean.
"""
import torch
from torch import nn

import common
import digits

CODE, CLOSE = 12, 0.4


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 7 * 7, 96), nn.ReLU())
        self.mean, self.spread = nn.Linear(96, CODE), nn.Linear(96, CODE)

    def forward(self, image):
        return self.mean(self.layers(image))

    def draw(self, image):
        """A code drawn, and the divergence of where it is drawn from, per digit."""
        x = self.layers(image)
        mean, logs = self.mean(x), self.spread(x)
        away = (mean ** 2 + logs.exp() - logs - 1).sum(1) / 2
        return mean + (logs / 2).exp() * torch.randn(mean.shape), away


class Folded(nn.Module):
    def forward(self, x):
        """[N,32*7*7] -> [N,32,7,7]"""
        return x.view(-1, 32, 7, 7)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(CODE, 96), nn.ReLU(), nn.Linear(96, 32 * 7 * 7), nn.ReLU(), Folded(),
            nn.ConvTranspose2d(32, 24, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(24, 12, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 1, 3, padding=1))

    def forward(self, code):
        return torch.sigmoid(self.layers(code))


@torch.no_grad()
def read(network, x):
    """The classes that models/digits puts digits in."""
    return torch.cat([network(common.ink(part)) for part in x.split(250)]).argmax(1)


def main():
    images, _, (train, measured) = common.digits()
    images, model = images.unsqueeze(1) / 255, nn.ModuleDict({"encoder": Encoder(), "decoder": Decoder()})
    encoder, decoder = model["encoder"], model["decoder"]

    def cost(batch):
        x = images[batch]
        code, away = encoder.draw(x)
        lost = nn.functional.binary_cross_entropy_with_logits(decoder.layers(code), x, reduction="none")
        return (lost.sum((1, 2, 3)) + CLOSE * away).mean()

    common.learn("dream", model, lambda random: common.shuffled(train, 64, random), cost, epochs=13, rate=3e-3,
                 decay=1e-4, clip=100.0)
    common.halve(model)
    network, x = common.load(digits.network(), "digits"), images[measured]
    with torch.no_grad():
        again = (decoder(encoder(x)) * 255).round() / 255
    got, want = read(network, again), read(network, x)
    print(f"{common.accuracy(got, want)} of the reconstructions are read as before")
    if common.CHOOSE:
        return
    licence = "weights MIT; data MNIST, CC-BY-SA-3.0"
    common.export(common.MODELS / "dream-encode" / "model.onnx", encoder, torch.zeros(1, 1, 28, 28), {"image": ["N"]},
                  {"code": ["N"]}, half=True)
    ink = common.digits_manifest("", "NCHW", got, want)["inputs"]["image"]
    common.write("dream-encode", {
        "description": "Twelve numbers for a handwritten digit, of which dream-decode makes a digit again.",
        "license": licence,
        "inputs": {"image": {**ink, "mean": [0], "std": [1]}},
        "batching": {"max_batch_size": 32},
    })
    common.export(common.MODELS / "dream-decode" / "model.onnx", decoder, torch.zeros(1, CODE), {"code": ["N"]},
                  {"digit": ["N"]}, half=True)
    common.write("dream-decode", {
        "description": "Draws a handwritten digit of twelve numbers: a code of dream-encode, or any about 0.",
        "license": licence,
        "task": {"kind": "image", "range": [0, 1]},
        "batching": {"max_batch_size": 32},
        "accuracy": {**common.measured(got, want, "mnist-t10k", "by writers: digits 4000-4999 and 8000-8999 held out, "
                                       "130 beside them unused"),
                     "metric": "share of encoded and decoded digits that models/digits reads as before"},
    })


if __name__ == "__main__":
    main()

"""Trains `perceptron`: which digit is written here, with nothing but three matrix products.

The smallest network that does something useful, and the first to try things on. Its data, its held-out
digits and its variations are those of `digits`; it sees the 784 pixels as a flat row.
"""
import torch
from torch import nn

import common


def network():
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def main():
    images, labels, (train, measured) = common.digits()
    images, model = images.unsqueeze(1), network()
    common.fit(model, lambda random: common.shuffled(train, 64, random),
               lambda batch: (common.ink(common.handwriting(images[batch] / 255)).flatten(1), labels[batch]),
               epochs=40, rate=2e-3)
    got = common.answers(model, common.ink(images[measured] / 255).flatten(1))
    manifest = common.digits_manifest("Reads a handwritten digit, with a multi-layer perceptron.", "flat", got,
                                      labels[measured])
    common.save("perceptron", model, torch.zeros(1, 784), {"image": ["N"]}, manifest)


main()

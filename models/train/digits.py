"""Trains `digits`: which digit is written here, with a convolutional network.

MNIST's digits are all scanned, centred and written alike; the photos that users send are not. So every
digit is varied a little, anew in each epoch (see `common.handwriting`).
The indices of the digits that were held out go to heldout.txt, for the tests.
"""
import torch
from torch import nn

import common


def stage(features, out):
    return [nn.Conv2d(features, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]


def network():
    return nn.Sequential(*stage(1, 16), *stage(16, 16), nn.MaxPool2d(2),
                         *stage(16, 32), *stage(32, 32), nn.MaxPool2d(2),
                         *stage(32, 64), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(64 * 3 * 3, 96), nn.ReLU(), nn.Dropout(0.3), nn.Linear(96, 10))


def main():
    images, labels, (train, measured) = common.digits()
    images, model = images.unsqueeze(1), network()
    common.fit(model, lambda random: common.shuffled(train, 64, random),
               lambda batch: (common.ink(common.handwriting(images[batch] / 255)), labels[batch]),
               epochs=28, rate=4e-3)
    got = common.answers(model, common.ink(images[measured] / 255))
    manifest = common.digits_manifest("Reads a handwritten digit, with a convolutional network.", "NCHW", got,
                                      labels[measured])
    common.save("digits", model, torch.zeros(1, 1, 28, 28), {"image": ["N"]}, manifest, {"heldout.txt": measured})


if __name__ == "__main__":
    main()

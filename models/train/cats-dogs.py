"""Trains `cats-dogs`: is a small picture that of a cat or of a dog?

A residual network in miniature: a stem, one block at 16x16, one at 8x8, then the mean over the picture.
10,000 pictures are few, so each is mirrored, shifted and has a square blanked out at random.
The network sees 32x32 pixels and knows cats and dogs only: of anything else it says one of the two.
"""
import torch
from torch import nn

import common

MEAN, STD = [0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]


def unit(features, out, stride=1, size=3):
    return nn.Sequential(nn.Conv2d(features, out, size, stride, size // 2, bias=False), nn.BatchNorm2d(out))


class Block(nn.Module):
    def __init__(self, features, out, stride):
        super().__init__()
        self.first, self.second = unit(features, out, stride), unit(out, out)
        self.shortcut = unit(features, out, stride, 1) if features != out else nn.Identity()

    def forward(self, x):
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


def network():
    return nn.Sequential(unit(3, 32), nn.ReLU(), nn.MaxPool2d(2), Block(32, 48, 1), Block(48, 96, 2),
                         Block(96, 96, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 2))


def normalised(images):
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (images / 255 - mean) / std


def varied(x):
    """Mirrors half of the pictures, shifts each by up to 4 pixels, blanks an 8x8 square."""
    count = len(x)
    x = torch.where(torch.rand(count, 1, 1, 1) < 0.5, x.flip(3), x)
    x = nn.functional.pad(x, (4, 4, 4, 4), mode="reflect")
    at, item = torch.randint(0, 9, (2, count, 1)), torch.arange(count).view(-1, 1, 1)
    rows, columns = at[0] + torch.arange(32), at[1] + torch.arange(32)
    x = x[item, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2).contiguous()
    for i, (top, left) in enumerate(torch.randint(0, 25, (count, 2)).tolist()):
        x[i, :, top:top + 8, left:left + 8] = 0
    return x


def unlike(images, held):
    """The indices of the pictures that are none of `held`: the collection has some photos twice, cut or scaled a little
    differently or mirrored. Correlation of the pixels tells; at 0.85 half of the pairs are the same photo."""
    def unit(x):
        x = x.flatten(1) / 255
        x = x - x.mean(1, keepdim=True)
        return x / x.norm(dim=1, keepdim=True)
    like = torch.maximum(unit(images) @ unit(held).T, unit(images) @ unit(held.flip(3)).T)
    return (like.max(1).values < 0.85).nonzero().flatten().numpy()


def main():
    kinds = ["cat", "dog"]
    images, labels = common.pictures("cifar10-images/cifar10_train_cat_dog_10k.tar.gz", [f"train/{k}" for k in kinds])
    unseen, truth = common.pictures("cifar10-images/cifar10_test_10k.tar.gz", [f"test/{k}" for k in kinds])
    if common.CHOOSE:
        last = torch.arange(len(images)) % 5000 >= 4000
        images, labels, unseen, truth = images[~last], labels[~last], images[last], labels[last]
    train = unlike(images, unseen)
    print(f"{len(images) - len(train)} pictures are left out: they resemble one that is measured")
    model, images = network(), normalised(images)
    common.fit(model, lambda random: common.shuffled(train, 64, random),
               lambda batch: (varied(images[batch]), labels[batch]), epochs=14, rate=4e-3, decay=5e-2, smoothing=0.05)
    got = common.answers(model, normalised(unseen))
    common.save("cats-dogs", model, torch.zeros(1, 3, 32, 32), {"image": ["N"]}, {
        "description": "Tells a cat from a dog in a picture of 32x32 pixels.",
        "license": "weights MIT; data CIFAR-10, for research use",
        "inputs": {"image": {"kind": "image", "size": [32, 32], "channels": "rgb", "layout": "NCHW", "resize": "crop",
                             "filter": "bilinear", "scale": 1 / 255, "mean": MEAN, "std": STD}},
        "labels": kinds,
        "task": common.classify(2),
        "batching": {"max_batch_size": 32},
        "accuracy": common.measured(got, truth, "cifar10-images", "test/cat and test/dog; trained on what of train/cat "
                                    "and train/dog resembles none of them")})


main()

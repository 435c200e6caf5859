"""Trains `denoise`: what did this digit look like before the noise?

A convolutional autoencoder: down to 7x7 by strides, up again by transposed convolutions. In training each digit gets
noise of another strength, anew in each epoch: Gaussian, and pixels that are white or black.
"""
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

import common

SIGMA, SPECKS = 0.4, 0.1  # of the noise that is measured with


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, 24, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(24, 48, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(48, 48, 3, padding=1), nn.ReLU())
        self.up = nn.Sequential(
            nn.ConvTranspose2d(48, 24, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(24, 12, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 1, 3, padding=1))

    def forward(self, image):
        return torch.sigmoid(self.up(self.down(image)))


def noisy(x, sigma, specks):
    """Digits [N,1,28,28], 0..1, behind noise: Gaussian of this deviation, and this share of pixels white or black."""
    x = x + sigma * torch.randn(x.shape)
    chance = torch.rand(x.shape)
    return x.masked_fill(chance < specks / 2, 0).masked_fill(chance > 1 - specks / 2, 1).clamp(0, 1)


@torch.no_grad()
def measure(model, x):
    """Root mean squared errors of noisy pictures, rounded to bytes, and of what is made of them."""
    torch.manual_seed(3)
    before = (noisy(x, SIGMA, SPECKS) * 255).round() / 255
    after = torch.cat([model(part) for part in before.split(250)])
    return [((y - x) ** 2).mean().sqrt().item() for y in (before, after)]


def sample():
    """A seven that nobody wrote, behind that noise, as a PNG for trying."""
    page = Image.new("L", (112, 112))
    ImageDraw.Draw(page).line([(34, 34), (78, 32), (52, 86)], 255, 10, "curve")
    x = torch.tensor(np.asarray(page.resize((28, 28), Image.BOX), np.float32) / 255)[None, None]
    torch.manual_seed(4)
    return Image.fromarray((noisy(x, SIGMA, SPECKS)[0, 0] * 255).round().byte().numpy())


def main():
    images, _, (train, measured) = common.digits()
    images, model = images.unsqueeze(1) / 255, Network()

    def cost(batch):
        x = images[batch]
        sigma, specks = torch.rand(len(x), 1, 1, 1) * 0.7, torch.rand(len(x), 1, 1, 1) * 0.2
        return nn.functional.binary_cross_entropy_with_logits(model.up(model.down(noisy(x, sigma, specks))), x)

    common.learn("denoise", model, lambda random: common.shuffled(train, 32, random), cost, epochs=15, rate=2e-3)
    common.halve(model)
    before, after = measure(model, images[measured])
    print(f"root mean squared error: {before:.4f} of what is noisy, {after:.4f} of what is cleaned")
    if common.CHOOSE:
        return
    common.export(common.MODELS / "denoise" / "model.onnx", model, torch.zeros(1, 1, 28, 28), {"image": ["N"]},
                  {"cleaned": ["N"]}, half=True)
    sample().save(common.MODELS / "denoise" / "sample.png")
    common.write("denoise", {
        "description": "Cleans a noisy handwritten digit.",
        "license": "weights MIT; data MNIST, CC-BY-SA-3.0",
        "inputs": {"image": {"kind": "image", "size": [28, 28], "channels": "gray", "scale": 1 / 255}},
        "task": {"kind": "image", "range": [0, 1]},
        "batching": {"max_batch_size": 32},
        "accuracy": {"metric": "root mean squared error, as a share of the noisy picture's",
                     "value": round(after / before, 4), "n": len(measured), "data": "mnist-t10k",
                     "split": "by writers: digits 4000-4999 and 8000-8999 held out, 130 beside them unused; noise of "
                              f"deviation {SIGMA}, {SPECKS:.0%} of the pixels black or white"},
    })


if __name__ == "__main__":
    main()

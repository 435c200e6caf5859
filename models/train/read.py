"""Trains `read`: what does this line of print say?

Convolutions over a picture 24 pixels high, a GRU that reads forwards and one that reads backwards, CTC. Each line of
the training is drawn anew: some words in some font, with other margins, tones, sharpness and noise. Two fonts of which
the network has seen nothing, one with serifs and one without, are what is measured on, with verses it has not seen.
Debian's packages with the fonts: fonts-b612 -cantarell -crosextra-caladea -crosextra-carlito -dejavu-core -freefont-ttf
-hack -inconsolata -karla -lato -liberation -linuxlibertine -open-sans -roboto-unhinted -sil-charis -urw-base35; -cabin
and -vollkorn.
"""
import gzip
import pathlib

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import nn

import common
from hear import errors

FONTS = pathlib.Path("/usr/share/fonts")
LEARNT = """opentype/b612/B612-Regular.otf opentype/cantarell/Cantarell-Regular.otf
opentype/linux-libertine/LinLibertine_R.otf opentype/linux-libertine/LinBiolinum_R.otf
opentype/urw-base35/C059-Roman.otf opentype/urw-base35/NimbusMonoPS-Regular.otf opentype/urw-base35/P052-Roman.otf
opentype/urw-base35/NimbusSansNarrow-Regular.otf opentype/urw-base35/URWBookman-Light.otf
opentype/urw-base35/URWGothic-Book.otf truetype/charis/CharisSIL-Regular.ttf truetype/crosextra/Caladea-Regular.ttf
truetype/crosextra/Carlito-Regular.ttf truetype/dejavu/DejaVuSans.ttf truetype/dejavu/DejaVuSans-Bold.ttf
truetype/dejavu/DejaVuSerif.ttf truetype/dejavu/DejaVuSansMono.ttf truetype/freefont/FreeSans.ttf
truetype/freefont/FreeSerif.ttf truetype/hack/Hack-Regular.ttf truetype/inconsolata/Inconsolata.otf
truetype/karla/Karla-Regular.otf truetype/lato/Lato-Regular.ttf truetype/lato/Lato-Bold.ttf
truetype/liberation/LiberationSans-Regular.ttf truetype/liberation/LiberationSans-Bold.ttf
truetype/liberation/LiberationSerif-Regular.ttf truetype/liberation/LiberationSerif-Bold.ttf
truetype/open-sans/OpenSans-Regular.ttf truetype/open-sans/OpenSans-Semibold.ttf
truetype/roboto/unhinted/RobotoTTF/Roboto-Regular.ttf truetype/roboto/unhinted/RobotoTTF/Roboto-Medium.ttf""".split()
UNSEEN = ["opentype/cabin/Cabin-Regular.otf", "truetype/vollkorn/Vollkorn-Regular.ttf"]
HEIGHT, SIZES = 24, range(20, 41)
CHARACTERS = [chr(c) for c in range(32, 127)]
EPOCHS, STEPS, BATCH, LINES, KEPT = 20, 81, 16, 150, 20


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        def layer(features, out, stride):
            return [nn.Conv2d(features, out, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        self.look = nn.Sequential(*layer(1, 24, 2), *layer(24, 48, (2, 1)), *layer(48, 64, (2, 1)))
        self.gru = common.Recurrent("GRU", 64 * HEIGHT // 8, 72, directions=2)
        self.head, self.dropout = nn.Conv1d(144, 1 + len(CHARACTERS), 1), nn.Dropout(0.1)

    def forward(self, image):
        """[N,1,HEIGHT,width] -> scores [N,width/2,96]; class 0 is CTC's blank."""
        x = self.look(image).flatten(1, 2).permute(2, 0, 1)
        return self.head(self.dropout(self.gru(x)).permute(1, 2, 0)).transpose(1, 2)


def draw(text, font, random, plain=False):
    """A line of dark print as bytes [HEIGHT,width], brought to its height as the daemon does."""
    left, top, right, bottom = font.getbbox(text)
    around = [2 + random.randint(1 if plain else 6) for _ in range(4)]
    paper, ink = (255, 0) if plain else (random.randint(170, 256), random.randint(0, 90))
    size = right - left + around[0] + around[1], bottom - top + around[2] + around[3]
    page = Image.new("L", size, int(paper))
    ImageDraw.Draw(page).text((around[0] - left, around[2] - top), text, int(ink), font)
    page = page.resize((max(HEIGHT, round(size[0] * HEIGHT / size[1])), HEIGHT), Image.BILINEAR)
    if not plain and random.rand() < 0.25:
        page = page.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 0.8)))
    x = np.asarray(page, np.float32)
    if not plain and random.rand() < 0.5:
        x = np.clip(x + random.uniform(0, 12) * random.standard_normal(x.shape), 0, 255).astype(np.float32)
    return x


def phrase(words, random, longest):
    """Some words that follow each other in the plays, or now and then a number or signs in between."""
    at, count = random.randint(len(words) - longest), random.randint(1, longest + 1)
    row = words[at:at + count]
    for i in range(count):
        chance = random.rand()
        if chance < 0.12:
            row[i] = str(random.randint(10 ** random.randint(1, 6)))
        elif chance < 0.2:
            row[i] = "".join(CHARACTERS[k] for k in random.randint(1, len(CHARACTERS), size=random.randint(1, 7)))
        elif chance < 0.26:
            row[i] = row[i].upper()
    return " ".join(row)[:40]


def batch_of(words, fonts, longest, random):
    texts = [phrase(words, random, longest) for _ in range(BATCH)]
    lines = [draw(text, fonts[random.randint(len(fonts))], random) for text in texts]
    width = max(line.shape[1] for line in lines)
    x = np.stack([np.pad(line, ((0, 0), (0, width - line.shape[1])), constant_values=line[:, -1].mean())
                  for line in lines])
    said = torch.tensor([1 + CHARACTERS.index(c) for text in texts for c in text])
    return torch.tensor(1 - x / 255).unsqueeze(1), said, torch.tensor([len(text) for text in texts])


@torch.no_grad()
def spelled(model, x):
    best = model(torch.tensor(1 - x / 255)[None, None])[0].argmax(1).tolist()
    return "".join(CHARACTERS[c - 1] for c, before in zip(best, [0] + best) if c and c != before)


def fonts_of(paths, sizes):
    return [ImageFont.truetype(str(FONTS / path), size) for path in paths for size in sizes]


def held_lines(verses, random):
    """Verses of at most 40 characters in the fonts that are not learnt: (text, bytes)."""
    fitting = [verse for verse in verses if 8 <= len(verse) <= 40]
    fonts = fonts_of(UNSEEN, [32])
    return [(text, np.rint(draw(text, fonts[i % len(fonts)], random, plain=True)))
            for i, text in enumerate(fitting[k] for k in random.permutation(len(fitting))[:2 * LINES])]


def main():
    text = gzip.decompress((common.DATA / "tinyshakespeare" / "input.txt.gz").read_bytes()).decode("ascii")
    cut = int(len(text) * 0.9)
    words, fonts, model = text[:cut].split(), fonts_of(LEARNT, SIZES[::4]), Network()

    def cost(row):
        seed, longest = row
        x, said, lengths = batch_of(words, fonts, longest, np.random.RandomState(seed))
        steps = model(x).log_softmax(2).transpose(0, 1)
        return nn.functional.ctc_loss(steps, said, torch.full((BATCH,), len(steps)), lengths, zero_infinity=True)

    def batches(random):
        """Short phrases, too: with them CTC finds out sooner what belongs where."""
        return [(seed, (1, 3, 5)[i % 3]) for i, seed in enumerate(random.randint(1 << 30, size=STEPS))]

    common.learn("read", model, batches, cost, EPOCHS, rate=5e-3, decay=1e-3, clip=5.0)
    common.halve(model)
    middle = (cut + len(text)) // 2
    verses = (text[cut:middle] if common.CHOOSE else text[middle:]).split("\n")
    lines = held_lines([verse.strip() for verse in verses], np.random.RandomState(7))
    got = [spelled(model, x) for _, x in lines]
    wrong = [errors(g, text) for g, (text, _) in zip(got, lines)]
    count = sum(len(text) for text, _ in lines)
    for i, font in enumerate(UNSEEN):
        share = sum(wrong[i::2]) / sum(len(text) for text, _ in lines[i::2])
        print(f"{pathlib.Path(font).stem}: {1 - share:.4f} of the characters")
    print([(g, text) for g, (text, _) in zip(got, lines)][:6])
    if not common.CHOOSE:
        save(model, 1 - sum(wrong) / count, count, lines[:KEPT])


def save(model, value, count, kept):
    """Beside the model some of the lines, one below the other, for the tests."""
    folder, low_high = common.MODELS / "read", common.interval(round(value * count), count)
    common.export(folder / "model.onnx", model, torch.zeros(1, 1, HEIGHT, 80), {"image": ["N", None, None, "width"]},
                  {"scores": ["N", "steps"]}, half=True)
    common.write("read", {
        "description": "Reads a line of print: printable ASCII, in most fonts.",
        "license": "weights MIT; lines drawn with free fonts of Debian",
        "inputs": {"image": {"kind": "image", "size": [HEIGHT, "aspect"], "min_width": HEIGHT, "max_width": 2048,
                             "channels": "gray", "filter": "bilinear", "ink": "dark", "scale": -1 / 255, "mean": [-1]}},
        "labels": CHARACTERS,
        "task": {"kind": "ctc", "activation": "softmax"},
        "accuracy": {"metric": "share of characters", "value": round(value, 4), "low": low_high[0],
                     "high": low_high[1], "n": count, "data": "verses of tinyshakespeare",
                     "split": "of the last 5 %, in Cabin and Vollkorn; trained on the first 90 % in 32 other fonts"},
    }, {"heldout.txt": [text for text, _ in kept]})
    width = max(x.shape[1] for _, x in kept)
    rows = [np.pad(x, ((0, 0), (0, width - x.shape[1])), constant_values=255) for _, x in kept]
    Image.fromarray(np.concatenate(rows).astype(np.uint8)).save(folder / "heldout.png", optimize=True)
    Image.fromarray(kept[0][1].astype(np.uint8)).save(folder / "sample.png", optimize=True)


if __name__ == "__main__":
    main()

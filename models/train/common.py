"""What the training scripts share: reading the data, the training loop, and writing a model's folder.

The data is looked for in $PERCEPTD_SHARED/data, else in ../shared/data beside the repository. Everything
random comes from fixed seeds and one thread, so that a script run twice on one machine writes one model.

Every part of the data has one purpose. What is held out is measured once, by the run that writes the folder.
`NAME.py --choose` is for trying settings: it leaves a third part, `check`, out of the training as well, measures
on that one and writes nothing. No writer, name, message or picture lies on two sides, as far as it can be told.
"""
import gzip
import io
import json
import os
import pathlib
import re
import tarfile
import sys
import time
import unicodedata
import warnings

import numpy as np
import torch
from torch import nn

MODELS = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("PERCEPTD_SHARED", MODELS.parent.parent / "shared")) / "data"

INK_MEAN, INK_STD = 0.1307, 0.3081
CHOOSE = "--choose" in sys.argv[1:]

torch.set_num_threads(1)
torch.manual_seed(1)
torch.set_flush_denormal(True)
warnings.filterwarnings("ignore", module="torch")
warnings.filterwarnings("ignore", category=FutureWarning)


# ---- data ----

def read_idx(path):
    """MNIST's own format: two zero bytes, type, rank, big-endian sizes, then bytes."""
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">i4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


# One form in the collection behind MNIST has 130 digits: so far around a block its writer may reach.
FORM = 130
HELD, CHECK = [range(4000, 5000), range(8000, 9000)], [range(500, 1000), range(6500, 7000)]


def digits():
    """9,000 digits as bytes [9000,28,28], their labels, and the indices of the three parts.

    The file runs writer by writer, and what a writer writes is alike: parts are blocks of the file, and a
    form's length beside a block that is measured is left out of the training."""
    folder = DATA / "mnist-t10k"
    images, labels = (read_idx(folder / f"{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
    aside = HELD + CHECK if CHOOSE else HELD
    near = {i for block in aside for i in range(block.start - FORM, block.stop + FORM)}
    train = np.array([i for i in range(len(images)) if i not in near])
    measured = np.concatenate([np.array(block) for block in (CHECK if CHOOSE else HELD)])
    return torch.tensor(images), torch.tensor(labels.astype(np.int64)), (train, measured)


def ink(x):
    """Pixels 0..1 as both networks for digits want them."""
    return (x - INK_MEAN) / INK_STD


def thicker(x):
    return nn.functional.max_pool2d(x, 3, 1, 1)


def handwriting(x):
    """Digits [N,1,28,28], pixels 0..1, each written and photographed a little differently: turned, scaled, sheared,
    shifted, bent as by another hand (a random field that is smooth, after Simard 2003), with a thicker or thinner
    stroke, fainter, with noise."""
    count = len(x)
    def between(low, high):
        return low + (high - low) * torch.rand(count)
    angle, wide, high, shear = between(-0.22, 0.22), between(0.85, 1.2), between(0.85, 1.2), between(-0.2, 0.2)
    cos, sin = angle.cos(), angle.sin()
    place = torch.stack([torch.stack([cos * wide, (shear - sin) * high, between(-0.14, 0.14)], 1),
                         torch.stack([sin * wide, cos * high, between(-0.14, 0.14)], 1)], 1)
    grid = nn.functional.affine_grid(place, list(x.shape), align_corners=False)
    bent = torch.randn(count, 2, 6, 6) * between(0, 0.15).view(-1, 1, 1, 1)
    bent = nn.functional.interpolate(bent, size=x.shape[2:], mode="bicubic", align_corners=False)
    x = nn.functional.grid_sample(x, grid + bent.permute(0, 2, 3, 1), align_corners=False)
    limits = (-0.6, 1.6), (0.6, 1), (0, 0.1)
    stroke, strength, noise = (between(low, high).view(-1, 1, 1, 1) for low, high in limits)
    x = torch.lerp(x, -thicker(-x), (-stroke).clamp(min=0))
    x = torch.lerp(x, thicker(x), stroke.clamp(0, 1))
    x = torch.lerp(x, thicker(x), (stroke - 1).clamp(min=0))
    return (x * strength + noise * torch.randn(x.shape)).clamp(0, 1)


def digits_manifest(description, layout, got, want):
    return {
        "description": description,
        "license": "weights MIT; data MNIST, CC-BY-SA-3.0",
        "inputs": {"image": {"kind": "image", "size": [28, 28], "channels": "gray", "layout": layout,
                             "resize": "stretch", "filter": "bilinear", "scale": 1 / 255,
                             "mean": [INK_MEAN], "std": [INK_STD], "ink": "light", "ink_box": 20}},
        "labels": list("0123456789"),
        "task": classify(5),
        "batching": {"max_batch_size": 32},
        "accuracy": measured(got, want, "mnist-t10k",
                             "by writers: digits 4000-4999 and 8000-8999 held out, 130 beside them unused")}


def pictures(archive, folders):
    """RGB bytes [count,3,height,width] and labels: the place of a picture's folder in `folders`."""
    from PIL import Image
    images, labels = [], []
    with tarfile.open(DATA / archive) as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            folder = os.path.dirname(member.name)
            if folder in folders:
                picture = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
                images.append(np.asarray(picture).transpose(2, 0, 1))
                labels.append(folders.index(folder))
    return torch.tensor(np.stack(images)), torch.tensor(labels)


def plain(text):
    """Without capitals and accents, for telling whether two texts are the same."""
    parts = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in parts if not unicodedata.combining(c)).strip()


def vocabulary(texts, at_least=1):
    """Entries that occur often enough, in code-point order; an entry's id is its line in the file."""
    count = {}
    for text in texts:
        for token in text:
            count[token] = count.get(token, 0) + 1
    return ["<pad>", "<unk>"] + sorted(token for token, n in count.items() if n >= at_least)


def encode(texts, words, max_length):
    ids = {word: i for i, word in enumerate(words)}
    return [[ids.get(token, 1) for token in text[:max_length]] for text in texts]


# ---- training ----

def equal_lengths(texts, indices, size, random):
    """Batches of `size` indices at most, the texts of each equally long: no padding is ever needed."""
    buckets = {}
    for i in random.permutation(indices):
        buckets.setdefault(len(texts[i]), []).append(i)
    batches = [b[k:k + size] for b in buckets.values() for k in range(0, len(b), size)]
    return [batches[k] for k in random.permutation(len(batches))]


def shuffled(indices, size, random):
    order = random.permutation(indices)
    return [order[k:k + size] for k in range(0, len(order) - size + 1, size)]


def fit(model, plan, fetch, epochs, rate, decay=1e-2, weight=None, smoothing=0.0):
    """Adam with decay; the rate rises, then falls to nothing. plan(random) -> batches; fetch(batch) -> x, y."""
    random, start = np.random.RandomState(2), time.time()
    loss = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    steps = epochs * len(plan(np.random.RandomState(0)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    model.train()
    for epoch in range(epochs):
        total, batches = 0.0, plan(random)
        for batch in batches:
            x, y = fetch(batch)
            cost = loss(model(x), y)
            optimiser.zero_grad()
            cost.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            total += cost.item()
        print(f"epoch {epoch + 1:2}/{epochs}  loss {total / len(batches):.4f}  {time.time() - start:.0f} s",
              flush=True)
    model.eval()


def learn(name, model, batches, cost, epochs, rate, decay=1e-2, clip=1.0, rising=0.2):
    """As `fit`, for any cost: batches(random) -> batches of an epoch, cost(batch) -> a scalar. After each epoch a
    checkpoint is kept, build/train/NAME.pt: a run that was cut goes on from there, to the same weights, since an
    epoch's random numbers depend on its number alone. When the last epoch is done it is put aside as NAME.done.pt."""
    kept, start = MODELS.parent / "build" / "train" / f"{name}{'-choose' if CHOOSE else ''}.pt", time.time()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    steps = epochs * len(batches(np.random.RandomState(0)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=rising)
    parts, first = (model, optimiser, schedule), 0
    if kept.exists():
        first, states = torch.load(kept)
        for part, state in zip(parts, states):
            part.load_state_dict(state)
    for epoch in range(first, epochs):
        model.train()
        torch.manual_seed(1000 + epoch)
        total, plan = 0.0, batches(np.random.RandomState(1000 + epoch))
        for batch in plan:
            loss = cost(batch)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2}/{epochs}  loss {total / len(plan):.4f}  {time.time() - start:.0f} s", flush=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.save((epoch + 1, [part.state_dict() for part in parts]), kept)
    model.eval()
    kept.rename(kept.with_suffix(".done.pt"))


@torch.no_grad()
def answers(model, inputs):
    """The class each input is put in; inputs is a tensor, or a list of texts that are run one by one."""
    parts = inputs.split(250) if torch.is_tensor(inputs) else [torch.tensor([text]) for text in inputs]
    return torch.cat([model(part).argmax(1) for part in parts])


def accuracy(got, want):
    return round((got == want).double().mean().item(), 4)


def interval(hits, count, z=1.959964):
    """The 95 % interval of a share (Wilson 1927): the shares from which `hits` is no odd result."""
    share, step = hits / count, z * z / count
    middle, half = share + step / 2, z * (share * (1 - share) / count + step / count / 4) ** 0.5
    return round((middle - half) / (1 + step), 4), round((middle + half) / (1 + step), 4)


def measured(got, want, data, split, **more):
    """A manifest's `accuracy`."""
    low, high = interval(int((got == want).sum()), len(want))
    return {"metric": "accuracy", "value": accuracy(got, want), "low": low, "high": high, "n": len(want),
            "data": data, "split": split, **more}


# ---- recurrent layers that export well ----

def squeezed(g, x, axis):
    return g.op("Squeeze", x, g.op("Constant", value_t=torch.tensor([axis])))


class OnnxRecurrent(torch.autograd.Function):
    """Stands in for torch's layer while exporting: one ONNX node and no initial state (it is zero),
    where torch's own export computes the zero state's shape with half a dozen nodes."""

    @staticmethod
    def symbolic(g, x, w, r, b, kind, hidden, directions, last):
        how = {"hidden_size_i": hidden, "direction_s": "bidirectional" if directions == 2 else "forward"}
        if kind == "GRU":
            how["linear_before_reset_i"] = 1
        if last:  # [directions,N,hidden] -> [N,directions*hidden]
            _, state = g.op(kind, x, w, r, b, **how, outputs=2)
            y = g.op("Flatten", g.op("Transpose", state, perm_i=[1, 0, 2]), axis_i=1)
            return y.setType(x.type().with_sizes([None, directions * hidden]))
        y = g.op(kind, x, w, r, b, **how, outputs=1)
        if directions == 1:  # [length,1,N,hidden] -> [length,N,hidden]
            y = squeezed(g, y, 1)
        else:  # [length,2,N,hidden] -> [length,N,2*hidden]
            shape = g.op("Constant", value_t=torch.tensor([0, 0, -1]))
            y = g.op("Reshape", g.op("Transpose", y, perm_i=[0, 2, 1, 3]), shape)
        return y.setType(x.type().with_sizes([None, None, directions * hidden]))

    @staticmethod
    def forward(ctx, x, w, r, b, kind, hidden, directions, last):
        """Only the shape counts: the exporter traces it."""
        return x.new_zeros(*x.shape[1:2] if last else x.shape[:2], directions * hidden)


class OnnxCarried(torch.autograd.Function):
    """The same with states [N,hidden] in and out, of one direction: h, and c of an LSTM."""

    @staticmethod
    def symbolic(g, x, w, r, b, kind, hidden, *states):
        how = {"hidden_size_i": hidden, **({"linear_before_reset_i": 1} if kind == "GRU" else {})}
        absent = g.op("prim::Constant")  # sequence_lens
        absent.setType(torch._C.OptionalType.ofTensor())
        before = [g.op("Unsqueeze", state, g.op("Constant", value_t=torch.tensor([0]))) for state in states]
        y, *after = g.op(kind, x, w, r, b, absent, *before, **how, outputs=1 + len(states))
        sizes = [[None, None, hidden]] + [[None, hidden]] * len(states)
        made = [squeezed(g, y, 1)] + [squeezed(g, state, 0) for state in after]
        return tuple(value.setType(x.type().with_sizes(size)) for value, size in zip(made, sizes))

    @staticmethod
    def forward(ctx, x, w, r, b, kind, hidden, *states):
        return (x.new_zeros(*x.shape[:2], hidden), *(state.clone() for state in states))


class Recurrent(nn.Module):
    """An LSTM or GRU over [length,N,features]: every state, or the last of each direction."""

    GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}  # torch's gates in ONNX's order

    def __init__(self, kind, features, hidden, directions=1, last=False):
        super().__init__()
        self.layer = getattr(nn, kind)(features, hidden, bidirectional=directions == 2)
        self.how = kind, hidden, directions, last

    def forward(self, x):
        if torch.onnx.is_in_onnx_export():
            return OnnxRecurrent.apply(x, self.w, self.r, self.b, *self.how)
        kind, _, _, last = self.how
        states, final = self.layer(x)
        if not last:
            return states
        return (final[0] if kind == "LSTM" else final).transpose(0, 1).flatten(1)

    def step(self, x, *states):
        """From given states [N,hidden] on: all states [length,N,hidden], and the last ones."""
        kind, hidden, _, _ = self.how
        if torch.onnx.is_in_onnx_export():
            return OnnxCarried.apply(x, self.w, self.r, self.b, kind, hidden, *states)
        before = tuple(state[None] for state in states)
        y, after = self.layer(x, before if kind == "LSTM" else before[0])
        return (y, *(state[0] for state in (after if kind == "LSTM" else (after,))))

    def restore(self, w, r, b):
        """From ONNX's arrangement."""
        kind, hidden, directions, _ = self.how
        gates = len(self.GATES[kind])
        order = [self.GATES[kind].index(g) for g in range(gates)]
        for d, suffix in enumerate(("", "_reverse")[:directions]):
            for name, rows in (("weight_ih_l0", w[d]), ("weight_hh_l0", r[d]), ("bias_ih_l0", b[d][:gates * hidden]),
                               ("bias_hh_l0", b[d][gates * hidden:])):
                getattr(self.layer, name + suffix).data = torch.cat([rows.chunk(gates)[g] for g in order])

    def arrange(self):
        """Copies the weights into ONNX's arrangement: [directions][gates*hidden][...]."""
        kind, _, directions, _ = self.how
        def stack(name):
            rows = [getattr(self.layer, name + suffix).detach() for suffix in ("", "_reverse")[:directions]]
            return torch.stack([torch.cat([w.chunk(len(self.GATES[kind]))[g] for g in self.GATES[kind]]) for w in rows])
        self.register_buffer("w", stack("weight_ih_l0"))
        self.register_buffer("r", stack("weight_hh_l0"))
        self.register_buffer("b", torch.cat([stack("bias_ih_l0"), stack("bias_hh_l0")], 1))


# ---- a model's folder ----

HALVED = 1024  # elements from which on a weight is stored in half precision, where that is asked for


def halve(model):
    """Rounds large weights to half precision: what is measured afterwards is what is stored."""
    for weight in model.parameters():
        if weight.numel() >= HALVED:
            weight.data = weight.data.half().float()


def store_half(path, shapes):
    """Large weights of an ONNX file as float16, each behind a Cast that is computed once, when the model is loaded.
    shapes: of the outputs, whose fixed axes the exporter does not always know."""
    import onnx
    from onnx import helper, numpy_helper
    model, casts = onnx.load(str(path)), []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= HALVED:
            assert (values.astype(np.float16).astype(np.float32) == values).all(), weight.name
            casts.append(helper.make_node("Cast", [weight.name + ".half"], [weight.name], weight.name + ".wide", to=1))
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), weight.name + ".half"))
    for output, shape in zip(model.graph.output, shapes):
        for axis, size in zip(output.type.tensor_type.shape.dim, shape):
            if size is not None:
                axis.dim_value = size
    nodes = casts + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def load(model, name):
    """Gives a network the weights of models/NAME/model.onnx, where they have the names of its own."""
    import onnx
    from onnx import numpy_helper
    file = onnx.load(str(MODELS / name / "model.onnx"))
    found = {weight.name.removesuffix(".half"): torch.tensor(numpy_helper.to_array(weight).astype(np.float32))
             for weight in file.graph.initializer}
    for where, module in model.named_modules():
        if isinstance(module, Recurrent):
            module.restore(*(found[f"{where}.{kind}"] for kind in "wrb"))
    own = {key: value for key, value in model.state_dict().items() if ".layer." not in key and "num_batches" not in key}
    model.load_state_dict({**model.state_dict(), **{key: found[key] for key in own}})
    return model.eval()


def export(path, model, example, inputs, outputs, half=False):
    """One ONNX file. inputs, outputs: {name: names of its first axes, None for one that is fixed}."""
    path.parent.mkdir(exist_ok=True)
    for module in model.modules():
        if isinstance(module, Recurrent):
            module.arrange()
    axes = {name: {i: axis for i, axis in enumerate(free) if axis} for name, free in {**inputs, **outputs}.items()}
    torch.onnx.export(model, example, path, opset_version=13, input_names=list(inputs), output_names=list(outputs),
                      dynamic_axes=axes, training=torch.onnx.TrainingMode.PRESERVE)  # keeps BatchNormalization a node
    if half:
        with torch.no_grad():
            made = model(*example) if isinstance(example, tuple) else model(example)
        made = made if isinstance(made, tuple) else (made,)
        store_half(path, [[None if i in axes[name] else size for i, size in enumerate(y.shape)]
                          for name, y in zip(outputs, made)])


def write(name, manifest, files=()):
    """models/NAME/manifest.json, and text files given as {file name: lines, or the text itself}."""
    folder = MODELS / name
    folder.mkdir(exist_ok=True)
    for file, lines in dict(files).items():
        text = lines if isinstance(lines, str) else "".join(f"{line}\n" for line in lines)
        (folder / file).write_text(text, encoding="utf-8")
    text = json.dumps({"manifest": 1, **manifest}, indent=2, ensure_ascii=False)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda row: "[" + re.sub(r"\n\s*", " ", row[1]) + "]", text)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in folder.glob("*.onnx"))
    print(f"{name}: {manifest.get('accuracy')}, {size} bytes")


def save(name, model, example, axes, manifest, files=()):
    """models/NAME/ of a classifier: model.onnx, manifest.json, and text files given as {file name: lines}.
    axes: {input name: names of its free axes}, in the order of the axes, the first always N.
    When settings are tried nothing is written."""
    if CHOOSE:
        print(f"{name}, on what is for choosing: {manifest['accuracy']}")
        return
    export(MODELS / name / "model.onnx", model, example, axes, {"scores": ["N"]})
    write(name, manifest, files)


def classify(top_k):
    return {"kind": "classify", "output": "scores", "activation": "softmax", "top_k": top_k}

#!/usr/bin/python3
"""nets.py FOLDER [NAME]... - writes the networks that are timed beside other runtimes, as NAME.onnx.

What people serve, in their usual sizes, with a free batch axis: picture classifiers of torchvision, two small ones for
digits, an autoencoder, style transfer, text in pictures, and recurrent networks whole and as steps with their state.
Weights are drawn from a seed, batch normalizations have statistics of their own so that folding them is work: the
speed is real, the answers mean nothing. Needs python3-torch and python3-torchvision.
"""
import os, sys, warnings

try:
    import torch, torchvision
    from torch import nn
except ImportError:
    sys.exit(1)

warnings.filterwarnings('ignore')
zoo = torchvision.models




# --- pictures ---------------------------------------------------------------------------------------------------------

def lenet():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                         nn.Linear(84, 10), nn.Softmax(1))


def mnist_cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10), nn.LogSoftmax(1))


def conv_ae():
    down = [layer for i, o in ((3, 32), (32, 64), (64, 128)) for layer in (nn.Conv2d(i, o, 3, 2, 1), nn.ReLU())]
    up = [layer for i, o in ((128, 64), (64, 32), (32, 3)) for layer in (nn.ConvTranspose2d(i, o, 4, 2, 1), nn.ReLU())]
    return nn.Sequential(*down, *up[:-1], nn.Sigmoid())


def reflected(i, o, kernel, stride=1):
    return [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(i, o, kernel, stride)]


def normed(i, o, kernel, stride=1):
    return [*reflected(i, o, kernel, stride), nn.InstanceNorm2d(o, affine=True)]


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(*normed(width, width, 3), nn.ReLU(), *normed(width, width, 3))

    def forward(self, x):
        return x + self.body(x)


def style():
    double = nn.Upsample(scale_factor=2, mode='nearest')
    return nn.Sequential(*normed(3, 32, 9), nn.ReLU(), *normed(32, 64, 3, 2), nn.ReLU(), *normed(64, 128, 3, 2),
                         nn.ReLU(), *(Residual(128) for _ in range(5)), double, *normed(128, 64, 3), nn.ReLU(), double,
                         *normed(64, 32, 3), nn.ReLU(), *reflected(32, 3, 9))


# --- sequences --------------------------------------------------------------------------------------------------------

class LstmClass(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(20000, 128), nn.Linear(256, 2)
        self.lstm = nn.LSTM(128, 256, batch_first=True)

    def forward(self, x):
        return self.out(self.lstm(self.embed(x))[1][0][-1])


class BiLstmTags(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(20000, 100), nn.Linear(512, 17)
        self.lstm = nn.LSTM(100, 256, 2, bidirectional=True, batch_first=True)

    def forward(self, x):
        return self.out(self.lstm(self.embed(x))[0])


class GruStep(nn.Module):
    def __init__(self, words_out):
        super().__init__()
        self.embed, self.gru = nn.Embedding(10000, 256), nn.GRU(256, 256)
        self.out = nn.Linear(256, words_out) if words_out else None

    def forward(self, x, h):
        y, h = self.gru(torch.relu(self.embed(x)) if self.out else self.embed(x), h)
        return (torch.log_softmax(self.out(y[0]), 1) if self.out else y), h


class CharStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.out = nn.Embedding(128, 128), nn.LSTM(128, 512, 2), nn.Linear(512, 128)

    def forward(self, x, h, c):
        y, (h, c) = self.lstm(self.embed(x), (h, c))
        return self.out(y[0]), h, c


class Vanilla(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.RNN(64, 128, batch_first=True), nn.Linear(128, 18)

    def forward(self, x):
        return self.out(self.rnn(x)[1][-1])


class Crnn(nn.Module):
    """Text in a strip of 32 x 100 pixels: seven convolutions, two bidirectional LSTMs, a class per column."""

    def __init__(self):
        super().__init__()
        layers, width = [], 1
        for out, kernel, pad, normal, pool in ((64, 3, 1, False, (2, 2, 0)), (128, 3, 1, False, (2, 2, 0)),
                                               (256, 3, 1, True, None), (256, 3, 1, False, ((2, 2), (2, 1), (0, 1))),
                                               (512, 3, 1, True, None), (512, 3, 1, False, ((2, 2), (2, 1), (0, 1))),
                                               (512, 2, 0, True, None)):
            layers += [nn.Conv2d(width, out, kernel, 1, pad), *([nn.BatchNorm2d(out)] if normal else []), nn.ReLU()]
            layers += [nn.MaxPool2d(*pool)] if pool else []
            width = out
        self.features = nn.Sequential(*layers)
        self.first, self.between = nn.LSTM(512, 256, bidirectional=True), nn.Linear(512, 256)
        self.second, self.classes = nn.LSTM(256, 256, bidirectional=True), nn.Linear(512, 37)

    def forward(self, x):
        columns = self.features(x).squeeze(2).permute(2, 0, 1)
        return torch.log_softmax(self.classes(self.second(self.between(self.first(columns)[0]))[0]), 2)


# --- the table: how it is made, its inputs for b items, the batch axis of each input and output ------------------------

def picture(channels, height, width):
    return lambda b: (torch.randn(b, channels, height, width),)


def tokens(words, *shape):
    return torch.randint(0, words, shape)


def of_zoo(name, size=224, **options):
    make = getattr(zoo, name)
    return (lambda: make(weights=None, **options)), picture(3, size, size), [0], [0]


NETS = {
    'lenet': (lenet, picture(1, 28, 28), [0], [0]),
    'mnist_cnn': (mnist_cnn, picture(1, 28, 28), [0], [0]),
    'squeezenet1_1': of_zoo('squeezenet1_1'),
    'mobilenet_v2': of_zoo('mobilenet_v2'),
    'mnasnet1_0': of_zoo('mnasnet1_0'),
    'shufflenet_v2_x1_0': of_zoo('shufflenet_v2_x1_0'),
    'efficientnet_b0': of_zoo('efficientnet_b0'),
    'resnet18': of_zoo('resnet18'),
    'resnet50': of_zoo('resnet50'),
    'googlenet': of_zoo('googlenet', init_weights=False, aux_logits=False),
    'densenet121': of_zoo('densenet121'),
    'inception_v3': of_zoo('inception_v3', 299, init_weights=False, aux_logits=False),
    'vgg16': of_zoo('vgg16'),
    'style': (style, picture(3, 256, 256), [0], [0]),
    'conv_ae': (conv_ae, picture(3, 128, 128), [0], [0]),
    'crnn': (Crnn, picture(1, 32, 100), [0], [1]),
    'lstm_cls': (LstmClass, lambda b: (tokens(20000, b, 100),), [0], [0]),
    'bilstm_tag': (BiLstmTags, lambda b: (tokens(20000, b, 50),), [0], [0]),
    'gru_enc_step': (lambda: GruStep(0), lambda b: (tokens(10000, 1, b), torch.randn(1, b, 256)), [1, 1], [1, 1]),
    'gru_dec_step': (lambda: GruStep(10000), lambda b: (tokens(10000, 1, b), torch.randn(1, b, 256)), [1, 1], [0, 1]),
    'char_rnn': (CharStep, lambda b: (tokens(128, 1, b), torch.randn(2, b, 512), torch.randn(2, b, 512)), [1, 1, 1],
                 [0, 1, 1]),
    'vanilla_rnn': (Vanilla, lambda b: (torch.randn(b, 28, 64),), [0], [0]),
}


def settle(net, inputs):
    """Statistics of each batch normalization become those of what it is given, so that values stay of one size."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.5, 1.2)
        norm.bias.normal_(0, 0.1)
        norm.momentum = 1.0
        norm.train()
    if norms:
        net(*inputs(4))
    net.eval()


def write(folder, name):
    make, inputs, axes_in, axes_out = NETS[name]
    torch.manual_seed(len(name))
    net = make().eval()
    settle(net, inputs)
    names_in, names_out = ['x', 'h', 'c'][:len(axes_in)], ['y', 'hn', 'cn'][:len(axes_out)]
    axes = {n: {axis: 'N'} for n, axis in zip(names_in + names_out, axes_in + axes_out)}
    torch.onnx.export(net, inputs(2), f'{folder}/{name}.part', opset_version=16, input_names=names_in,
                      output_names=names_out, dynamic_axes=axes)
    os.replace(f'{folder}/{name}.part', f'{folder}/{name}.onnx')


if len(sys.argv) < 2:
    sys.exit(__doc__)
torch.set_grad_enabled(False)
os.makedirs(sys.argv[1], exist_ok=True)
for name in sys.argv[2:] or NETS:
    write(sys.argv[1], name)
    print(f'{name}: {os.path.getsize(f"{sys.argv[1]}/{name}.onnx") / 1e6:.1f} MB', file=sys.stderr)

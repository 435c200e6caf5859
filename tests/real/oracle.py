#!/usr/bin/python3
"""oracle.py PERCEPTD DIR [TEXT]... - who is right where perceptd and a stored reference differ.

Two programs that compute in float32 differ by rounding, and a reference is no more exact than what it
judges. This runs trained models a third time with numpy, every float a float64, and prints for each
stored case of DIR (NAME/CASE/meta.json; those whose path contains a TEXT) how far perceptd and the
reference are from that: the largest and the mean |got - f64| / (1 + |f64|) over all float outputs.
The last column goes by the mean. tests/real/bounds quotes these numbers where a case needs more than the usual bound.

It shares nothing with perceptd: its own reader of ONNX, each operator as the specification says it, in
the plainest way. It knows the operators that these models use and says so of others. Not a test: it
judges nothing, and needs Debian's python3-numpy.
"""
import functools
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from numpy.lib.stride_tricks import sliding_window_view
except ImportError:
    sys.exit('skipped: no numpy (Debian: python3-numpy)')

# ONNX's element types; float32 and float16 become float64.
TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64,
         9: np.bool_, 10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64}


def widen(array):
    return array.astype(np.float64) if array.dtype.kind == 'f' else array


# --- protobuf ---------------------------------------------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if kind == 2 else ({5: 4, 1: 8}[kind], at)
            value = data[at:at + size]
            at += size
        yield key >> 3, value


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def numbers(values):
    """A repeated integer field: packed or one by one."""
    out = []
    for value in values:
        at = 0
        if isinstance(value, int):
            out.append(signed(value))
        else:
            while at < len(value):
                one, at = varint(value, at)
                out.append(signed(one))
    return out


def floats(values, letter='f'):
    data = b''.join(values)
    return list(struct.unpack('<%d%s' % (len(data) // struct.calcsize(letter), letter), data))


def message(data):
    out = {}
    for key, value in fields(data):
        out.setdefault(key, []).append(value)
    return out


def read_tensor(data):
    m = message(data)
    kind = TYPES[m[2][0]]
    shape = numbers(m.get(1, []))
    if 9 in m:
        array = np.frombuffer(m[9][0], dtype=kind)
    elif 4 in m:
        array = np.array(floats(m[4]), dtype=kind)
    elif 10 in m:
        array = np.array(floats(m[10], 'd'), dtype=kind)
    else:
        array = np.array(numbers(m.get(5, []) or m.get(7, [])), dtype=kind)
    return widen(array.reshape(shape))


def read_attribute(data):
    m = message(data)
    kind = m[20][0] if 20 in m else next(k for f, k in ((2, 1), (3, 2), (4, 3), (5, 4), (7, 6), (8, 7)) if f in m)
    return {1: lambda: floats(m[2])[0], 2: lambda: signed(m[3][0]), 3: lambda: m[4][0].decode(),
            4: lambda: read_tensor(m[5][0]), 5: lambda: read_graph(m[6][0]),
            6: lambda: floats(m.get(7, [])), 7: lambda: numbers(m.get(8, [])),
            8: lambda: [s.decode() for s in m.get(9, [])]}[kind]()


def read_node(data):
    m = message(data)
    attributes = {message(a)[1][0].decode(): read_attribute(a) for a in m.get(5, [])}
    return m[4][0].decode(), [i.decode() for i in m.get(1, [])], [o.decode() for o in m.get(2, [])], attributes


def read_graph(data):
    m = message(data)

    def names(field):
        return [message(v)[1][0].decode() for v in m.get(field, [])]
    return {'nodes': [read_node(n) for n in m.get(1, [])],
            'constants': {message(t)[8][0].decode(): read_tensor(t) for t in m.get(5, [])},
            'inputs': names(11), 'outputs': names(12)}


def read_model(path):
    with open(path, 'rb') as file:
        m = message(file.read())
    opset = next(message(o)[2][0] for o in m[8] if message(o).get(1, [b''])[0] in (b'', b'ai.onnx'))
    return read_graph(m[7][0]), opset


# --- operators: f(node's attributes, inputs) -> output or tuple of outputs --------------------------------

OPS = {}


def op(function):
    OPS[function.__name__] = function
    return function


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain(**functions):
    for name, function in functions.items():
        OPS[name] = lambda a, *x, f=function: f(*x)


def divide(x, y):
    return x / y if x.dtype.kind == 'f' else (np.sign(x) * np.sign(y) * (abs(x) // abs(y))).astype(x.dtype)


plain(Add=np.add, Sub=np.subtract, Mul=np.multiply, Div=divide, Pow=np.power, Max=lambda *x: functools.reduce(np.maximum, x),
      Sqrt=np.sqrt, Exp=np.exp, Log=np.log, Tanh=np.tanh, Sigmoid=sigmoid, Reciprocal=lambda x: 1 / x,
      Relu=lambda x: np.maximum(x, 0), Identity=lambda x: x, MatMul=np.matmul, Equal=np.equal, Less=np.less,
      Not=np.logical_not, Where=np.where, Shape=lambda x: np.array(x.shape, dtype=np.int64),
      Size=lambda x: np.array(x.size, dtype=np.int64), Tile=lambda x, n: np.tile(x, n),
      Expand=lambda x, shape: x * np.ones([int(d) for d in shape], dtype=x.dtype),
      GlobalAveragePool=lambda x: x.mean(axis=tuple(range(2, x.ndim)), keepdims=True),
      GlobalMaxPool=lambda x: x.max(axis=tuple(range(2, x.ndim)), keepdims=True))


@op
def Constant(a):
    return a['value'] if 'value' in a else widen(np.array(next(iter(a.values()))))


@op
def ConstantOfShape(a, shape):
    value = a.get('value', np.zeros(1))
    return np.full([int(d) for d in shape], value[0], dtype=value.dtype)


@op
def Cast(a, x):
    kind = TYPES[a['to']]
    return x.astype(np.float64 if np.dtype(kind).kind == 'f' else kind)


@op
def LeakyRelu(a, x):
    return np.where(x < 0, a.get('alpha', np.float32(0.01)) * x, x)


@op
def HardSigmoid(a, x):
    return np.clip(a.get('alpha', np.float32(0.2)) * x + a.get('beta', 0.5), 0, 1)


@op
def Clip(a, x, low=None, high=None):
    low, high = a.get('min', low), a.get('max', high)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def shifted_softmax(a, x):
    axis = a.get('axis', -1 if a['opset'] >= 13 else 1)
    axes = axis if a['opset'] >= 13 else tuple(range(axis % x.ndim, x.ndim))
    shifted = x - x.max(axis=axes, keepdims=True)
    return shifted, np.exp(shifted).sum(axis=axes, keepdims=True)


@op
def Softmax(a, x):
    shifted, total = shifted_softmax(a, x)
    return np.exp(shifted) / total


@op
def LogSoftmax(a, x):
    shifted, total = shifted_softmax(a, x)
    return shifted - np.log(total)


def reducer(function):
    def run(a, x, axes=None):
        axes = a.get('axes', axes)
        axes = None if axes is None else tuple(int(i) for i in axes)
        return function(x, axis=axes, keepdims=bool(a.get('keepdims', 1)))
    return run


OPS.update(ReduceMean=reducer(np.mean), ReduceSum=reducer(np.sum), ReduceMax=reducer(np.max))


@op
def ArgMax(a, x):
    axis = a.get('axis', 0)
    y = x.argmax(axis=axis)
    return np.expand_dims(y, axis) if a.get('keepdims', 1) else y


@op
def Reshape(a, x, shape):
    return x.reshape([x.shape[i] if d == 0 else int(d) for i, d in enumerate(shape)])


@op
def Flatten(a, x):
    return x.reshape(int(np.prod(x.shape[:a.get('axis', 1)])), -1)


@op
def Transpose(a, x):
    return x.transpose(a.get('perm'))


@op
def Squeeze(a, x, axes=None):
    axes = a.get('axes', axes)
    return x.squeeze() if axes is None else x.squeeze(tuple(int(i) for i in axes))


@op
def Unsqueeze(a, x, axes=None):
    return np.expand_dims(x, tuple(int(i) for i in a.get('axes', axes)))


@op
def Concat(a, *x):
    return np.concatenate(x, a['axis'])


@op
def Split(a, x, sizes=None):
    axis, sizes = a.get('axis', 0), a.get('split', sizes)
    return tuple(np.split(x, a['n_out'] if sizes is None else np.cumsum(sizes)[:-1], axis))


@op
def Slice(a, x, starts=None, ends=None, axes=None, steps=None):
    starts, ends, axes = a.get('starts', starts), a.get('ends', ends), a.get('axes', axes)
    axes = range(len(starts)) if axes is None else axes
    at = [slice(None)] * x.ndim
    for i, axis in enumerate(axes):
        step = 1 if steps is None else int(steps[i])
        end = int(ends[i])
        at[int(axis)] = slice(int(starts[i]), None if step < 0 and end < -x.shape[axis] else end, step)
    return x[tuple(at)]


@op
def Gather(a, x, indices):
    return x.take(indices, a.get('axis', 0))


@op
def Pad(a, x, pads=None, value=0):
    pads = [int(p) for p in a.get('pads', pads)]
    around = list(zip(pads[:x.ndim], pads[x.ndim:]))
    if a.get('mode', 'constant') == 'constant':
        return np.pad(x, around, constant_values=a.get('value', value))
    return np.pad(x, around, a['mode'])


@op
def Gemm(a, x, w, c=0):
    x, w = x.T if a.get('transA') else x, w.T if a.get('transB') else w
    return a.get('alpha', 1) * (x @ w) + a.get('beta', 1) * c


@op
def BatchNormalization(a, x, scale, shift, mean, variance):
    scale, shift, mean, variance = (v.reshape((-1,) + (1,) * (x.ndim - 2)) for v in (scale, shift, mean, variance))
    return (x - mean) / np.sqrt(variance + a.get('epsilon', np.float32(1e-5))) * scale + shift


def windows(a, x, kernel):
    """Attributes of a window over the axes from 2 on: kernel, strides, dilations, pads."""
    n = x.ndim - 2
    strides, dilations = a.get('strides', [1] * n), a.get('dilations', [1] * n)
    pads = a.get('pads', [0] * 2 * n)
    auto = a.get('auto_pad', 'NOTSET')
    if auto.startswith('SAME'):
        total = [max((-(-x.shape[2 + i] // strides[i]) - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 -
                     x.shape[2 + i], 0) for i in range(n)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = less + more if auto == 'SAME_UPPER' else more + less
    return strides, dilations, [(0, 0), (0, 0)] + list(zip(pads[:n], pads[n:]))


@op
def Conv(a, x, w, b=None):
    kernel, groups = w.shape[2:], a.get('group', 1)
    strides, dilations, pads = windows(a, x, kernel)
    x = np.pad(x, pads)
    size = [(x.shape[2 + i] - (k - 1) * dilations[i] - 1) // strides[i] + 1 for i, k in enumerate(kernel)]
    x = x.reshape((x.shape[0], groups, -1) + x.shape[2:])
    w = w.reshape((groups, -1) + w.shape[1:])
    y = 0
    for at in np.ndindex(*kernel):
        part = x[(slice(None),) * 3 + tuple(
            slice(k * d, k * d + (n - 1) * s + 1, s) for k, d, n, s in zip(at, dilations, size, strides))]
        y = y + w[(slice(None),) * 3 + at] @ part.reshape(part.shape[:3] + (-1,))
    y = y.reshape([x.shape[0], -1] + size)
    return y if b is None else y + b.reshape((-1,) + (1,) * len(kernel))


@op
def ConvTranspose(a, x, w, b=None):
    kernel, groups, n = w.shape[2:], a.get('group', 1), x.ndim - 2
    strides, dilations = a.get('strides', [1] * n), a.get('dilations', [1] * n)
    extra = a.get('output_padding', [0] * n)
    full = [(x.shape[2 + i] - 1) * strides[i] + (k - 1) * dilations[i] + 1 + extra[i] for i, k in enumerate(kernel)]
    pads = a.get('pads', [0] * 2 * n)
    if a.get('auto_pad', 'NOTSET').startswith('SAME'):
        total = [full[i] - x.shape[2 + i] * strides[i] for i in range(n)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = less + more if a['auto_pad'] == 'SAME_UPPER' else more + less
    parts = x.reshape(x.shape[0], groups, x.shape[1] // groups, -1)
    w = w.reshape((groups, -1) + w.shape[1:])
    y = np.zeros([x.shape[0], groups, w.shape[2]] + full)
    for at in np.ndindex(*kernel):
        part = w[(slice(None),) * 3 + at].transpose(0, 2, 1) @ parts
        y[(slice(None),) * 3 + tuple(slice(k * d, k * d + (m - 1) * s + 1, s) for k, d, m, s in
                                     zip(at, dilations, x.shape[2:], strides))] += part.reshape(y.shape[:3] + x.shape[2:])
    y = y.reshape([x.shape[0], -1] + full)
    y = y[(slice(None),) * 2 + tuple(slice(pads[i], full[i] - pads[n + i]) for i in range(n))]
    return y if b is None else y + b.reshape((-1,) + (1,) * n)


@op
def MaxPool(a, x):
    kernel = a['kernel_shape']
    strides, dilations, pads = windows(a, x, kernel)
    if a.get('ceil_mode'):
        pads = pads[:2] + [(p, q + s - 1) for (p, q), s in zip(pads[2:], strides)]
    x = np.pad(x, pads, constant_values=-np.inf)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    axes = tuple(range(2, x.ndim))
    view = sliding_window_view(x, reach, axes)
    view = view[(slice(None),) * 2 + tuple(slice(None, None, s) for s in strides) +
                tuple(slice(None, None, d) for d in dilations)]
    return view.max(axis=tuple(range(-len(kernel), 0)))


def source(mode, size, to, scale):
    """Where along an axis of `size` each of `to` results is read."""
    i = np.arange(to, dtype=np.float64)
    return {'asymmetric': lambda: i / scale, 'half_pixel': lambda: (i + 0.5) / scale - 0.5,
            'pytorch_half_pixel': lambda: (i + 0.5) / scale - 0.5 if to > 1 else i * 0,
            'align_corners': lambda: i * (size - 1) / (to - 1) if to > 1 else i * 0}[mode]()


@op
def Resize(a, x, *rest):
    scales = rest[0] if len(rest) == 1 else rest[1]
    sizes = rest[2] if len(rest) > 2 else None
    mode = a.get('coordinate_transformation_mode', 'half_pixel' if a['opset'] > 10 else 'asymmetric')
    for axis in range(x.ndim):
        size = x.shape[axis]
        to = int(sizes[axis]) if sizes is not None else int(np.floor(size * scales[axis]))
        scale = to / size if sizes is not None else scales[axis]
        if to == size and scale == 1:
            continue
        at = source(mode, size, to, scale)
        if a.get('mode', 'nearest') == 'nearest':
            pick = {'floor': np.floor, 'ceil': np.ceil, 'round_prefer_floor': lambda v: np.ceil(v - 0.5),
                    'round_prefer_ceil': lambda v: np.floor(v + 0.5)}[
                        a.get('nearest_mode', 'round_prefer_floor' if a['opset'] > 10 else 'floor')]
            x = x.take(np.clip(pick(at), 0, size - 1).astype(int), axis)
        elif a['mode'] == 'linear':
            low = np.floor(at)
            part = (at - low).reshape((-1,) + (1,) * (x.ndim - axis - 1))
            x = x.take(np.clip(low, 0, size - 1).astype(int), axis) * (1 - part) + \
                x.take(np.clip(low + 1, 0, size - 1).astype(int), axis) * part
        else:
            raise NotImplementedError('Resize ' + a['mode'])
    return x


def recurrent(a, x, w, r, b, lengths, states, step, gates):
    """Runs step(x w + b's first half, r, b's second half, states) over time for each direction."""
    hidden = a['hidden_size']
    time, batch, _ = x.shape
    directions = {'forward': [1], 'reverse': [-1], 'bidirectional': [1, -1]}[a.get('direction', 'forward')]
    if 'activations' in a and len(set(a['activations']) - {'Sigmoid', 'Tanh'}):
        raise NotImplementedError('activations ' + str(a['activations']))
    lengths = np.full(batch, time) if lengths is None else lengths
    y = np.zeros((time, len(directions), batch, hidden))
    last = [np.zeros((len(directions), batch, hidden)) for _ in states]
    for d, direction in enumerate(directions):
        bias = np.zeros(2 * gates * hidden) if b is None else b[d]
        now = [np.zeros((batch, hidden)) if s is None else s[d].copy() for s in states]
        for t in range(time):
            at = np.full(batch, t) if direction > 0 else lengths - 1 - t
            live = ((at >= 0) & (t < lengths))[:, None]
            rows = x[np.maximum(at, 0), np.arange(batch)]
            new = step(rows @ w[d].T + bias[:gates * hidden], r[d], bias[gates * hidden:], now)
            now = [np.where(live, n, o) for n, o in zip(new, now)]
            for i in np.nonzero(live[:, 0])[0]:
                y[at[i], d, i] = now[0][i]
        for s, state in enumerate(now):
            last[s][d] = state
    return (y, *last)


@op
def LSTM(a, x, w, r, b=None, lengths=None, h=None, c=None, peepholes=None):
    if peepholes is not None or a.get('clip') or a.get('layout'):
        raise NotImplementedError('LSTM with peepholes, clip or layout')

    def step(gates, r, bias, state):
        i, o, f, g = np.split(gates + state[0] @ r.T + bias, 4, axis=1)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]
    return recurrent(a, x, w, r, b, lengths, [h, c], step, 4)


@op
def GRU(a, x, w, r, b=None, lengths=None, h=None):
    def step(gates, r, bias, state):
        n = a['hidden_size']
        zr = sigmoid(gates[:, :2 * n] + state[0] @ r[:2 * n].T + bias[:2 * n])
        z, reset = zr[:, :n], zr[:, n:]
        if a.get('linear_before_reset'):
            g = np.tanh(gates[:, 2 * n:] + reset * (state[0] @ r[2 * n:].T + bias[2 * n:]))
        else:
            g = np.tanh(gates[:, 2 * n:] + (reset * state[0]) @ r[2 * n:].T + bias[2 * n:])
        return [(1 - z) * g + z * state[0]]
    return recurrent(a, x, w, r, b, lengths, [h], step, 3)


# --- graphs and cases -------------------------------------------------------------------------------

def run_graph(graph, opset, values):
    values = {**values, **graph['constants']}
    for name, inputs, outputs, attributes in graph['nodes']:
        given = [values[i] if i else None for i in inputs]
        if name == 'If':
            body = attributes['then_branch' if np.all(given[0]) else 'else_branch']
            inner = run_graph(body, opset, values)
            results = tuple(inner[o] for o in body['outputs'])
        elif name in OPS:
            results = OPS[name]({**attributes, 'opset': opset, 'n_out': len(outputs)}, *given)
        else:
            raise NotImplementedError(name)
        for output, result in zip(outputs, results if isinstance(results, tuple) else (results,)):
            values[output] = np.asarray(result)
    return values


def stored(folder, one):
    return np.fromfile(os.path.join(folder, one['file']), dtype=one['dtype']).reshape(one['shape'])


def run_perceptd(perceptd, model, feeds):
    with tempfile.TemporaryDirectory() as folder:
        arguments = []
        for i, (name, array) in enumerate(feeds.items()):
            path = os.path.join(folder, 'in%d.npy' % i)
            np.save(path, array)
            arguments += ['--input', name + '=' + path]
        out = os.path.join(folder, 'out')
        subprocess.run([perceptd, 'run', model, '--private-regions', '--output-dir', out] + arguments, check=True,
                       stdout=subprocess.DEVNULL)
        return {f[:-4]: np.load(os.path.join(out, f)) for f in os.listdir(out)}


def distance(got, truth):
    error = abs(widen(got) - truth) / (1 + abs(truth))
    return error.max(initial=0), error.mean() if error.size else 0.0


def judge(perceptd, folder):
    with open(os.path.join(folder, 'meta.json')) as file:
        meta = json.load(file)
    model = os.path.join(folder, meta['model'])
    feeds = {i['name']: stored(folder, i) for i in meta['inputs']}
    graph, opset = read_model(model)
    truth = run_graph(graph, opset, {name: widen(array) for name, array in feeds.items()})
    ours = run_perceptd(perceptd, model, feeds)
    worst = [0.0] * 4
    for output in meta['outputs']:
        if not output['dtype'].startswith('float'):
            continue
        name = output['name']
        got = ours.get(name, ours.get(name.replace('/', '_').replace(':', '_')))
        numbers = distance(got, truth[name]) + distance(stored(folder, output), truth[name])
        worst = [max(a, b) for a, b in zip(worst, numbers)]
    return worst


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    perceptd, root, texts = sys.argv[1], sys.argv[2], sys.argv[3:]
    np.seterr(over='ignore')
    print('%-42s %10s %10s %10s %10s  closer' % ('case', 'perceptd', 'mean', 'reference', 'mean'))
    for name in sorted(os.listdir(root)):
        for case in sorted(os.listdir(os.path.join(root, name))) if os.path.isdir(os.path.join(root, name)) else []:
            folder = os.path.join(root, name, case)
            label = name + '/' + case
            if not os.path.exists(os.path.join(folder, 'meta.json')) or (texts and not any(t in label for t in texts)):
                continue
            try:
                ours, our_mean, theirs, their_mean = judge(perceptd, folder)
            except NotImplementedError as what:
                print('%-42s not judged: no %s here' % (label, what))
                continue
            closer = 'equal' if our_mean == their_mean else 'perceptd' if our_mean < their_mean else 'reference'
            print('%-42s %10.2e %10.2e %10.2e %10.2e  %s' % (label, ours, our_mean, theirs, their_mean, closer), flush=True)


main()

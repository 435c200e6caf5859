#!/usr/bin/python3
"""quantized.py FOLDER - writes networks in the forms that ONNX Runtime's quantizer gives them, as NAME.FORM.onnx.

Three networks: a residual one (resnet18's layers), one with depthwise convolutions (mobilenet_v2's), and an LSTM before
fully connected layers. Four forms of each:

    fp32        as they were
    qdq         float operators between DequantizeLinear and QuantizeLinear; activations int8, weights int8 per channel
    qoperator   QLinearConv, QLinearAdd, QGemm ...; activations uint8, weights int8
    dynamic     DynamicQuantizeLinear before ConvInteger and MatMulInteger; DynamicQuantizeLSTM

Weights are drawn from a seed and no calibration is run: ranges are those of the activations. The speed is real, the
answers mean nothing. Needs python3-onnx and python3-numpy.
"""
import os, sys

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    sys.exit(1)

FORMS = ('fp32', 'qdq', 'qoperator', 'dynamic')


class Value:
    """A tensor of the network: its name, and where it is quantized its scale's and zero point's, and the float's."""

    def __init__(self, name, scale=None, zero=None):
        self.name, self.scale, self.zero = name, scale, zero


class Net:
    def __init__(self, form, seed):
        self.form, self.random = form, np.random.RandomState(seed)
        self.nodes, self.constants, self.count = [], [], 0

    def name(self, word):
        self.count += 1
        return f'{word}_{self.count}'

    def constant(self, word, array):
        name = self.name(word)
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def node(self, op, inputs, word=None, outputs=None, **attributes):
        outputs = outputs or [self.name(word or op.lower())]
        ours = op in ('QLinearAdd', 'QGemm', 'QLinearGlobalAveragePool', 'DynamicQuantizeLSTM')
        self.nodes.append(helper.make_node(op, inputs, outputs, name=self.name('node'),
                                           domain='com.microsoft' if ours else '', **attributes))
        return outputs[0]

    # --- numbers and their 8 bits

    def range(self, low, high):
        """Scale and zero point, as names."""
        signed = self.form == 'qdq'
        scale = np.float32((high - low) / 255)
        zero = int(round(-low / scale)) - (128 if signed else 0)
        return (self.constant('scale', scale), self.constant('zero', np.array(zero, np.int8 if signed else np.uint8)))

    def quantize(self, name, low, high):
        if self.form not in ('qdq', 'qoperator'):
            return Value(name)
        scale, zero = self.range(low, high)
        return self.store(self.node('QuantizeLinear', [name, scale, zero]), scale, zero)

    def store(self, name, scale, zero):
        """A tensor of 8 bits, for its readers."""
        if self.form == 'qdq':
            return Value(self.node('DequantizeLinear', [name, scale, zero]), scale, zero)
        return Value(name, scale, zero)

    def again(self, name, like):
        """What an operator that moves numbers makes of `like`."""
        if self.form == 'qdq':
            return self.store(self.node('QuantizeLinear', [name, like.scale, like.zero]), like.scale, like.zero)
        return Value(name, like.scale, like.zero)

    def weights(self, array, axis=0):
        """int8, per channel but in dynamic form: names of numbers, scales, zero points; the scales."""
        others = tuple(i for i in range(array.ndim) if i != axis)
        most = abs(array).max(axis=None if self.form == 'dynamic' else others)
        scales = np.float32(np.maximum(most, 1e-6) / 127)
        shape = [1] * array.ndim
        if scales.ndim:
            shape[axis] = -1
        numbers = np.clip(np.round(array / scales.reshape(shape)), -127, 127).astype(np.int8)
        return (self.constant('weights', numbers), self.constant('scales', scales),
                self.constant('zeros', np.zeros(scales.shape, np.int8)), scales)

    def bias(self, values, x, scales):
        """int32, and its scales."""
        of_x = next(numpy_helper.to_array(c) for c in self.constants if c.name == x.scale)
        all_scales = (of_x * scales).astype(np.float32)
        return self.constant('bias', np.round(values / all_scales).astype(np.int32)), self.constant('scales', all_scales)

    def activate(self, name, act):
        if act == 'Clip':
            return self.node('Clip', [name, self.constant('low', np.float32(0)), self.constant('high', np.float32(6))])
        return self.node(act, [name]) if act else name

    # --- operators

    def conv(self, x, i, o, kernel, stride=1, group=1, act='Relu', gain=1.0):
        w = self.random.normal(0, gain * (2 / (i // group * kernel * kernel)) ** 0.5, (o, i // group, kernel, kernel))
        b = self.random.normal(0, 0.1, o).astype(np.float32)
        pads = [kernel // 2] * 4
        how = dict(kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads, group=group)
        return self.product('Conv', 'ConvInteger', x, w.astype(np.float32), b, act, how)

    def linear(self, x, i, o, act='Relu'):
        w = self.random.normal(0, (2 / i) ** 0.5, (o, i)).astype(np.float32)
        b = self.random.normal(0, 0.1, o).astype(np.float32)
        return self.product('Gemm', 'MatMulInteger', x, w, b, act, dict(transB=1))

    def product(self, op, integer, x, w, b, act, how):
        limits = (0, 6) if act else (-6, 6)
        if self.form == 'fp32':
            y = self.node(op, [x.name, self.constant('weights', w), self.constant('bias', b)], **how)
            return Value(self.activate(y, act))
        if self.form == 'dynamic':
            return self.dynamic(integer, x, w, b, act, how)
        numbers, scale, zero, scales = self.weights(w)
        bias, bias_scales = self.bias(b, x, scales)
        y_scale, y_zero = self.range(*limits)
        if self.form == 'qdq':
            of_w = self.node('DequantizeLinear', [numbers, scale, zero], axis=0)
            of_b = self.node('DequantizeLinear', [bias, bias_scales,
                                                  self.constant('zeros', np.zeros(len(b), np.int32))], axis=0)
            y = self.node(op, [x.name, of_w, of_b], **how)  # ReLU and Clip are what saturation does
            return self.store(self.node('QuantizeLinear', [y, y_scale, y_zero]), y_scale, y_zero)
        if op == 'Conv':
            y = self.node('QLinearConv', [x.name, x.scale, x.zero, numbers, scale, zero, y_scale, y_zero, bias], **how)
        else:
            y = self.node('QGemm', [x.name, x.scale, x.zero, numbers, scale, zero, bias, y_scale, y_zero], **how)
        return Value(y, y_scale, y_zero)

    def dynamic(self, integer, x, w, b, act, how):
        y, scale, zero = self.name('numbers'), self.name('scale'), self.name('zero')
        self.node('DynamicQuantizeLinear', [x.name], outputs=[y, scale, zero])
        picture = integer == 'ConvInteger'
        numbers, w_scale, w_zero, _ = self.weights(w if picture else w.T)
        sums = self.node(integer, [y, numbers, zero, w_zero], **(how if picture else {}))
        factor = self.node('Mul', [scale, w_scale])
        scaled = self.node('Mul', [self.node('Cast', [sums], to=TensorProto.FLOAT), factor])
        bias = self.constant('bias', b.reshape(1, -1, 1, 1) if picture else b)
        return Value(self.activate(self.node('Add', [scaled, bias]), act))

    def add(self, a, b, act=None):
        if self.form in ('fp32', 'dynamic'):
            return Value(self.activate(self.node('Add', [a.name, b.name]), act))
        scale, zero = self.range(*((0, 6) if act else (-6, 6)))
        if self.form == 'qdq':
            y = self.node('QuantizeLinear', [self.node('Add', [a.name, b.name]), scale, zero])
            return self.store(y, scale, zero)
        y = self.node('QLinearAdd', [a.name, a.scale, a.zero, b.name, b.scale, b.zero, scale, zero])
        return Value(y, scale, zero)

    def max_pool(self, x):
        return self.again(self.node('MaxPool', [x.name], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), x)

    def mean(self, x):
        if self.form == 'qoperator':
            scale, zero = self.range(0, 6)
            y = self.node('QLinearGlobalAveragePool', [x.name, x.scale, x.zero, scale, zero])
            return self.again(self.node('Flatten', [y]), Value(y, scale, zero))
        y = self.quantize(self.node('GlobalAveragePool', [x.name]), 0, 6)
        return self.again(self.node('Flatten', [y.name]), y) if y.scale else Value(self.node('Flatten', [y.name]))

    def lstm(self, x, i, hidden):
        """The last step's state, [N, hidden]; x: [T, N, i]."""
        w, r = (self.random.normal(0, hidden ** -0.5, (1, 4 * hidden, n)).astype(np.float32) for n in (i, hidden))
        b = self.constant('bias', self.random.normal(0, 0.1, (1, 8 * hidden)).astype(np.float32))
        outputs = ['', self.name('state')]
        if self.form == 'dynamic':
            sides = [self.weights(side.transpose(0, 2, 1)) for side in (w, r)]
            for numbers, scale, zero, scales in sides:
                self.constants = [numpy_helper.from_array(numpy_helper.to_array(c).reshape(1), c.name)
                                  if c.name in (scale, zero) else c for c in self.constants]
            self.node('DynamicQuantizeLSTM', [x, sides[0][0], sides[1][0], b, '', '', '', '', *sides[0][1:3],
                                              *sides[1][1:3]], outputs=outputs, hidden_size=hidden)
        else:
            self.node('LSTM', [x, self.constant('w', w), self.constant('r', r), b], outputs=outputs, hidden_size=hidden)
        return self.node('Squeeze', [outputs[1], self.constant('axes', np.array([0], np.int64))])

    def save(self, y, shape, path):
        if self.form == 'qoperator':
            y = Value(self.node('DequantizeLinear', [y.name, y.scale, y.zero]))
        graph = helper.make_graph(self.nodes, 'net', [helper.make_tensor_value_info('x', TensorProto.FLOAT, shape)],
                                  [helper.make_tensor_value_info(y.name, TensorProto.FLOAT, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13),
                                                        helper.make_opsetid('com.microsoft', 1)])
        model.ir_version = 8
        onnx.save(model, path)


# --- the networks -----------------------------------------------------------------------------------------------------

def residual(net, path):
    x = net.max_pool(net.conv(net.quantize('x', -3, 3), 3, 64, 7, 2))
    width = 64
    for out in (64, 128, 256, 512):
        for stride in (1 if out == 64 else 2, 1):
            y = net.conv(net.conv(x, width, out, 3, stride), out, out, 3, act=None, gain=0.5)
            beside = x if stride == 1 and width == out else net.conv(x, width, out, 1, stride, act=None, gain=0.7)
            x, width = net.add(y, beside, 'Relu'), out
    net.save(net.linear(net.mean(x), 512, 1000, None), ['N', 3, 224, 224], path)


def mobile(net, path):
    x, width = net.conv(net.quantize('x', -3, 3), 3, 32, 3, 2, act='Clip'), 32
    for wider, out, n, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                  (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(n):
            step, inner = stride if i == 0 else 1, width * wider
            y = net.conv(x, width, inner, 1, act='Clip') if wider > 1 else x
            y = net.conv(net.conv(y, inner, inner, 3, step, inner, 'Clip'), inner, out, 1, act=None, gain=0.7)
            x, width = net.add(x, y) if step == 1 and width == out else y, out
    net.save(net.linear(net.mean(net.conv(x, 320, 1280, 1, act='Clip')), 1280, 1000, None), ['N', 3, 224, 224], path)


def recurrent(net, path):
    x = net.quantize(net.lstm('x', 128, 256), -1, 1)
    for i, o, act in ((256, 2048, 'Relu'), (2048, 2048, 'Relu'), (2048, 64, None)):
        x = net.linear(x, i, o, act)
    net.save(x, [24, 'N', 128], path)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for make in (residual, mobile, recurrent):
        for form in FORMS:
            make(Net(form, 1), os.path.join(folder, f'{make.__name__}.{form}.onnx'))


main()

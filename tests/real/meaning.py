#!/usr/bin/env python3
"""meaning.py PERCEPTD SHARED - do the answers of trained models mean what they should?

Serves the models of SHARED/models by the built daemon, asks it over HTTP as a client would, decodes the
replies as that folder's README.md describes (boxes, CTC, phonemes, segments of speech, ...) and compares
with what is known of the photos, recordings and texts. Inputs are the stored cases', and where a manifest
can say what a model expects, the photos themselves as JPEG and PNG; the manifests of models/gallery are used
where there is one, and what the daemon made of the outputs (predictions) is compared with what is decoded here. Prints a line per model with what was
recognised and closes with "N passed, N failed, N skipped". T=TEXT picks models whose name contains it;
OUT=FOLDER keeps the pictures that models made. The standard library alone.
"""
import array
import base64
import gzip
import json
import math
import os
import random
import sys

from served import (Daemon, Tensor, case, correlation, floats, iou, irfft, nms, png, png_pixels, rfft, stored,
                    wave_samples, zeros)

MODELS = {}     # name: function that returns what was recognised, or raises AssertionError
MANIFESTS = {}  # name: how a posted picture becomes its input
GALLERY = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'models', 'gallery')


# Models whose encoder and decoder are two of the shared ones.
PAIRS = {'g2p': {'encoder.onnx': 'g2p_enc', 'decoder.onnx': 'g2p_dec'}}


def meaning(*names, **manifest):
    def keep(function):
        for name in names:
            MODELS[name] = function
            if manifest:
                MANIFESTS[name] = manifest
            own = os.path.join(GALLERY, name, 'manifest.json')
            if os.path.exists(own):
                with open(own, encoding='utf-8') as file:
                    MANIFESTS[name] = json.load(file)
        return function
    return keep


def image(name, size, **more):
    return {name: {'kind': 'image', 'size': size, **more}}


def gallery(name):
    """A manifest of models/gallery."""
    with open(os.path.join(os.path.dirname(__file__), '../../models/gallery', name, 'manifest.json'), encoding='utf-8') as file:
        manifest = json.load(file)
    del manifest['manifest']
    return manifest


def equal(got, want):
    assert got == want, '%r instead of %r' % (got, want)


def near(got, want, by, what=''):
    assert abs(got - want) <= by, '%s %.4f instead of %.4f' % (what, got, want)


class World:
    def __init__(self, daemon, shared):
        self.daemon, self.shared = daemon, shared

    def case(self, model, name):
        return case(os.path.join(self.shared, 'models', model, name))

    def ask(self, model, name):
        """The daemon's outputs for a stored case."""
        return self.daemon.infer(model, self.case(model, name)[0])

    def file(self, *path):
        return os.path.join(self.shared, *path)

    def lines(self, *path):
        with open(self.file('models', *path), encoding='utf-8') as file:
            return file.read().rstrip('\n').split('\n')

    def json(self, *path):
        with open(self.file('models', *path), encoding='utf-8') as file:
            return json.load(file)

    def photo(self, model, name):
        """Outputs and predictions of a photo posted as it is."""
        return self.daemon.picture(model, self.file('inputs', 'images', name))

    def sound(self, name):
        return wave_samples(self.file('inputs', 'audio', name))

    def keep(self, name, width, height, pixels):
        if os.environ.get('OUT'):
            with open(os.path.join(os.environ['OUT'], name + '.png'), 'wb') as file:
                file.write(png(width, height, pixels))


# --- digits -----------------------------------------------------------------------------------------

def mnist(world, part, n):
    with gzip.open(world.file('data', 'mnist-t10k', part)) as file:
        return file.read(16 + n)[16:] if 'images' in part else file.read(8 + n)[8:]


def digits(world, model, shape, prepare, accuracy, by_picture):
    """Accuracy on the first 1,000, by 20; the first 20 again as PNG."""
    inputs, outputs = world.case(model, 'digit_0_label7')
    (entry,), (scores,) = inputs, outputs
    labels, pixels = mnist(world, 'labels-idx1-ubyte.gz', 1000), mnist(world, 'images-idx3-ubyte.gz', 784000)
    right = 0
    for start in range(0, 1000, 20):
        data = [v for i in range(start, start + 20) for v in prepare(pixels[i * 784:i * 784 + 784])]
        rows = world.daemon.infer(model, {entry: floats([20] + shape, data)})[scores].rows(10)
        answers = [row.index(max(row)) for row in rows]
        right += sum(a == b for a, b in zip(answers, labels[start:start + 20]))
        if start == 0:
            first = answers
    near(right / 1000, accuracy, 0.0005, 'accuracy')
    if by_picture:
        seen = [world.daemon.picture(model, png(28, 28, pixels[i * 784:i * 784 + 784]))[1][0][0]['label']
                for i in range(20)]
        equal(seen, ['digit %d' % a for a in first])
    return 'accuracy %.3f of 1000%s' % (right / 1000, ', 20 PNGs alike' if by_picture else '')


NAMED = {'labels': ['digit %d' % i for i in range(10)]}
NORMAL = {'scale': 1 / 255, 'mean': [0.1307], 'std': [0.3081]}


def normal(v):
    return [(x / 255 - 0.1307) / 0.3081 for x in v]


@meaning('mnist-cntk', inputs=image('Input3', [28, 28], **NORMAL), task={'kind': 'classify'}, **NAMED)
def mnist_cntk(world):
    return digits(world, 'mnist-cntk', [1, 28, 28], normal, 0.987, True)


@meaning('mnist-burn', inputs=image('input.1', [28, 28], **NORMAL), task={'kind': 'classify', 'activation': 'exp'},
         **NAMED)
def mnist_burn(world):
    return digits(world, 'mnist-burn', [1, 28, 28], normal, 0.990, True)


@meaning('mnist-pytorch-onnx2c', inputs=image('network_input', [28, 28], layout='flat', scale=1 / 255),
         task={'kind': 'classify'}, **NAMED)
def mnist_flat(world):
    return digits(world, 'mnist-pytorch-onnx2c', [784], lambda v: [x / 255 for x in v], 0.908, True)


@meaning('mnist-atmega')
def mnist_atmega(world):
    def halve(v):
        return [(v[y * 56 + 2 * x] + v[y * 56 + 2 * x + 1] + v[y * 56 + 28 + 2 * x] + v[y * 56 + 29 + 2 * x]) / 4
                for y in range(14) for x in range(14)]
    return digits(world, 'mnist-atmega', [1, 14, 14], halve, 0.927, False)


# --- objects ----------------------------------------------------------------------------------------

@meaning('tinydarknet', inputs=image('image', [224, 224], channels='rgb', scale=1 / 255), task={'kind': 'classify'})
def tinydarknet(world):
    names = world.lines('labels', 'imagenet.txt')
    known = {'onnx_cat': (173, 'tabby', 0.16), 'onnx_dog': (148, 'Eskimo dog', 0.68),
             'darknet_dog': (155, 'standard schnauzer', 0.12), 'darknet_eagle': (396, 'kite', 0.26)}
    told = []
    for name, (index, label, score) in known.items():
        probs = world.ask('tinydarknet', name)['probs'].data
        best = max(range(1000), key=lambda i: probs[i])
        equal((best, names[best]), (index, label))
        near(probs[best], score, 0.006, name)
        told.append('%s: %s %.2f' % (name, label, probs[best]))
    known.update(onnx_superres_cat=(178, 'Samoyed', 0.77), darknet_giraffe=(79, 'zebra', 0.42))
    for name, (index, label, score) in known.items():
        best = world.photo('tinydarknet', name + '.jpg')[1][0][0]
        equal(best['index'], index)
        near(best['score'], score, 0.05, name + '.jpg')
    return '; '.join(told) + '; 6 JPEGs alike'


def same_boxes(boxes, known, names, scores=0.006):
    """Each known object is among the boxes: name, score, corners."""
    found = [(names[c], s, corners) for s, c, *corners in boxes]
    for label, score, corners in known:
        best = max((iou(f[2], corners) for f in found if f[0] == label), default=0)
        assert best > 0.95, 'no %s at %s among %s' % (label, corners, found)
        assert any(f[0] == label and abs(f[1] - score) <= scores for f in found), '%s: %s' % (label, found)
    equal(len(found), len(known))


def same_predictions(found, boxes, width, height, points=0):
    """What the daemon told of an item is what is decoded here: the same objects, within 3 pixels and 0.02."""
    equal(len(found), len(boxes))
    left = list(boxes)
    for one in found:
        near_ones = [b for b in left if b[1] == one['index'] and abs(b[0] - one['score']) <= 0.02 and all(
            abs(min(max(v, 0), most) - w) <= 3 for v, w, most in zip(b[2:6], one['box'], (width, height) * 2))]
        assert near_ones, '%s is not among %s' % (one, left)
        left.remove(max(near_ones, key=lambda b: iou(b[2:6], one['box'])))
        equal(len(one.get('points', [])), points)
    scores = [one['score'] for one in found]
    equal(scores, sorted(scores, reverse=True))


def told_boxes(boxes, names):
    return ', '.join('%s %.2f [%s]' % (names[c], s, ','.join('%.0f' % v for v in corners)) for s, c, *corners in boxes)


def labels_of(boxes, names):
    return sorted({names[box[1]] for box in boxes})


LETTERBOX = 0  # of what a letterbox leaves free, in halves, how much lies before the picture


def yolox_boxes(output, shift, scale):
    boxes, at, rows = [], 0, output.rows(85)
    for stride in (8, 16, 32):
        n = 416 // stride
        for cell in range(n * n):
            row = rows[at + cell]
            best = max(range(80), key=lambda c: row[5 + c])
            score = row[4] * row[5 + best]
            if score > 0.3:
                cx, cy = (row[0] + cell % n) * stride - shift[0], (row[1] + cell // n) * stride - shift[1]
                w, h = math.exp(row[2]) * stride / 2, math.exp(row[3]) * stride / 2
                boxes.append((score, best, (cx - w) / scale, (cy - h) / scale, (cx + w) / scale, (cy + h) / scale))
        at += n * n
    return nms(boxes, 0.45)


@meaning('yolox_nano')
def yolox_nano(world):
    names, scale = world.lines('labels', 'coco.txt'), 416 / 768
    boxes = yolox_boxes(world.ask('yolox_nano', 'darknet_dog')['output'], (0, 0), scale)
    same_boxes(boxes, [('bicycle', 0.81, [46, 132, 572, 431]), ('car', 0.81, [467, 78, 692, 172]),
                       ('dog', 0.83, [133, 207, 325, 542]), ('cat', 0.38, [133, 207, 325, 542])], names)
    told = []
    for photo, labels, width, height in (('darknet_dog', ['bicycle', 'car', 'dog'], 768, 576),
                                         ('darknet_person', ['dog', 'horse', 'person'], 640, 424),
                                         ('darknet_kite', ['kite', 'person'], 1352, 900)):
        outputs, (found,) = world.photo('yolox_nano', photo + '.jpg')
        scale = min(416 / width, 416 / height)
        shift = LETTERBOX * (416 - width * scale) / 2, LETTERBOX * (416 - height * scale) / 2
        seen = yolox_boxes(outputs['output'], shift, scale)
        assert set(labels) <= set(labels_of(seen, names)), '%s.jpg: %s' % (photo, labels_of(seen, names))
        assert set(labels) <= {one['label'] for one in found}, found
        same_predictions(found, seen, width, height)
        told.append('%s.jpg: %s' % (photo, ' '.join(labels_of(seen, names))))
    follow(world)
    return told_boxes(boxes, names) + '; ' + '; '.join(told)


def follow(world):
    """A video of a photo twice, then of another: what is seen again has the number that it had."""
    shown = [world.file('inputs', 'images', name + '.jpg') for name in ('darknet_dog', 'darknet_person')]
    frames = world.daemon.video('yolox_nano', [shown[0], shown[0], shown[1]])
    equal([frame['frame'] for frame in frames], [0, 1, 2])
    first, second, other = [frame['predictions'][0] for frame in frames]
    _, (alone,) = world.photo('yolox_nano', 'darknet_dog.jpg')
    equal([{key: value for key, value in one.items() if key != 'track'} for one in first], alone)
    equal([one['track'] for one in first], list(range(1, len(first) + 1)))
    equal(second, first)
    assert any(one['track'] > len(first) for one in other), other


def nanodet_boxes(outputs, width, height):
    boxes = []
    for stride in (8, 16, 32):
        n = 320 // stride
        sides = outputs['dis_pred_stride_%d' % stride].rows(32)
        for cell, row in enumerate(outputs['cls_pred_stride_%d' % stride].rows(80)):
            if max(row) <= 0.4:
                continue
            cx, cy, far = cell % n * stride + (stride - 1) / 2, cell // n * stride + (stride - 1) / 2, []
            for side in range(4):
                e = [math.exp(v) for v in sides[cell][side * 8:side * 8 + 8]]
                far.append(stride * sum(k * v for k, v in enumerate(e)) / sum(e))
            box = ((cx - far[0]) * width / 320, (cy - far[1]) * height / 320,
                   (cx + far[2]) * width / 320, (cy + far[3]) * height / 320)
            boxes += [(score, c, *box) for c, score in enumerate(row) if score > 0.4]
    return nms(boxes, 0.45)


@meaning('nanodet_m_320')
def nanodet(world):
    names = world.lines('labels', 'coco.txt')
    known = [('bicycle', 0.59, [115, 129, 567, 454]), ('car', 0.54, [469, 75, 708, 167])]
    boxes = nanodet_boxes(world.ask('nanodet_m_320', 'darknet_dog'), 768, 576)
    same_boxes([b for b in boxes if names[b[1]] != 'truck'], known, names)
    near(max(b[0] for b in boxes if names[b[1]] == 'truck'), 0.42, 0.006, 'truck')
    outputs, (found,) = world.photo('nanodet_m_320', 'darknet_dog.jpg')
    seen = nanodet_boxes(outputs, 768, 576)
    same_predictions(found, seen, 768, 576)
    same_boxes([b for b in seen if names[b[1]] != 'truck'], known, names, 0.03)
    told = []
    for photo, labels in (('darknet_horses', ['cow', 'horse']), ('coco_1000', ['person'])):
        seen = labels_of(nanodet_boxes(world.photo('nanodet_m_320', photo + '.jpg')[0], 1, 1), names)
        assert set(labels) <= set(seen), '%s.jpg: %s' % (photo, seen)
        told.append('%s.jpg: %s' % (photo, ' '.join(seen)))
    return told_boxes(boxes, names) + '; ' + '; '.join(told)


# --- faces and people -------------------------------------------------------------------------------

def ultraface_boxes(outputs, width, height):
    return nms([(score[1], 0, b[0] * width, b[1] * height, b[2] * width, b[3] * height)
                for score, b in zip(outputs['scores'].rows(2), outputs['boxes'].rows(4)) if score[1] > 0.7], 0.3)


@meaning('ultraface-rfb-320')
def ultraface(world):
    told = []
    for name, n in (('faces_12', 5), ('faces_1', 44)):
        boxes = ultraface_boxes(world.ask('ultraface-rfb-320', name), 1024, 768)
        equal(len(boxes), n)
        if n == 5:
            assert iou(boxes[0][2:], [795, 95, 874, 197]) > 0.95, boxes[0]
        told.append('%s: %d faces' % (name, n))
    for photo, n, width, height in (('faces_12', 5, 1024, 768), ('faces_16', 9, 1024, 717), ('darknet_dog', 0, 768, 576)):
        outputs, (found,) = world.photo('ultraface-rfb-320', photo + '.jpg')
        seen = ultraface_boxes(outputs, width, height)
        same_predictions(found, seen, width, height)
        near(len(seen), n, 1 if n > 5 else 0, photo + '.jpg')
        told.append('%s.jpg: %d' % (photo, len(seen)))
    return ', '.join(told)


def yunet_faces(outputs, width):
    faces = []
    for s in (8, 16, 32):
        across = width // s
        rows = zip(*(outputs['%s_%d' % (part, s)].rows(n) for part, n in
                     (('cls', 1), ('obj', 1), ('bbox', 4), ('kps', 10))))
        for cell, (cls, obj, box, points) in enumerate(rows):
            score = math.sqrt(cls[0] * obj[0])
            if score > 0.7:
                gx, gy = cell % across * s, cell // across * s
                cx, cy, w, h = box[0] * s + gx, box[1] * s + gy, math.exp(box[2]) * s, math.exp(box[3]) * s
                faces.append((score, 0, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2,
                              [(points[k] * s + gx, points[k + 1] * s + gy) for k in range(0, 10, 2)]))
    return faces


@meaning('yunet_n_dynamic')
def yunet(world):
    cells = yunet_faces(world.ask('yunet_n_dynamic', 'faces_17'), 320)
    equal(len(cells), 108)
    faces = nms([face[:6] for face in cells], 0.3)
    equal(len(faces), 37)
    assert iou(faces[0][2:], [223, 172, 246, 206]) > 0.93, faces[0]
    _, _, x1, y1, x2, y2, points = max(cells)
    right_eye, left_eye, nose, *_ = points
    assert all(x1 < x < x2 and y1 < y < y2 for x, y in points), points
    assert right_eye[0] < left_eye[0] and nose[1] > right_eye[1], points
    outputs, (found,) = world.photo('yunet_n_dynamic', 'faces_17.jpg')
    seen = nms([face[:6] for face in yunet_faces(outputs, 320)], 0.3)
    across, down = 1600 / 320, 898 / 256
    same_predictions(found, [(s, c, x * across, y * down, z * across, w * down) for s, c, x, y, z, w in seen], 1600, 898,
                     points=5)
    eyes = [one['points'] for one in found]
    assert all(right[0] < left[0] and nose[1] > right[1] for right, left, nose, *_ in eyes[:5]), eyes[:5]
    near(len(seen), 37, 2, 'faces_17.jpg')
    return 'faces_17: %d faces, the best [%s] with eyes and nose in place; faces_17.jpg: %d' % (
        len(faces), ','.join('%.0f' % v for v in faces[0][2:]), len(seen))


@meaning('prisma_seg')
def prisma_seg(world):
    told = []
    for name, share, photo in (('face_angry_man', 0.314, '.jpg'), ('portrait_two', 0.527, '.png')):
        outputs, (cut,) = world.photo('prisma_seg', name + photo)
        (mask,), (seen,) = world.ask('prisma_seg', name).values(), outputs.values()
        equal([one['label'] for one in cut['classes']], ['person'])
        near(cut['classes'][0]['share'], share, 0.01, name + photo)
        persons, again = [sum(v > 0.5 for v in m.data) / 65536 for m in (mask, seen)]
        near(persons, share, 0.0006, name)
        near(again, share, 0.01, name + photo)
        world.keep('prisma_' + name, 256, 256, [255 * (v > 0.5) for v in mask.data])
        told.append('%s: a person on %.3f of it (%s: %.3f)' % (name, persons, photo[1:], again))
    return ', '.join(told)


# --- pictures made ----------------------------------------------------------------------------------

def pixels_of(tensor):
    """A [1,3,H,W] of 0..255 as a picture's bytes."""
    plane = len(tensor.data) // 3
    bounded = [int(min(max(v, 0), 255)) for v in tensor.data]
    return [bounded[c * plane + i] for i in range(plane) for c in range(3)]


def same_picture(prediction, width, height, pixels):
    """The daemon's picture is the one made of the outputs: at most one level off in the mean."""
    got_width, got_height, got = png_pixels(base64.b64decode(prediction['b64']))
    equal((got_width, got_height, len(got)), (width, height, len(pixels)))
    off = sum(abs(a - b) for a, b in zip(got, pixels)) / len(pixels)
    assert off <= 1, 'the picture is %.3f levels off' % off
    return off


def styled(world, model, size, known, low, high):
    """The picture it should be, still showing what was painted, and painted over."""
    told = []
    for name in ('onnx_cat', 'darknet_dog'):
        if not os.path.exists(world.file('models', model, name)):
            continue
        inputs, wanted = world.case(model, name)
        (got,), (want,), (plain,) = world.daemon.infer(model, inputs).values(), wanted.values(), inputs.values()
        outputs, (made,) = world.photo(model, name + '.jpg')
        (seen,) = outputs.values()
        picture, expected, jpeg = pixels_of(got), pixels_of(want), pixels_of(seen)
        same_picture(made, size, size, jpeg)
        off = sum(a != b for a, b in zip(picture, expected))
        assert off < 50 and all(abs(a - b) <= 1 for a, b in zip(picture, expected)), '%d values differ' % off
        if name == known:
            near(min(got.data), low, 0.6, 'the darkest')
            near(max(got.data), high, 0.6, 'the brightest')
        alike = correlation(got.data, plain.data)
        assert 0.2 < alike < 0.97, 'correlation with the photo %.3f' % alike
        assert correlation(jpeg, picture) > 0.97, 'the JPEG is painted otherwise: %.3f' % correlation(jpeg, picture)
        world.keep('%s_%s' % (model, name), size, size, picture)
        told.append('%s: mean %.0f, %.0f..%.0f, correlation with the photo %.2f, of %d values %d one level off'
                    % (name, sum(got.data) / len(got.data), min(got.data), max(got.data), alike, len(picture), off))
    return '; '.join(told)


@meaning('style_candy_nc16_256')
def style_candy(world):
    return styled(world, 'style_candy_nc16_256', 256, 'onnx_cat', -91, 339)


@meaning('style_mosaic_nc8_128')
def style_mosaic(world):
    return styled(world, 'style_mosaic_nc8_128', 128, 'darknet_dog', -129, 321)


@meaning('super_resolution_10')
def super_resolution(world):
    inputs, _ = world.case('super_resolution_10', 'onnx_superres_cat')
    small, large = inputs['input'], world.daemon.infer('super_resolution_10', inputs)['output']
    equal(large.shape, [1, 1, 672, 672])
    outputs, (made,) = world.photo('super_resolution_10', 'onnx_superres_cat.jpg')
    jpeg = outputs['output'].data
    width, height, rgb = png_pixels(base64.b64decode(made['b64']))
    equal((width, height, len(rgb)), (672, 672, 672 * 672 * 3))
    luma = [0.299 * rgb[i] + 0.587 * rgb[i + 1] + 0.114 * rgb[i + 2] for i in range(0, len(rgb), 3)]
    off = sum(abs(y - min(max(v * 255, 0), 255)) for y, v in zip(luma, jpeg)) / len(luma)
    assert off <= 1, 'the brightness is %.3f levels off' % off
    assert sum(abs(rgb[i] - rgb[i + 2]) for i in range(0, len(rgb), 3)) > len(luma), 'the picture has no colours'

    def shrink(data):
        return [sum(sum(data[(3 * y + k) * 672 + 3 * x:(3 * y + k) * 672 + 3 * x + 3]) for k in range(3)) / 9
                for y in range(224) for x in range(224)]

    alike, again = correlation(shrink(large.data), small.data), correlation(shrink(jpeg), small.data)
    assert alike > 0.995 and again > 0.99, (alike, again)
    blocks = [small.data[y // 3 * 224 + x // 3] for y in range(672) for x in range(672)]
    world.keep('super_resolution', 672, 672, [int(min(max(v * 255, 0), 255)) for v in large.data])
    world.keep('super_resolution_blocks', 672, 672, [int(v * 255) for v in blocks])
    return '672x672 whose mean over 3x3 is the photo: correlation %.4f, the JPEG %.4f' % (alike, again)


# --- text in images ---------------------------------------------------------------------------------

def regions(data, width, threshold):
    """Connected sets of pixels over the threshold."""
    left = {i for i, v in enumerate(data) if v > threshold}
    while left:
        todo = [left.pop()]
        region = []
        while todo:
            i = todo.pop()
            region.append(i)
            x = i % width
            for j in [i - width, i + width] + [i - 1] * (x > 0) + [i + 1] * (x < width - 1):
                if j in left:
                    left.remove(j)
                    todo.append(j)
        yield region


def hull(points):
    def half(points):
        out = []
        for p in points:
            while len(out) > 1 and ((out[-1][0] - out[-2][0]) * (p[1] - out[-2][1]) -
                                    (out[-1][1] - out[-2][1]) * (p[0] - out[-2][0])) <= 0:
                out.pop()
            out.append(p)
        return out[:-1]
    points = sorted(points)
    return half(points) + half(points[::-1])


def smallest_rectangle(points):
    """(long side, short side, centre, angle) of the smallest rotated rectangle around points."""
    edge, best = hull(points), None
    for a, b in zip(edge, edge[1:] + edge[:1]):
        angle = math.atan2(b[1] - a[1], b[0] - a[0])
        c, s = math.cos(angle), math.sin(angle)
        us, vs = [x * c + y * s for x, y in edge], [y * c - x * s for x, y in edge]
        w, h = max(us) - min(us), max(vs) - min(vs)
        if best is None or w * h < best[0]:
            u, v = (max(us) + min(us)) / 2, (max(vs) + min(vs)) / 2
            best = (w * h, max(w, h), min(w, h), (u * c - v * s, u * s + v * c), angle if w >= h else angle + math.pi / 2)
    return best[1:]


def text_boxes(data, width):
    found = []
    for region in regions(data, width, 0.3):
        if len(region) < 9:
            continue
        long, short, centre, angle = smallest_rectangle([(i % width, i // width) for i in region])
        score = sum(data[i] for i in region) / len(region)
        grow = 2 * 1.5 * long * short / (2 * (long + short)) if long else 0
        if short >= 3 and score >= 0.6 and short + grow >= 5:
            found.append((centre, long + grow, short + grow, angle, score))
    return found


@meaning('ppocr_v2_det', inputs=image('x', [320, 640], channels='bgr', scale=1 / 255, mean=[0.485, 0.456, 0.406],
                                      std=[0.229, 0.224, 0.225]))
def ppocr_det(world):
    (want,) = world.case('ppocr_v2_det', 'ocr_word')[1].values()
    (got,), (seen,) = world.ask('ppocr_v2_det', 'ocr_word').values(), world.photo('ppocr_v2_det', 'ocr_word.jpg')[0].values()
    share, again = [sum(v > 0.3 for v in t.data) / len(t.data) for t in (got, seen)]
    near(share, 0.084, 0.0006, 'share of text')
    near(again, 0.084, 0.004, 'share of text in the JPEG')
    boxes, wanted = text_boxes(got.data, 640), text_boxes(want.data, 640)
    equal(len(boxes), len(wanted))
    assert boxes and all(abs(a[0][0] - b[0][0]) + abs(a[0][1] - b[0][1]) < 1 for a, b in zip(sorted(boxes), sorted(wanted)))
    near(len(text_boxes(seen.data, 640)), len(boxes), 1 + len(boxes) // 10, 'lines in the JPEG')
    world.keep('ppocr_det', 640, 320, [int(255 * min(max(v, 0), 1)) for v in got.data])
    x, y = max(boxes, key=lambda b: b[1])[0]
    return '%d lines of text on %.3f of ocr_word, the longest around %.0f,%.0f; the JPEG: %.3f' % (
        len(boxes), share, x, y, again)


def ctc(probabilities, letters):
    text, before = '', 0
    for row in probabilities.rows(97):
        best = row.index(max(row))
        if best not in (before, 0):
            text += letters[best - 1] if best <= len(letters) else ' '
        before = best
    return text


@meaning('ppocr_en_rec', **gallery('ppocr-en-rec'), inputs=image('x', [32, 117], channels='bgr', scale=1 / 127.5, mean=[1]))
def ppocr_rec(world):
    letters = world.lines('ppocr_en_rec', 'en_dict.txt')[:95]
    texts = []
    for name, text in (('text_rec_test', 'Welcome'), ('HELLO_WORLD_2024', 'HELLO WORLD 2024'),
                       ('Serving_models_on_CPU', 'Serving models on CPU')):
        (got,) = world.ask('ppocr_en_rec', name).values()
        equal(ctc(got, letters), text)
        texts.append(repr(text))
    outputs, ((best,),) = world.photo('ppocr_en_rec', 'text_rec_test.png')
    equal(ctc(list(outputs.values())[0], letters), 'Welcome')
    equal(best['text'], 'Welcome')
    assert 0.9 < best['score'] < 0.95, best  # the mean of the seven letters' probabilities
    return ', '.join(texts) + '; the PNG: %r %.3f' % (best['text'], best['score'])


# --- speech and sound -------------------------------------------------------------------------------

def kept(state, output):
    """A manifest's word that the server keeps this state."""
    return {'state': [{'input': state, 'output': output}]}


def steps(world, model, name):
    """A stored stream as a sequence, whose state stays in the daemon: every step's answer is the stored one."""
    folder = world.file('models', model, name)
    with open(os.path.join(folder, 'stream.json')) as file:
        stream = json.load(file)
    given, want = stored(folder, stream['input']), stored(folder, stream['output'])
    n, shape = given.shape[0], given.shape[1:]
    always = {one['name']: Tensor('INT64', one['shape'], [one['value']]) for one in stream.get('const', [])}
    wide, far = len(given.data) // n, len(want.data) // n
    for t in range(n):
        step = {stream['input']['name']: floats(shape, given.data[t * wide:(t + 1) * wide]), **always}
        got = world.daemon.infer(model, step, sequence_id=model, sequence_start=t == 0, sequence_end=t == n - 1)
        equal(list(got), [stream['output']['name']])
        worst = max(abs(a - b) / (1 + abs(b)) for a, b in zip(got[stream['output']['name']].data,
                                                             want.data[t * far:(t + 1) * far]))
        near(worst, 0, 1e-3, '%s, step %d' % (model, t))
    return n


def piece(world, model, query, samples):
    """The reply to bare 16-bit samples."""
    connection = world.daemon.connection
    connection.request('POST', '/v2/models/%s/infer%s' % (model, query), samples,
                       {'Content-Type': 'audio/x-raw;format=S16LE;rate=16000'})
    reply = connection.getresponse()
    data = reply.read()
    assert reply.status == 200, '%d %s' % (reply.status, data[:300])
    return json.loads(data)


def in_pieces(world, model, raw, least, most):
    """Outputs, windows and segments of a recording in pieces of so many bytes, behind each other."""
    at, n, scores, windows, segments = 0, 0, [], [], []
    while at < len(raw):
        size = least + (n * 7919) % (most - least + 1)
        query = '?sequence_id=%d%s%s' % (most, '' if at else '&sequence_start=true',
                                         '&sequence_end=true' if at + size >= len(raw) else '')
        told = piece(world, model, query, raw[at:at + size])
        scores += told['outputs'][0]['data']
        windows += told.get('windows', [])
        segments += told.get('predictions', [[]])[0]
        at, n = at + size, n + 1
    return scores, windows, segments


def as_whole(world, model, raw, want):
    """A recording in pieces of 1 to 5,000 bytes has the whole one's answers, which are the stored ones."""
    whole = piece(world, model, '', raw)
    scores, segments = whole['outputs'][0]['data'], whole['predictions'][0]
    for t, score in enumerate(want):
        near(scores[t], score, 1e-3, 'window %d' % t)
    equal([list(one) for one in in_pieces(world, model, raw, 1, 5000)], [scores, whole['windows'], segments])
    equal(in_pieces(world, model, raw[:4096], 1, 1)[0], piece(world, model, '', raw[:4096])['outputs'][0]['data'])
    return len(segments)


@meaning('silero_vad', sequence=kept('state', 'stateN'), task={'kind': 'vad', 'output': 'output'},
         inputs={'input': {'kind': 'audio', 'rate': 16000, 'window': 512, 'context': 64, 'pad': True},
                 'sr': {'kind': 'constant', 'values': 16000}})
def silero_vad(world):
    """400 chunks of a recording: probabilities are the reference's, and speech lies where it says."""
    samples = [v / 32768 for v in world.sound('silero_test.wav')[:400 * 512]]
    with open(world.file('models', 'silero_vad', 'stream_test_wav', 'stream.json')) as file:
        want = stored(world.file('models', 'silero_vad', 'stream_test_wav'), json.load(file)['output']).data
    state, rate, before, speech = zeros(2, 1, 128), Tensor('INT64', [], [16000]), [0.0] * 64, []
    for t in range(400):
        chunk = samples[t * 512:t * 512 + 512]
        out = world.daemon.infer('silero_vad', {'input': floats([1, 576], before + chunk), 'state': state, 'sr': rate})
        near(out['output'].data[0], want[t], 1e-3, 'chunk %d' % t)
        speech.append(out['output'].data[0] > 0.5)
        state, before = out['stateN'], chunk[-64:]
    near(sum(speech) / 400, 0.71, 0.006, 'share of speech')
    edges = [t for t in range(401) if (speech[t - 1] if t else False) != (speech[t] if t < 400 else False)]
    segments = ['%.1f-%.1f' % (a * 0.032, b * 0.032) for a, b in zip(edges[::2], edges[1::2]) if b - a > 3]
    with open(world.file('inputs', 'audio', 'silero_test.wav'), 'rb') as file:
        raw = file.read()[44:]
    return 'speech in %.2f of 400 chunks, at %s s; %d steps of a sequence as stored; %d segments, whole and in pieces' % (
        sum(speech) / 400, ' '.join(segments), steps(world, 'silero_vad', 'stream_test_wav'),
        as_whole(world, 'silero_vad', raw, want))


DTLN = {}


@meaning('dtln_1', sequence=kept('input_3', 'tf_op_layer_stack_2'))
@meaning('dtln_2', sequence=kept('input_5', 'tf_op_layer_stack_5'))
def dtln(world):
    """The whole recording through both stages; it is done once for both models."""
    if DTLN:
        return DTLN['told']
    samples = [v / 32768 for v in world.sound('gtcrn_mix.wav')]
    with open(world.file('models', 'dtln_2', 'stream', 'stream.json')) as file:
        stream = json.load(file)
    want = stored(world.file('models', 'dtln_2', 'stream'), stream['output']).rows(512)
    first, second, ahead, behind, out = zeros(1, 2, 128, 2), zeros(1, 2, 128, 2), [0.0] * 512, [0.0] * 512, []
    worst, blocks = 0, len(samples) // 128
    for t in range(blocks):
        ahead = ahead[128:] + samples[t * 128:t * 128 + 128]
        spectrum = rfft(ahead)
        one = world.daemon.infer('dtln_1', {'input_2': floats([1, 1, 257], [abs(f) for f in spectrum]), 'input_3': first})
        mask, first = one['activation_2'].data, one['tf_op_layer_stack_2']
        block = irfft([f * m for f, m in zip(spectrum, mask)])
        two = world.daemon.infer('dtln_2', {'input_4': floats([1, 1, 512], block), 'input_5': second})
        clean, second = two['conv1d_3'].data, two['tf_op_layer_stack_5']
        if t < len(want):
            worst = max(worst, max(abs(a - b) for a, b in zip(clean, want[t])))
        behind = [a + b for a, b in zip(behind[128:] + [0.0] * 128, clean)]
        out += behind[:128]
    assert worst < 1e-3, 'the first %d blocks are %.2g off' % (len(want), worst)
    loud, quiet = [math.sqrt(sum(v * v for v in s) / len(s)) for s in (samples, out)]
    near(loud, 0.0850, 0.0005, 'level before')
    near(quiet, 0.0660, 0.0005, 'level after')

    def floor(signal):  # the level of the quietest tenth of pieces of 32 ms: the noise between words
        levels = sorted(math.sqrt(sum(v * v for v in signal[i:i + 512]) / 512) for i in range(384, len(signal) - 512, 512))
        return levels[len(levels) // 10]
    assert floor(out) < floor(samples) / 4, 'noise between words %.4f, before %.4f' % (floor(out), floor(samples))
    steps(world, 'dtln_1', 'stream'), steps(world, 'dtln_2', 'stream')
    DTLN['told'] = '%d blocks, and two sequences as stored: level %.4f to %.4f, noise between words %.4f to %.4f, worst %.1e from the stored' % (
        blocks, loud, quiet, floor(samples), floor(out), worst)
    return DTLN['told']


def wake_word(world, name):
    """The embeddings of a recording, through two models; kept, as four models ask."""
    if name not in EMBEDDINGS:
        samples = [0.0] * 16000 + list(world.sound(name + '.wav')) + [0.0] * 8000
        mel = world.daemon.infer('oww_mel', {'input': floats([1, len(samples)], samples)})['output']
        frames = -(-len(samples) // 160) - 3
        equal(mel.shape[-2:], [frames, 32])
        heard = world.daemon.sound('oww_mel', world.file('inputs', 'audio', name + '.wav'))[0]['output']
        equal(heard.shape, mel.shape)  # the manifest puts the silence around
        near(max(abs(a - b) for a, b in zip(heard.data, mel.data)), 0, 1e-3, 'mel of the WAV')
        data = [v / 10 + 2 for v in mel.data]
        starts = range(0, frames - 76, 8)
        windows = array.array('f', [v for s in starts for v in data[s * 32:(s + 76) * 32]])
        rows = world.daemon.infer('oww_embedding', {'input_1': floats([len(starts), 76, 32, 1], windows)})['conv2d_19'].rows(96)
        EMBEDDINGS[name] = (frames, rows)
    return EMBEDDINGS[name]


EMBEDDINGS = {}


MANIFESTS['oww_mel'] = gallery('openwakeword-mel')


@meaning('oww_mel', 'oww_embedding')
def oww_front(world):
    told = []
    for name in ('alexa_test', 'hey_mycroft_test'):
        frames, rows = wake_word(world, name)
        want = world.case('oww_embedding', name)[1]['conv2d_19'].rows(96)
        equal(len(rows), len(want))
        worst = max(abs(a - b) / (1 + abs(b)) for x, y in zip(rows, want) for a, b in zip(x, y))
        assert worst < 1e-3, 'embeddings are %.2g off' % worst
        told.append('%s: %d frames, %d embeddings, %.1e from the stored' % (name, frames, len(rows), worst))
    return '; '.join(told)


def heads(world, model, entry, word):
    told = []
    for name in ('alexa_test', 'hey_mycroft_test'):
        rows = wake_word(world, name)[1]
        scores = []
        for at in range(len(rows) - 15):
            data = [v for row in rows[at:at + 16] for v in row]
            (out,) = world.daemon.infer(model, {entry: floats([1, 16, 96], data)}).values()
            scores.append(out.data[0])
        near(max(scores), 1.0 if name == word else 0.0, 0.0005, name)
        equal(len(scores), 2 if name == 'alexa_test' else 6)
        told.append('%s: %.3f' % (name, max(scores)))
    return ', '.join(told)


@meaning('oww_alexa')
def oww_alexa(world):
    return heads(world, 'oww_alexa', 'onnx::Flatten_0', 'alexa_test')


@meaning('oww_hey_mycroft')
def oww_hey_mycroft(world):
    return heads(world, 'oww_hey_mycroft', 'input_1', 'hey_mycroft_test')


# --- text -------------------------------------------------------------------------------------------

@meaning('charrnn_shakespeare', sequence={'state': kept('h_in', 'h_out')['state'] + kept('c_in', 'c_out')['state']},
         inputs={'input': {'kind': 'text', 'tokenizer': 'characters', 'vocabulary': 'vocab.json', 'max_length': 1000}},
         generate={'input': 'input', 'output': 'probs', 'scores': 'probabilities'})
def charrnn(world):
    """Perplexity on the first lines of Shakespeare, a text that is written step by step, and one that the daemon writes."""
    ids = world.json('charrnn_shakespeare', 'vocab.json')
    letters = {i: c for c, i in ids.items()}

    def step(indices, h, c):
        out = world.daemon.infer('charrnn_shakespeare', {'input': Tensor('INT64', [len(indices), 1], indices),
                                                        'h_in': h, 'c_in': c})
        return out['probs'].rows(65), out['h_out'], out['c_out']
    with gzip.open(world.file('data', 'tinyshakespeare', 'input.txt.gz'), 'rt', encoding='utf-8') as file:
        play = file.read()
    known = [ids[c] for c in play[:4000] if c in ids]
    rows, _, _ = step(known[:-1], zeros(2, 1, 128), zeros(2, 1, 128))
    perplexity = math.exp(-sum(math.log(max(row[i], 1e-9)) for row, i in zip(rows, known[1:])) / len(rows))
    assert perplexity < 11, 'perplexity %.2f' % perplexity
    chance, text = random.Random(7), 'The king '
    rows, h, c = step([ids[l] for l in text], zeros(2, 1, 128), zeros(2, 1, 128))
    for _ in range(150):
        drawn = chance.choices(range(65), [p * p for p in rows[-1]])[0]
        text += letters[drawn]
        rows, h, c = step([drawn], h, c)

    def words(t):
        return [w for w in ''.join(l.lower() if l.isalpha() else ' ' for l in t).split() if len(w) > 1]
    vocabulary, written = set(words(play)), words(text)[:-1]
    real = sum(w in vocabulary for w in written) / len(written)
    assert real > 0.75, '%.2f of the words are words: %r' % (real, text)
    rows, h, c = step([ids[l] for l in 'The king '], zeros(2, 1, 128), zeros(2, 1, 128))
    best = ''
    for _ in range(200):
        drawn = max(range(65), key=lambda i: rows[-1][i])
        best += letters[drawn]
        rows, h, c = step([drawn], h, c)
    equal(world.daemon.generate('charrnn_shakespeare', 'The king ', max_tokens=200, temperature=0), best)
    return 'perplexity %.2f; %.0f%% of what it writes are words: %r; the daemon goes on as a loop of steps does' % (
        perplexity, 100 * real, text[:60])


@meaning('g2p_enc', 'g2p_dec')
def g2p(world):
    vocabulary = world.json('g2p_enc', 'vocab.json')
    pairs = [line.split(' => ') for line in world.lines('g2p_enc', 'words', 'expected.txt')]
    words = [[vocabulary['graphemes'].index(l) for l in word] + [2] for word, _ in pairs]
    longest, n = max(len(w) for w in words), len(words)
    table = [w[t] if t < len(w) else 0 for t in range(longest) for w in words]
    h = world.daemon.infer('g2p_enc', {'graphemes': Tensor('INT64', [longest, n], table),
                                       'lengths': Tensor('INT32', [n], [len(w) for w in words])})['h']
    phonemes, spoken, ended = [2] * n, [[] for _ in words], [False] * n
    for _ in range(20):
        out = world.daemon.infer('g2p_dec', {'phoneme': Tensor('INT64', [1, n], phonemes), 'h_in': h})
        h, phonemes = out['h_out'], [row.index(max(row)) for row in out['logits'].rows(74)]
        for i, p in enumerate(phonemes):
            ended[i] = ended[i] or p == 3
            if not ended[i]:
                spoken[i].append(vocabulary['phonemes'][p])
    for (word, want), got in zip(pairs, spoken):
        equal((word, ' '.join(got)), (word, want))
        equal((word, world.daemon.generate('g2p', word)), (word, want))
    return '; '.join('%s = %s' % tuple(pair) for pair in pairs[-3:]) + '; all %d words, and by one request each' % n


@meaning('nnsplit_en', **gallery('nnsplit-en'))
def nnsplit(world):
    def split(text):
        data = [0] * 5 + list(text.encode()) + [0] * 5
        data += [0] * (len(data) % 2)
        out = world.daemon.infer('nnsplit_en', {'input': Tensor('UINT8', [1, len(data)], data)})['output'].rows(2)
        parts, at = [''], 0
        for byte, scores in zip(text.encode(), out[5:]):
            parts[-1] += chr(byte)
            if scores[0] > 0:  # sigmoid over 0.5
                parts.append('')
        return [p for p in parts if p]
    text = 'This is a test This is another test I went home yesterday it was raining a lot'
    got = split(text)
    equal([p.strip() for p in got],
          ['This is a test', 'This is another test I went home', 'yesterday', 'it was raining a lot'])
    other = [p.strip() for p in split('The daemon answers. It is small. Nobody waits for it.')]
    equal(other, ['The daemon answers.', 'It is small.', 'Nobody waits for it.'])
    for text, want in ((text, got), ('The daemon answers. It is small. Nobody waits for it.', None)):
        ((*pieces,),) = world.daemon.text('nnsplit_en', text)[1]
        equal(''.join(p['text'] for p in pieces), text)
        equal([p['text'].strip() for p in pieces], [p.strip() for p in want or other])
    return '|'.join(got) + '|; ' + '|'.join(other) + '|'


def magika_bytes(data):
    white = bytes([9, 10, 11, 12, 13, 32])
    head, tail = list(data[:4096].lstrip(white)[:1024]), list(data[-4096:].rstrip(white)[-1024:])
    return head + [256] * (1024 - len(head)) + [256] * (1024 - len(tail)) + tail


@meaning('magika_v3_3')
def magika(world):
    labels = world.json('magika_v3_3', 'labels.json')

    def named(tensor):
        return [(labels[row.index(max(row))], max(row)) for row in tensor.rows(214)]
    want = 'c python html pdf png rust flac css txt docx javascript ruby'.split()
    got = named(world.ask('magika_v3_3', 'batch12')['target_label'])
    equal([label for label, score in got], want)
    assert all(score > 0.5 for _, score in got), got
    for name, label in (('c_code.c', 'c'), ('html_doc.html', 'html'), ('python_code.py', 'python')):
        equal(named(world.ask('magika_v3_3', name)['target_label'])[0][0], label)
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    files = [(os.path.join(here, 'src/op/conv.c'), 'c'), (os.path.join(here, 'README.md'), 'markdown'),
             (os.path.join(here, 'Makefile'), 'makefile'), (os.path.abspath(__file__), 'python'),
             (os.path.join(here, 'tests/run.sh'), 'shell'), (os.path.join(here, 'models/digits/manifest.json'), 'json'),
             (world.file('inputs/images/onnx_dog.jpg'), 'jpeg'), (world.file('inputs/audio/alexa_test.wav'), 'wav'),
             (world.file('models/g2p_enc/model.onnx'), 'onnx')]
    rows = []
    for path, _ in files:
        with open(path, 'rb') as file:
            rows += magika_bytes(file.read())
    seen = [label for label, _ in named(world.daemon.infer('magika_v3_3', {
        'bytes': Tensor('INT32', [len(files), 2048], rows)})['target_label'])]
    equal(seen, [label for _, label in files])
    return '12 of 12 and 3 of 3; of this project: ' + ', '.join(
        '%s %s' % (os.path.basename(path), label) for (path, _), label in zip(files, seen))


@meaning('point_history_lstm')
def gestures(world):
    labels = world.lines('point_history_lstm', 'labels.txt')
    limit = Tensor('FP32', [], [0.5])

    def told(rows):
        out = world.daemon.infer('point_history_lstm', {'input': floats([len(rows), 32], [v for r in rows for v in r]),
                                                        'score_threshold': limit})
        return [labels[i] for i in out['class_ids'].data]
    circle = world.case('point_history_lstm', 'circle')[0]['input'].data.tolist()
    backwards = [v for k in range(15, -1, -1) for v in circle[2 * k:2 * k + 2]]
    backwards = [v - backwards[i % 2] for i, v in enumerate(backwards)]
    got = told([circle, [0.0] * 32, backwards])
    equal(got, ['Clockwise', 'Stop', 'Counter Clockwise'])
    return 'a circle: %s; no movement: %s; the circle backwards: %s' % tuple(got)


# --- all of them ------------------------------------------------------------------------------------

def ask(world, name):
    try:
        return 'passed', MODELS[name](world)
    except FileNotFoundError as why:
        return 'skipped', 'no %s' % why.filename
    except AssertionError as why:
        return 'failed', str(why)
    except (ValueError, KeyError, IndexError, TypeError) as why:  # the reply is not what can be decoded
        return 'failed', repr(why)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, shared = sys.argv[1:]
    wanted = [name for name in MODELS if os.environ.get('T', '') in name]
    there = [name for name in sorted(MODELS) if os.path.exists(os.path.join(shared, 'models', name, 'model.onnx'))]
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    pairs = {name: files for name, files in PAIRS.items() if all(model in there for model in files.values())}
    manifests = {**MANIFESTS, **{name: gallery(name) for name in pairs}}
    daemon = Daemon(program, os.path.join(shared, 'models'), there, manifests, pairs) if there else None
    world = World(daemon, shared)
    try:
        for name in wanted:
            verdict, told = ask(world, name) if name in there else ('skipped', 'no such model in %s/models' % shared)
            counts[verdict] += 1
            print('%s%s: %s' % ('' if verdict == 'passed' else verdict + ': ', name, told), flush=True)
    finally:
        status = daemon.end() if daemon else 0
    if status != 0:
        print('failed: the daemon ended with status %d' % status)
        counts['failed'] += 1
    print('%(passed)d passed, %(failed)d failed, %(skipped)d skipped' % counts)
    sys.exit(counts['failed'] > 0 or (os.environ.get('REQUIRE_SHARED') == '1' and counts['skipped'] > 0))


main()

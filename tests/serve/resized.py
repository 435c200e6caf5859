#!/usr/bin/python3
"""What Pillow and OpenCV make of a drawn picture, for tests/serve/resizing.c.

    resized.py "WIDTH HEIGHT CHANNELS HOW TO_WIDTH TO_HEIGHT" ...

writes the pixels of each result, one after the other. HOW is a filter (pillow:lanczos, opencv:area), or what somebody's
pipeline does around one: ultralytics, yolox (letterboxes of 114), torchvision (Resize to 8/7, CenterCrop).
Exit status 77: the libraries are absent.
"""
import sys

try:
    import cv2
    import numpy as np
    from PIL import Image
except ImportError:
    sys.exit(77)

PILLOW = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS, "nearest": Image.NEAREST,
          "box": Image.BOX}
OPENCV = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


def drawn(width, height, channels):
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    return ((x * 37 + y * 59 + c * 101 + x * y * 13 + (x & 1) * x * x * 7) & 255).astype(np.uint8)


def ultralytics(picture, width, height):
    h, w = picture.shape[:2]
    r = min(height / h, width / w)
    new = int(round(w * r)), int(round(h * r))
    dw, dh = (width - new[0]) / 2, (height - new[1]) / 2
    if (w, h) != new:
        picture = cv2.resize(picture, new, interpolation=cv2.INTER_LINEAR)
    top, bottom, left, right = (int(round(v)) for v in (dh - 0.1, dh + 0.1, dw - 0.1, dw + 0.1))
    return cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))


def yolox(picture, width, height):
    padded = np.full((height, width, 3), 114, np.uint8)
    h, w = picture.shape[:2]
    r = min(height / h, width / w)
    small = cv2.resize(picture, (int(w * r), int(h * r)), interpolation=cv2.INTER_LINEAR)
    padded[:small.shape[0], :small.shape[1]] = small
    return padded


def torchvision(picture, width, height):
    h, w = picture.shape[:2]
    shorter = height * 8 // 7
    size = (shorter, int(shorter * h / w)) if w <= h else (int(shorter * w / h), shorter)
    resized = Image.fromarray(picture).resize(size, Image.BILINEAR)
    top, left = int(round((size[1] - height) / 2.0)), int(round((size[0] - width) / 2.0))
    return np.array(resized.crop((left, top, left + width, top + height)))


def main():
    for case in sys.argv[1:]:
        width, height, channels, how, to_width, to_height = case.split()
        picture, size = drawn(int(width), int(height), int(channels)), (int(to_width), int(to_height))
        library, _, name = how.partition(":")
        if library == "pillow":
            flat = picture[:, :, 0] if int(channels) == 1 else picture
            result = np.array(Image.fromarray(flat).resize(size, PILLOW[name]))
        elif library == "opencv":
            result = cv2.resize(picture, size, interpolation=OPENCV[name])
        else:
            result = {"ultralytics": ultralytics, "yolox": yolox, "torchvision": torchvision}[how](picture, *size)
        sys.stdout.buffer.write(np.ascontiguousarray(result).tobytes())


main()

"""The untrained baseline: what a protocol gives to a method that has never seen a face."""

import cv2
import numpy as np

#: Side in pixels of the picture whose gradients are compared.
SIDE = 64


def untrained_baseline(images: list[np.ndarray]) -> np.ndarray:
    """Gradients of the picture at 64 x 64 as a unit vector, to compare like an embedding.

    images: RGB uint8 [H, W, 3] of any sizes, whole pictures. Returns float32 [N, 8192]: horizontal and vertical
    derivative of the grey picture.
    """
    features = np.empty((len(images), 2 * SIDE * SIDE), np.float32)
    for row, image in zip(features, images, strict=True):
        small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        gradients = np.stack([cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)]).ravel()
        row[:] = gradients / max(np.linalg.norm(gradients), 1e-6)
    return features

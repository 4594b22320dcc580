#!/usr/bin/env python3
"""A simple spectral baseline: eight classical features and a diagonal Gaussian per class, fitted on the training split.

    baseline.py [eval.json]     accuracy on the held-out windows that the model is measured with
"""
import json
import os
import sys

import numpy as np

import generate as gen


def features(window):
    """Shape and spectrum features of one standardised window, as a vibration analyst would list them."""
    spectrum = np.abs(np.fft.rfft(window * np.hanning(gen.SIZE))) ** 2
    spectrum /= spectrum.sum()
    freqs = np.fft.rfftfreq(gen.SIZE, 1 / gen.RATE)
    shaft_band = (freqs > 13) & (freqs < 64)
    peak = np.flatnonzero(shaft_band)[spectrum[shaft_band].argmax()]
    band = lambda low, high: np.log(spectrum[(freqs >= low) & (freqs < high)].sum() + 1e-9)
    harmonics = sum(spectrum[max(peak * k - 1, 0):peak * k + 2].sum() for k in range(2, 9))
    around = spectrum[peak - 1:peak + 2].sum()
    envelope = np.abs(window) - np.abs(window).mean()
    envelope_spectrum = np.abs(np.fft.rfft(envelope)) ** 2
    envelope_band = envelope_spectrum[(freqs > 40) & (freqs < 700)]
    return np.array([
        np.log(np.mean(window ** 4)), np.log(np.abs(window).max()), np.log(around + 1e-9), np.log(harmonics + 1e-9),
        band(64, 400), band(1000, 3200), np.log(envelope_band.max() / envelope_band.mean()),
        np.abs(np.mean(window ** 3))])


class Baseline:
    def __init__(self, count=4000, seed=5):
        windows, labels = gen.dataset("train", count, seed)
        rows = np.array([features(w[0]) for w in windows])
        self.mean = np.array([rows[labels == k].mean(0) for k in range(4)])
        self.var = np.array([rows[labels == k].var(0) + 1e-6 for k in range(4)])

    def classify(self, windows):
        rows = np.array([features(w[0]) for w in windows])
        distance = (((rows[:, None] - self.mean) ** 2) / self.var + np.log(self.var)).sum(2)
        return distance.argmin(1)


def load_eval(path):
    """windows [N,1,1024] float32 and labels of an eval.json with its eval.bin beside it."""
    with open(path, encoding="utf-8") as file:
        meta = json.load(file)
    raw = np.fromfile(os.path.join(os.path.dirname(path), meta["data"]["file"]), "<i2")
    return (raw.astype(np.float32) * meta["data"]["scale"]).reshape(meta["data"]["shape"]), np.array(meta["labels"])


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    windows, labels = load_eval(sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "eval.json"))
    got = Baseline().classify(windows)
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (labels, got), 1)
    print(json.dumps({"accuracy": round(float((got == labels).mean()), 4), "classes": gen.CLASSES,
                      "confusion": confusion.tolist()}))


if __name__ == "__main__":
    main()

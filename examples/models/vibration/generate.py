#!/usr/bin/env python3
"""Synthetic accelerometer windows of rotating machines (numpy only).

A window is 1024 samples at 6400 Hz of the acceleration at a bearing housing, standardised (mean 0, standard deviation 1,
clipped to +-16), with one of four conditions:
  normal      residual unbalance and misalignment, gear mesh or blade pass, mains hum, noise, now and then a knock
  imbalance   a rotating force: a strong line at shaft speed (1x) that grows with its square
  bearing     impulses at a fault frequency (outer race, inner race or ball) with slip, each exciting a structural resonance
  looseness   truncated, impacting motion: many harmonics of shaft speed and subharmonics (1/2x, 3/2x)
Machines differ in geometry, resonances and transmission path. Held-out machines and held-out shaft speeds never occur in
training.
"""
import argparse

import numpy as np

RATE, SIZE = 6400, 1024
CLASSES = ["normal", "imbalance", "bearing", "looseness"]
RPM_TRAIN = [(900, 1440), (1620, 2340), (2640, 3600)]
RPM_HELDOUT = [(1450, 1610), (2350, 2630)]
MACHINES = {"train": range(0, 400), "validation": range(400, 440), "heldout": range(1000, 1060)}


class Machine:
    """Fixed properties of one machine, derived from its number alone."""

    def __init__(self, number):
        rng = np.random.default_rng([77, number])
        balls, ratio = rng.integers(7, 15), rng.uniform(0.16, 0.30)
        self.fault_orders = np.array([balls / 2 * (1 - ratio), balls / 2 * (1 + ratio), (1 - ratio ** 2) / (2 * ratio)])
        self.resonance = rng.uniform(1200, 2900)
        self.decay = rng.uniform(300, 1100)
        self.mesh_order = rng.integers(5, 32)
        self.mesh_level = rng.uniform(0.0, 0.5)
        self.hum = rng.choice([50.0, 60.0])
        self.modes = [(rng.uniform(60, 2800), rng.uniform(0.02, 0.12), rng.uniform(0.3, 1.6)) for _ in range(3)]
        self.noise = rng.uniform(0.12, 0.5)
        self.residual = rng.uniform(0.05, 0.45)

    def path(self, freqs):
        """Gain of the transmission path from the shaft to the sensor."""
        gain = np.ones_like(freqs)
        for centre, damping, strength in self.modes:
            r = freqs / centre
            gain = gain + strength / np.sqrt((1 - r ** 2) ** 2 + (2 * damping * r) ** 2) * np.exp(-r / 3) * 0.3
        return gain


def lines(t, shaft, orders, levels, rng):
    phase = rng.uniform(0, 2 * np.pi, len(orders))
    return sum(a * np.sin(2 * np.pi * shaft * o * t + p) for o, a, p in zip(orders, levels, phase))


def impulses(t, machine, shaft, rng, level):
    """A train of decaying resonances at a fault frequency; inner-race and ball faults are modulated by shaft and cage."""
    kind = rng.integers(0, 3)
    rate = machine.fault_orders[kind] * shaft
    out, at = np.zeros_like(t), -rng.uniform(0, 1 / rate)
    while at < t[-1]:
        strength = level * rng.uniform(0.7, 1.3)
        if kind == 1:
            strength *= 0.55 + 0.45 * np.cos(2 * np.pi * shaft * at)
        elif kind == 2:
            strength *= 0.6 + 0.4 * np.cos(2 * np.pi * 0.4 * shaft * at)
        after = t - at
        ring = np.exp(-machine.decay * np.maximum(after, 0)) * np.sin(2 * np.pi * machine.resonance * after)
        out += np.where(after >= 0, strength * ring, 0)
        at += (1 + rng.normal(0, 0.015)) / rate
    return out


def acceleration(label, machine, rpm, rng):
    """2 * SIZE raw samples; the middle is used, so that the path filter has no edge."""
    n = 2 * SIZE
    t = np.arange(n) / RATE
    shaft = rpm / 60
    load = rng.uniform(0.4, 1.2)
    residual = machine.residual * rng.uniform(0.6, 1.3)
    x = lines(t, shaft, [1, 2, 3], [residual, residual * rng.uniform(0.1, 0.7), residual * rng.uniform(0, 0.3)], rng)
    side = machine.mesh_level * load
    x += lines(t, shaft, [machine.mesh_order, machine.mesh_order - 1, machine.mesh_order + 1], [side, side * 0.3, side * 0.3], rng)
    x += lines(t, machine.hum, [2, 4], rng.uniform(0, 0.15, 2), rng)
    if label == "imbalance":
        x += lines(t, shaft, [1, 2], [rng.uniform(0.5, 2.2) * (shaft / 30) ** 0.7, rng.uniform(0, 0.2)], rng)
    elif label == "bearing":
        x += impulses(t, machine, shaft, rng, rng.uniform(0.45, 2.6) * load ** 0.3)
    elif label == "looseness":
        count = int(rng.integers(5, 11))
        fall = rng.uniform(0.75, 0.95)
        strength = rng.uniform(0.22, 0.9)
        x += lines(t, shaft, np.arange(1, count + 1), strength * fall ** np.arange(count) * rng.uniform(0.4, 1.2, count), rng)
        x += lines(t, shaft, [0.5, 1.5, 2.5], strength * rng.uniform(0.1, 0.8, 3), rng)
        limit = rng.uniform(1.0, 2.2) * x.std()  # the motion is truncated on one side by the gap
        x = np.where(x > limit, limit + 0.15 * (x - limit), x)
    white = rng.normal(0, 1, n)
    pink = np.cumsum(rng.normal(0, 1, n))
    pink = (pink - np.convolve(pink, np.ones(64) / 64, "same"))
    x += machine.noise * load * rng.uniform(0.7, 1.4) * (white + 0.4 * pink / pink.std())
    if rng.random() < 0.15:  # a single knock, on any machine
        after = t - t[rng.integers(SIZE // 2, 3 * SIZE // 2)]
        x += np.where(after >= 0, rng.uniform(1, 4) * np.exp(-400 * np.maximum(after, 0)) * np.sin(2 * np.pi * 900 * after), 0)
    spectrum = np.fft.rfft(x)
    return np.fft.irfft(spectrum * machine.path(np.fft.rfftfreq(n, 1 / RATE)), n)[SIZE // 2:SIZE // 2 + SIZE]


def standardise(x):
    """The preprocessing that every caller of the model does."""
    x = x - x.mean()
    return np.clip(x / max(x.std(), 1e-9), -16, 16).astype(np.float32)


def dataset(split, count, seed):
    """windows [count,1,1024] float32, labels [count] (classes in turn). split: train, validation or heldout."""
    rng = np.random.default_rng([{"train": 1, "validation": 2, "heldout": 3}[split], seed])
    ranges = RPM_HELDOUT if split == "heldout" else RPM_TRAIN
    machines = [Machine(m) for m in MACHINES[split]]
    windows, labels = np.empty((count, 1, SIZE), np.float32), np.arange(count) % len(CLASSES)
    for i, label in enumerate(labels):
        low, high = ranges[rng.integers(len(ranges))]
        x = acceleration(CLASSES[label], machines[rng.integers(len(machines))], rng.uniform(low, high), rng)
        gain = rng.uniform(0.5, 2.0)
        x = x * gain
        if rng.random() < 0.2:  # a sensor whose range is a little too small
            limit = rng.uniform(2.2, 3.5) * x.std()
            x = np.clip(x, -limit, limit)
        windows[i, 0] = standardise(x)
    return windows, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=list(MACHINES), default="train")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="windows.npz")
    args = parser.parse_args()
    windows, labels = dataset(args.split, args.count, args.seed)
    np.savez_compressed(args.out, windows=windows, labels=labels)
    print(f"{args.count} windows of {args.split} in {args.out}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Trains the vibration classifier and writes vibration-f32.onnx, calibration, evaluation and golden files to --out.

Needs Debian's python3-torch, python3-numpy and python3-onnx. Batch normalisation is folded into the convolutions, so the
ONNX graph is only Conv, Relu, MaxPool, GlobalAveragePool, Flatten, Gemm and Softmax.
"""
import argparse
import json
import os
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import generate as gen

# (out channels, kernel, stride); each layer is Conv, (BatchNorm), Relu and, but for the last, MaxPool 2
LAYERS = [(16, 31, 2), (32, 15, 1), (48, 11, 1), (64, 9, 1), (64, 7, 1)]
SCALE = 0.0005  # of the int16 windows in eval.bin and golden.json


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs, self.norms, channels = nn.ModuleList(), nn.ModuleList(), 1
        for out, kernel, stride in LAYERS:
            self.convs.append(nn.Conv1d(channels, out, kernel, stride, kernel // 2, bias=False))
            self.norms.append(nn.BatchNorm1d(out))
            channels = out
        self.head = nn.Linear(channels, len(gen.CLASSES))

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x = F.relu(norm(conv(x)))
            if i < len(LAYERS) - 1:
                x = F.max_pool1d(x, 2)
        return self.head(F.dropout(x.mean(2), 0.2, self.training))


def folded(net):
    """[(weight, bias)] of the convolutions with their batch normalisation folded in."""
    out = []
    for conv, norm in zip(net.convs, net.norms):
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        out.append(((conv.weight * factor[:, None, None]).detach().numpy(), (norm.bias - norm.running_mean * factor).detach().numpy()))
    return out


def export(net, path):
    nodes, weights, value = [], [], "window"
    for i, ((weight, bias), (_, kernel, stride)) in enumerate(zip(folded(net), LAYERS)):
        weights += [numpy_helper.from_array(weight, f"conv{i}.weight"), numpy_helper.from_array(bias, f"conv{i}.bias")]
        nodes.append(helper.make_node("Conv", [value, f"conv{i}.weight", f"conv{i}.bias"], [f"conv{i}"], name=f"conv{i}",
                                      kernel_shape=[kernel], strides=[stride], pads=[kernel // 2] * 2))
        nodes.append(helper.make_node("Relu", [f"conv{i}"], [f"relu{i}"], name=f"relu{i}"))
        value = f"relu{i}"
        if i < len(LAYERS) - 1:
            nodes.append(helper.make_node("MaxPool", [value], [f"pool{i}"], name=f"pool{i}", kernel_shape=[2], strides=[2]))
            value = f"pool{i}"
    weights += [numpy_helper.from_array(net.head.weight.detach().numpy(), "head.weight"),
                numpy_helper.from_array(net.head.bias.detach().numpy(), "head.bias")]
    nodes += [helper.make_node("GlobalAveragePool", [value], ["mean"], name="mean"),
              helper.make_node("Flatten", ["mean"], ["flat"], name="flat", axis=1),
              helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["logits"], name="head", transB=1),
              helper.make_node("Softmax", ["logits"], ["probabilities"], name="softmax", axis=-1)]
    graph = helper.make_graph(
        nodes, "vibration", [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", 1, gen.SIZE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(gen.CLASSES)])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="skerry-examples")
    for key, text in (("classes", ",".join(gen.CLASSES)), ("sample_rate", str(gen.RATE)), ("preprocess", "standardise")):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
    onnx.checker.check_model(model)
    onnx.save(model, path)


def to_int16(windows):
    return np.clip(np.round(windows / SCALE), -32768, 32767).astype("<i2")


@torch.no_grad()
def probabilities(net, windows):
    net.eval()
    return torch.cat([torch.softmax(net(w), 1) for w in torch.from_numpy(windows).split(256)]).numpy()


def write_sets(net, out, eval_count, calibration_count, golden_per_class):
    """calibration.bin/.json, eval.bin/.json and golden.json; formats in README.md."""
    windows, _ = gen.dataset("train", calibration_count, 900)
    windows.astype("<f4").tofile(os.path.join(out, "calibration.bin"))
    with open(os.path.join(out, "calibration.json"), "w", encoding="utf-8") as file:
        json.dump({"input": "window", "data": {"file": "calibration.bin", "type": "float32le", "shape": list(windows.shape)}}, file)
        file.write("\n")

    windows, labels = gen.dataset("heldout", eval_count, 901)
    to_int16(windows).tofile(os.path.join(out, "eval.bin"))
    data = {"file": "eval.bin", "type": "int16le", "scale": SCALE, "shape": list(windows.shape)}
    head = {"input": "window", "output": "probabilities", "classes": gen.CLASSES}
    with open(os.path.join(out, "eval.json"), "w", encoding="utf-8") as file:
        json.dump({**head, "data": data, "labels": labels.tolist()}, file)
        file.write("\n")

    windows, labels = gen.dataset("heldout", 400, 902)
    sure = probabilities(net, (to_int16(windows) * np.float32(SCALE)))
    cases = []
    for k, name in enumerate(gen.CLASSES):
        good = sorted(np.flatnonzero(labels == k), key=lambda i: -sure[i, k])[:golden_per_class]
        cases += [{"expect": name, "values": to_int16(windows[i]).ravel().tolist()} for i in good]
    with open(os.path.join(out, "golden.json"), "w", encoding="utf-8") as file:
        lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
        text = json.dumps({**head, "match": "argmax", "min_probability": 0.5, "type": "int16", "scale": SCALE, "shape": [1, 1, gen.SIZE]})
        file.write(text[:-1] + ', "cases": [\n' + lines + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="build/models/vibration")
    parser.add_argument("--windows", type=int, default=16000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(3)
    os.makedirs(args.out, exist_ok=True)
    started = time.time()
    windows, labels = gen.dataset("train", args.windows, 1)
    check, check_labels = gen.dataset("validation", 800, 2)
    print(f"data after {time.time() - started:.0f} s", flush=True)
    x, y = torch.from_numpy(windows), torch.from_numpy(labels)
    net = Net()
    steps = args.epochs * (len(x) // 64)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for epoch in range(args.epochs):
        net.train()
        order, total = torch.randperm(len(x)), 0.0
        for rows in order[:len(order) // 64 * 64].split(64):
            batch = x[rows] * torch.where(torch.rand(len(rows), 1, 1) < 0.5, -1.0, 1.0)  # the sensor may be mounted upside down
            loss = F.cross_entropy(net(batch), y[rows], label_smoothing=0.02)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        right = (probabilities(net, check).argmax(1) == check_labels).mean()
        print(f"epoch {epoch + 1} loss {total / (len(x) // 64):.4f} validation {right:.4f} {time.time() - started:.0f} s", flush=True)
    net.eval()
    export(net, os.path.join(args.out, "vibration-f32.onnx"))
    write_sets(net, args.out, 400, 64, 3)
    test, test_labels = gen.dataset("heldout", 2000, 77)
    print(f"held-out accuracy {(probabilities(net, test).argmax(1) == test_labels).mean():.4f}")


if __name__ == "__main__":
    main()

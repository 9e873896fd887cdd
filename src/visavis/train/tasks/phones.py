"""Train the phone network: log-mel rows -> phone posteriors, lips shut, lip at teeth.

``python -m visavis.train.tasks.phones --data ALIGNED[=WEIGHT] [MORE ...] --judge HELD_OUT [MORE
...] --voices FOLDER --out RUN --steps 7000 --seed 0 [--resume]`` writes ``RUN/last.pt`` and
``RUN/phones.onnx`` and prints, as JSON, the validation on held-out speakers and languages.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

from visavis.audio.features import BLOCK_ROWS
from visavis.audio.mel import BANDS, FFT_SAMPLES, FLOOR, WINDOW_SAMPLES, filterbank, window
from visavis.audio.phones import LOOK_AHEAD_ROWS, NETWORK, PHONES
from visavis.train.speech_data import (
    IGNORED,
    Clip,
    coloured_noise,
    crop,
    disturb,
    hum,
    is_held_out,
    load_corpus,
    load_unlabelled,
    tones,
)
from visavis.types import FloatArray

HEADS = len(PHONES) + 2
DILATIONS = (1, 2, 4, 8, 4, 2, 1)
CHANNELS = 192
PAST_STEPS = 2 * sum(DILATIONS)
CROP_ROWS = 400
DROPOUT = 0.12
MASKED_BANDS = 14
SMALL = 256
"""Weights of fewer values stay in single precision."""


class Layer(nn.Module):
    """Causal dilated convolution of width 3, then a pointwise one, around a residual path."""

    def __init__(self, channels: int, dilation: int) -> None:
        """Build the layer."""
        super().__init__()
        self.past = 2 * dilation
        self.norm = nn.LayerNorm(channels)
        self.wide = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.drop = nn.Dropout1d(DROPOUT)
        self.point = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Take x (b, c, t) and past (b, c, 2 dilation) -> (b, c, t) and the next past."""
        inner = self.norm(x.transpose(1, 2)).transpose(1, 2)
        joined = torch.cat([past, inner], dim=2)
        out = self.point(self.drop(torch.relu(self.wide(joined))))
        return x + out, joined[:, :, joined.shape[2] - self.past :]


class PhoneNetwork(nn.Module):
    """Temporal convolution network over pairs of log-mel rows (Bai et al. 2018)."""

    def __init__(self, channels: int = CHANNELS) -> None:
        """Build the network."""
        super().__init__()
        self.enter = nn.Linear(2 * BANDS, channels)
        self.layers = nn.ModuleList(Layer(channels, d) for d in DILATIONS)
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, 2 * HEADS)

    def forward(self, mel: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Take mel (b, t, BANDS), cache (b, c, past) -> logits (b, t, HEADS), next cache."""
        b, t, _ = mel.shape
        pairs = ((mel + 9.0) / 4.0).reshape(b, t // 2, 2 * BANDS)
        x = self.enter(pairs).transpose(1, 2)
        pasts = torch.split(cache, [2 * d for d in DILATIONS], dim=2)
        after = []
        for layer, past in zip(self.layers, pasts, strict=True):
            x, kept = layer(x, past)
            after.append(kept)
        logits = self.leave(self.norm(x.transpose(1, 2))).reshape(b, t, HEADS)
        return logits, torch.cat(after, dim=2)


def no_past(size: int) -> Tensor:
    """Return the cache of ``size`` fresh streams (size, CHANNELS, PAST_STEPS)."""
    return torch.zeros(size, CHANNELS, PAST_STEPS)


class Exported(nn.Module):
    """The network as it ships: probabilities instead of logits."""

    def __init__(self, network: PhoneNetwork) -> None:
        """Wrap ``network``."""
        super().__init__()
        self.network = network

    def forward(self, mel: Tensor, cache: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return phones (1, t, 40), lips (1, t, 2) and the next cache."""
        logits, after = self.network(mel, cache)
        n = len(PHONES)
        return torch.softmax(logits[..., :n], -1), torch.sigmoid(logits[..., n:]), after


def log_mel(sound: Tensor) -> Tensor:
    """Return the rows of visavis.audio.mel for a batch: (b, n) -> (b, n / 160, BANDS)."""
    half = WINDOW_SAMPLES // 2
    padded = nn.functional.pad(sound, (half, half))
    frames = padded.unfold(1, WINDOW_SAMPLES, 160)[:, :-1] * torch.from_numpy(window())
    spectrum = torch.fft.rfft(frames, FFT_SAMPLES)
    power = spectrum.real**2 + spectrum.imag**2
    return torch.log(power @ torch.from_numpy(filterbank()) + FLOOR)


def masked(mel: Tensor, rng: np.random.Generator) -> Tensor:
    """Return ``mel`` (b, t, BANDS) with a random stretch of bands at its mean in each clip.

    SpecAugment (Park et al. 2019) without time masks: a gap in time would sound like closed lips.
    """
    out = mel.clone()
    for i, width in enumerate(rng.integers(0, MASKED_BANDS + 1, len(mel))):
        low = int(rng.integers(0, BANDS - width + 1))
        out[i, :, low : low + width] = mel[i].mean()
    return out


def batch(
    clips: list[Clip], voices: list[FloatArray], size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return sound (size, n) and labels (size, rows, 3)."""
    lengths = np.array([len(c.phones) * c.weight for c in clips], float)
    sounds, labels = [], []
    for i in rng.choice(len(clips), size, p=lengths / lengths.sum()):
        sound, label = crop(clips[i], CROP_ROWS, rng)
        if rng.random() < 0.08:
            sound, label = no_speech(len(sound), rng), np.zeros_like(label)
        sounds.append(disturb(sound, voices, rng))
        labels.append(label)
    return torch.from_numpy(np.stack(sounds)), torch.from_numpy(np.stack(labels))


def no_speech(samples: int, rng: np.random.Generator) -> FloatArray:
    """Return music, hum, noise or nothing."""
    kind = rng.random()
    if kind < 0.1:
        return np.zeros(samples, np.float32)
    make = tones if kind < 0.4 else hum if kind < 0.65 else coloured_noise
    return 0.1 * make(samples, rng)


def class_weights(clips: list[Clip]) -> Tensor:
    """Return a weight per phone: the inverse square root of its share, silence unchanged."""
    counts = np.zeros(len(PHONES))
    for clip in clips:
        counts += np.bincount(clip.phones[clip.phones >= 0], minlength=len(PHONES))
    weights = np.clip(np.sqrt(counts.sum() / len(PHONES) / (counts + 50)), 0.4, 2.0)
    weights[0] = 1.0
    return torch.from_numpy(weights).float()


def loss(logits: Tensor, labels: Tensor, weights: Tensor, lip_share: float = 1.5) -> Tensor:
    """Return cross entropy of phones plus ``lip_share`` times that of the two lip heads.

    Rows are shifted by the look-ahead.
    """
    logits, labels = logits[:, LOOK_AHEAD_ROWS:], labels[:, :-LOOK_AHEAD_ROWS]
    phones = nn.functional.cross_entropy(
        logits[..., : len(PHONES)].flatten(0, 1),
        labels[..., 0].flatten(),
        weights,
        ignore_index=IGNORED,
        label_smoothing=0.04,
    )
    lips, targets = logits[..., len(PHONES) :], labels[..., 1:]
    known = (targets != IGNORED).float()
    each = nn.functional.binary_cross_entropy_with_logits(
        lips, targets.clamp(min=0).float(), pos_weight=torch.tensor([3.0, 3.0]), reduction="none"
    )
    return phones + lip_share * (each * known).sum() / known.sum()


@torch.no_grad()
def validate(network: PhoneNetwork, clips: list[Clip]) -> dict[str, float]:
    """Return frame accuracy of phones, F1 of lips shut and of lip at teeth, on whole clips."""
    hits, rows = 0, 0
    counts = np.zeros((2, 3))
    for clip in clips:
        sound = torch.from_numpy(np.pad(clip.samples, (0, 3200)))[None]
        mel = log_mel(sound[:, : sound.shape[1] // 320 * 320])
        logits = network(mel, no_past(1))[0][0, LOOK_AHEAD_ROWS:].numpy()
        n = min(len(logits), len(clip.phones))
        known = clip.phones[:n] != IGNORED
        hits += int((logits[:n, : len(PHONES)].argmax(1) == clip.phones[:n])[known].sum())
        rows += int(known.sum())
        for k, truth in enumerate((clip.shut[:n], clip.labial[:n])):
            said, sure = logits[:n, len(PHONES) + k] > 0, truth != IGNORED
            counts[k] += [
                (said & (truth == 1)).sum(),
                (said & (truth == 0))[sure].sum(),
                (~said & (truth == 1)).sum(),
            ]
    f1 = 2 * counts[:, 0] / np.maximum(1, 2 * counts[:, 0] + counts[:, 1] + counts[:, 2])
    recall = counts[:, 0] / np.maximum(1, counts[:, 0] + counts[:, 2])
    return {
        "phone_accuracy": round(hits / max(1, rows), 4),
        "shut_f1": round(float(f1[0]), 4),
        "shut_recall": round(float(recall[0]), 4),
        "labial_f1": round(float(f1[1]), 4),
    }


def export(network: PhoneNetwork, path: Path) -> None:
    """Write ``network`` as ONNX for blocks of BLOCK_ROWS rows, its weights in half precision.

    ONNX Runtime widens them when it loads the file: half the size, the same speed.
    """
    torch.onnx.export(
        Exported(network).eval(),
        (torch.zeros(1, BLOCK_ROWS, BANDS), no_past(1)),
        str(path),
        input_names=["mel", "cache"],
        output_names=["phones", "lips", "next_cache"],
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(path)
    for weights in list(model.graph.initializer):
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < SMALL:
            continue
        name, narrow = weights.name, weights.name + "_half"
        weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), narrow))
        widen = onnx.helper.make_node("Cast", [narrow], [name], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, widen)
    onnx.save(model, path)


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """Return the command line, or ``line``, read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", required=True, help="FOLDER or FOLDER=WEIGHT")
    parser.add_argument("--judge", type=Path, nargs="*", default=[], help="held out as a whole")
    parser.add_argument("--voices", type=Path, required=True, help="speech for babble")
    parser.add_argument("--init", type=Path, help="last.pt of an earlier run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lips", type=float, default=1.5, help="weight of the lip heads' loss")
    parser.add_argument("--every", type=int, default=500, help="steps between two checkpoints")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(line)


class Training:
    """The network, its running average (what ships) and the optimiser."""

    def __init__(self, steps: int, rate: float, init: Path | None = None) -> None:
        """Start afresh, or from the running average that an earlier run saved in ``init``."""
        self.network = PhoneNetwork()
        if init is not None:
            self.network.load_state_dict(torch.load(init, weights_only=True)["average"])
        self.average = PhoneNetwork().requires_grad_(False).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=0.02)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, rate, steps + 1, pct_start=0.06, final_div_factor=100
        )

    def step(
        self, mel: Tensor, labels: Tensor, weights: Tensor, lip_share: float, decay: float
    ) -> float:
        """Learn from one batch in bfloat16; return its loss."""
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(mel, no_past(len(mel)))[0]
        value = loss(logits.float(), labels, weights, lip_share)
        self.optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
            slow.lerp_(fast, 1.0 - decay)
        return float(value.item())

    def save(self, path: Path, step: int) -> None:
        """Write everything needed to go on after ``step``; the file is never half written."""
        parts = {k: part.state_dict() for k, part in self._parts().items()}
        torch.save({**parts, "step": step}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def restore(self, path: Path) -> int:
        """Read what ``save`` wrote; return the step."""
        saved = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        return int(saved["step"])

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "average": self.average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }


def corpus(spelling: str) -> list[Clip]:
    """Return the clips of ``FOLDER`` or ``FOLDER=WEIGHT``."""
    folder, _, weight = spelling.partition("=")
    return load_corpus(Path(folder), float(weight or 1))


def train(args: argparse.Namespace) -> None:
    """Run the training; report the validation every ``--every`` steps."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    learn, known = split([corpus(spelling) for spelling in args.data])
    judged = {"speakers": known, **{f.name: load_corpus(f) for f in args.judge}}
    voices = load_unlabelled(args.voices)
    training = Training(args.steps, args.rate, args.init)
    args.out.mkdir(parents=True, exist_ok=True)
    first = training.restore(args.out / "last.pt") if args.resume else 0
    weights = class_weights(learn)
    for step in range(first, args.steps):
        rng = np.random.default_rng([args.seed, step])
        torch.manual_seed(int(rng.integers(2**62)))  # dropout
        sound, labels = batch(learn, voices, args.batch, rng)
        mel = masked(log_mel(sound), rng)
        decay = min(0.998, step / (step + 10))
        value = training.step(mel, labels, weights, args.lips, decay)
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            report: dict[str, Any] = {"step": step + 1, "loss": round(value, 3)}
            for name, clips in judged.items():
                report[name] = validate(training.average, clips)
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
            training.save(args.out / "last.pt", step + 1)
            export(training.average, args.out / NETWORK)


def split(corpora: list[list[Clip]]) -> tuple[list[Clip], list[Clip]]:
    """Return the clips to learn from and those to judge by (speakers and texts apart)."""
    learn: list[Clip] = []
    judge: list[Clip] = []
    for corpus in corpora:
        for i, clip in enumerate(corpus):
            (judge if is_held_out(clip.name, i) else learn).append(clip)
    return learn, judge


if __name__ == "__main__":
    train(arguments())

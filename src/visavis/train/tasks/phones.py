"""Train the phone network: log-mel rows -> phone posteriors, lips shut, lip at teeth.

``python -m visavis.train.tasks.phones --data ALIGNED [MORE ...] --voices FOLDER --out RUN
--steps 4000 --seed 0 [--resume]`` writes ``RUN/last.pt`` and ``RUN/phones.onnx`` and prints the
validation on held-out speakers as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.audio.features import BLOCK_ROWS, HOP_SAMPLES
from visavis.audio.mel import BANDS, FFT_SAMPLES, FLOOR, WINDOW_SAMPLES, filterbank, window
from visavis.audio.phones import CACHE_SHAPE, LOOK_AHEAD_ROWS, NETWORK, PHONES
from visavis.train.speech_data import (
    IGNORED,
    Clip,
    coloured_noise,
    crop,
    disturb,
    is_held_out,
    load_corpus,
    load_unlabelled,
    tones,
)
from visavis.types import FloatArray

HEADS = len(PHONES) + 2
DILATIONS = (1, 2, 4, 8, 4, 2, 1)
CROP_ROWS = 400
DROPOUT = 0.12
MASKED_BANDS = 14


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

    def __init__(self, channels: int = CACHE_SHAPE[1]) -> None:
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
    lengths = np.array([len(c.phones) for c in clips], float)
    sounds, labels = [], []
    for i in rng.choice(len(clips), size, p=lengths / lengths.sum()):
        sound, label = crop(clips[i], CROP_ROWS, rng)
        if rng.random() < 0.08:
            sound, label = no_speech(len(sound), rng), np.zeros_like(label)
        sounds.append(disturb(sound, voices, rng))
        labels.append(label)
    return torch.from_numpy(np.stack(sounds)), torch.from_numpy(np.stack(labels))


@torch.no_grad()
def taught_batch(
    teacher: nn.Module, voices: list[FloatArray], size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return disturbed sound (size, n) and what ``teacher`` surely hears in it undisturbed.

    Mean teacher (Tarvainen & Valpola 2017) with the confidence rule of FixMatch (Sohn et al. 2020).
    """
    span = CROP_ROWS * HOP_SAMPLES
    clean, heard = [], []
    for i in rng.integers(0, len(voices), size):
        start = int(rng.integers(0, max(1, len(voices[i]) - span)))
        clean.append(np.resize(voices[i][start : start + span], span))
        heard.append(disturb(clean[-1], voices, rng))
    mel = log_mel(torch.from_numpy(np.stack(clean)))
    logits = teacher(mel, torch.zeros(size, *CACHE_SHAPE[1:]))[0][:, LOOK_AHEAD_ROWS:]
    labels = torch.full((size, CROP_ROWS, 3), IGNORED)
    sure, phones = torch.softmax(logits[..., : len(PHONES)], -1).max(-1)
    lips = torch.sigmoid(logits[..., len(PHONES) :])
    known = labels[:, :-LOOK_AHEAD_ROWS]
    known[..., 0] = torch.where(sure > 0.75, phones, IGNORED)
    known[..., 1:] = torch.where(lips > 0.85, 1, torch.where(lips < 0.1, 0, IGNORED))
    return torch.from_numpy(np.stack(heard)), labels


def no_speech(samples: int, rng: np.random.Generator) -> FloatArray:
    """Return music, noise or nothing."""
    kind = rng.random()
    if kind < 0.15:
        return np.zeros(samples, np.float32)
    return 0.1 * (tones(samples, rng) if kind < 0.6 else coloured_noise(samples, rng))


def class_weights(clips: list[Clip]) -> Tensor:
    """Return a weight per phone: the inverse square root of its share, silence unchanged."""
    counts = np.zeros(len(PHONES))
    for clip in clips:
        counts += np.bincount(clip.phones[clip.phones >= 0], minlength=len(PHONES))
    weights = np.clip(np.sqrt(counts.sum() / len(PHONES) / (counts + 50)), 0.4, 2.0)
    weights[0] = 1.0
    return torch.from_numpy(weights).float()


def loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return cross entropy of phones plus that of the two lip heads, rows shifted by look-ahead."""
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
    return phones + 1.5 * (each * known).sum() / known.sum()


@torch.no_grad()
def validate(network: PhoneNetwork, clips: list[Clip]) -> dict[str, float]:
    """Return frame accuracy of phones, F1 of lips shut and of lip at teeth, on whole clips."""
    hits, rows = 0, 0
    counts = np.zeros((2, 3))
    for clip in clips:
        sound = torch.from_numpy(np.pad(clip.samples, (0, 3200)))[None]
        mel = log_mel(sound[:, : sound.shape[1] // 320 * 320])
        logits = network(mel, torch.zeros(CACHE_SHAPE))[0][0, LOOK_AHEAD_ROWS:].numpy()
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
    """Write ``network`` as ONNX for blocks of BLOCK_ROWS rows."""
    torch.onnx.export(
        Exported(network).eval(),
        (torch.zeros(1, BLOCK_ROWS, BANDS), torch.zeros(CACHE_SHAPE)),
        str(path),
        input_names=["mel", "cache"],
        output_names=["phones", "lips", "next_cache"],
        opset_version=17,
        dynamo=False,
    )


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--voices", type=Path, required=True, help="speech without labels")
    parser.add_argument("--taught", type=float, default=0.0, help="share of it in each batch")
    parser.add_argument("--init", type=Path, help="last.pt of an earlier run")
    parser.add_argument("--blend", type=float, default=1.0, help="share of the new weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


class Training:
    """The network, its running average (the teacher, and what ships) and the optimiser."""

    def __init__(self, steps: int, rate: float, init: Path | None) -> None:
        """Start afresh, or from the weights in ``init``."""
        self.network = PhoneNetwork()
        self.average = PhoneNetwork().requires_grad_(False).eval()
        self.origin = None if init is None else torch.load(init, weights_only=True)["average"]
        if self.origin is not None:
            self.network.load_state_dict(self.origin)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=0.02)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, rate, steps + 1, pct_start=0.06, final_div_factor=100
        )

    def step(self, mel: Tensor, labels: Tensor, weights: Tensor, decay: float) -> float:
        """Learn from one batch; return its loss."""
        cache = torch.zeros(len(mel), *CACHE_SHAPE[1:])
        value = loss(self.network(mel, cache)[0], labels, weights)
        self.optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
            slow.lerp_(fast, 1.0 - decay)
        return float(value.item())

    def blended(self, share: float) -> PhoneNetwork:
        """Return ``share`` of what was learnt, the rest of the origin (Wortsman et al. 2022)."""
        out = PhoneNetwork().eval()
        learnt, origin = self.average.state_dict(), self.origin or self.average.state_dict()
        out.load_state_dict({k: share * v + (1 - share) * origin[k] for k, v in learnt.items()})
        return out

    def save(self, path: Path, step: int) -> None:
        """Write everything needed to go on after ``step``."""
        parts = {k: part.state_dict() for k, part in self._parts().items()}
        torch.save({**parts, "step": step}, path)

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


def train(args: argparse.Namespace) -> None:
    """Run the training; report the validation every 250 steps."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    learn, judge = split([load_corpus(folder) for folder in args.data])
    voices = load_unlabelled(args.voices)
    training = Training(args.steps, args.rate, args.init)
    args.out.mkdir(parents=True, exist_ok=True)
    first = training.restore(args.out / "last.pt") if args.resume else 0
    weights, taught = class_weights(learn), round(args.taught * args.batch)
    for step in range(first, args.steps):
        rng = np.random.default_rng([args.seed, step])
        sound, labels = batch(learn, voices, args.batch - taught, rng)
        if taught:
            more, heard = taught_batch(training.average, voices, taught, rng)
            sound, labels = torch.cat([sound, more]), torch.cat([labels, heard])
        mel = masked(log_mel(sound), rng)
        value = training.step(mel, labels, weights, min(0.998, step / (step + 10)))
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            report = {"step": step + 1, "loss": round(value, 3)}
            result = training.blended(args.blend)
            report.update(validate(result, judge))
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
            training.save(args.out / "last.pt", step + 1)
            export(result, args.out / NETWORK)


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

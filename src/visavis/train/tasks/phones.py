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

import numpy as np
import torch
from torch import Tensor, nn

from visavis.audio.features import BLOCK_ROWS, ROWS_PER_SECOND
from visavis.audio.mel import BANDS, FFT_SAMPLES, FLOOR, WINDOW_SAMPLES, filterbank, window
from visavis.audio.phones import CACHE_SHAPE, LOOK_AHEAD_ROWS, PHONES
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

HEADS = len(PHONES) + 2
DILATIONS = (1, 2, 4, 8, 4, 2, 1)
CROP_ROWS = 400
BILABIALS = [PHONES.index(p) for p in ("P", "B", "M")]


class Layer(nn.Module):
    """Causal dilated convolution of width 3, then a pointwise one, around a residual path."""

    def __init__(self, channels: int, dilation: int) -> None:
        """Build the layer."""
        super().__init__()
        self.past = 2 * dilation
        self.norm = nn.LayerNorm(channels)
        self.wide = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.point = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Take x (b, c, t) and past (b, c, 2 dilation) -> (b, c, t) and the next past."""
        inner = self.norm(x.transpose(1, 2)).transpose(1, 2)
        joined = torch.cat([past, inner], dim=2)
        out = self.point(torch.relu(self.wide(joined)))
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


def batch(
    clips: list[Clip], voices: list[np.ndarray], size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return sound (size, n) and labels (size, rows, 3)."""
    lengths = np.array([len(c.phones) for c in clips], float)
    sounds, labels = [], []
    for i in rng.choice(len(clips), size, p=lengths / lengths.sum()):
        sound, label = crop(clips[i], CROP_ROWS, rng)
        if rng.random() < 0.07:
            kind = tones if rng.random() < 0.5 else coloured_noise
            sound, label = kind(len(sound), rng) * 0.1, np.zeros_like(label)
        sounds.append(disturb(sound, voices, rng))
        labels.append(label)
    return torch.from_numpy(np.stack(sounds)), torch.from_numpy(np.stack(labels))


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
        lips, targets.clamp(min=0).float(), pos_weight=torch.tensor([2.0, 3.0]), reduction="none"
    )
    return phones + 1.5 * (each * known).sum() / known.sum()


@torch.no_grad()
def validate(network: PhoneNetwork, clips: list[Clip]) -> dict[str, float]:
    """Return frame accuracy of phones, F1 of lips shut and of lip at teeth, on whole clips."""
    network.eval()
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
    network.train()
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
    parser.add_argument("--voices", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def train(args: argparse.Namespace) -> dict[str, float]:
    """Run the training; return the last validation."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    corpora = [load_corpus(folder) for folder in args.data]
    held = {c.name for corpus in corpora for i, c in enumerate(corpus) if is_held_out(c.name, i)}
    clips = [c for corpus in corpora for c in corpus]
    learn = [c for c in clips if c.name not in held]
    judge = [c for c in clips if c.name in held]
    voices = load_unlabelled(args.voices) if args.voices else []
    network = PhoneNetwork()
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, args.steps + 1, pct_start=0.06, final_div_factor=100
    )
    parts = {"network": network, "average": average, "optimizer": optimizer, "schedule": schedule}
    args.out.mkdir(parents=True, exist_ok=True)
    first = 0
    if args.resume:
        saved = torch.load(args.out / "last.pt", weights_only=True)
        first = int(saved.pop("step"))
        for name, part in parts.items():
            part.load_state_dict(saved[name])  # type: ignore[attr-defined]
    weights, scores = class_weights(learn), {}
    for step in range(first, args.steps):
        rng = np.random.default_rng([args.seed, step])
        sound, labels = batch(learn, voices, args.batch, rng)
        cache = torch.zeros(args.batch, *CACHE_SHAPE[1:])
        value = loss(network(log_mel(sound), cache)[0], labels, weights)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            scores = validate(average.module, judge)
            report = {"step": step + 1, "loss": round(value.item(), 3), **scores}
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
            states = {name: part.state_dict() for name, part in parts.items()}  # type: ignore[attr-defined]
            torch.save({**states, "step": step + 1}, args.out / "last.pt")
            export(average.module, args.out / "phones.onnx")
    seconds = sum(len(c.phones) for c in learn) / ROWS_PER_SECOND
    return {**scores, "training_minutes": round(seconds / 60, 1)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(train(arguments())) + "\n")

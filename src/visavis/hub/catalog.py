"""What is published where: repositories, files, sizes, SHA-256, and the licence of each model.

Sizes and digests are those that the hub's own pages, or several independent copies of them, told
in 2026; ``None`` is unknown. What is unknown is taken as the hub gives it the first time and
recorded beside the files (``fetch``). The projects' detectors and landmark networks (InsightFace,
landmark203) are left out, for visavis uses its own; so are their pickled configurations.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import PurePosixPath

from visavis.errors import UnknownModel
from visavis.hub.assets import PACKAGED


@dataclass(frozen=True)
class PublishedFile:
    """One file of a repository: ``path`` in it, which ``network`` it holds, what is known of it."""

    path: str
    network: str
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class PublishedModel:
    """A model on the hub: ``revision`` is the commit that is fetched unless another is asked for.

    ``licence`` is for people to read before the first download, ``licence_name`` its short form.
    """

    name: str
    about: str
    repository: str
    revision: str
    licence_name: str
    licence: str
    files: tuple[PublishedFile, ...]

    @property
    def size(self) -> int | None:
        """Bytes of all files, None if that of any is unknown."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


_APPEARANCE = (3_387_959, "5279bb8654293dbdf327030b397f107237dd9212fb11dd75b83dfb635211ceb5")
_MOTION = (112_545_506, "251e6a94ad667a1d0c69526d292677165110ef7f0cf0f6d199f0e414e8aa0ca5")

_LIVEPORTRAIT_FILES = (
    PublishedFile(
        "liveportrait/base_models/appearance_feature_extractor.pth", "appearance", *_APPEARANCE
    ),
    PublishedFile("liveportrait/base_models/motion_extractor.pth", "motion", *_MOTION),
    PublishedFile(
        "liveportrait/base_models/warping_module.pth",
        "warping",
        182_180_086,
        "2f61a6f265fe344f14132364859a78bdbbc2068577170693da57fb96d636e282",
    ),
    PublishedFile(
        "liveportrait/base_models/spade_generator.pth",
        "decoder",
        221_813_590,
        "4780afc7909a9f84e24c01d73b31a555ef651521a1fe3b2429bd04534d992aee",
    ),
    PublishedFile(
        "liveportrait/retargeting_models/stitching_retargeting_module.pth",
        "stitching",
        2_393_098,
        "3652d5a3f95099141a56986aaddec92fadf0a73c87a20fac9a2c07c32b28b611",
    ),
)

_DITTO_FILES = (
    PublishedFile("ditto_pytorch/models/appearance_extractor.pth", "appearance", *_APPEARANCE),
    PublishedFile("ditto_pytorch/models/motion_extractor.pth", "motion", *_MOTION),
    PublishedFile("ditto_pytorch/models/warp_network.pth", "warping", 182_180_086),
    PublishedFile("ditto_pytorch/models/decoder.pth", "decoder", 221_813_590),
    PublishedFile("ditto_pytorch/models/stitch_network.pth", "stitching", 2_393_098),
    PublishedFile(
        "ditto_pytorch/models/lmdm_v0.4_hubert.pth",
        "lmdm",
        191_247_715,
        "40ef5aa80b76e9fc45a0f606cdd507bbeb09d3d078b016ac61fc47e369be8c94",
    ),
    PublishedFile("ditto_pytorch/aux_models/hubert_streaming_fix_kv.onnx", "hubert", 1_460_740_880),
)

_NOT_FETCHED = (
    "Not fetched and not used: the detectors of InsightFace, whose models are for non-commercial "
    "research only, and landmark203, whose origin its publishers do not tell. Visavis finds faces "
    "with its own networks."
)

_LIVEPORTRAIT_LICENCE = (
    "LivePortrait (Kuaishou): code and models under the MIT licence, but for InsightFace's "
    "(its authors in issue 79 of KlingAIResearch/LivePortrait).\n" + _NOT_FETCHED
)

_DITTO_LICENCE = (
    "Ditto (Ant Group): repository and models under Apache-2.0. Its networks that read and draw "
    "faces are LivePortrait's (Kuaishou), under the MIT licence; its encoder of speech was made of "
    "facebook/hubert-large-ls960-ft, under Apache-2.0.\n" + _NOT_FETCHED
)

CATALOG: dict[str, PublishedModel] = {
    model.name: model
    for model in (
        PublishedModel(
            "ditto",
            "speech to motion by diffusion, drawn by LivePortrait's networks",
            "digital-avatar/ditto-talkinghead",
            "47e43660a232fa3fe18c3b9711c423a71e9462df",
            "Apache-2.0, parts MIT",
            _DITTO_LICENCE,
            _DITTO_FILES,
        ),
        PublishedModel(
            "liveportrait",
            "LivePortrait's renderer, moved by visavis or by a driving video",
            "KlingTeam/LivePortrait",  # KwaiVGI/LivePortrait until 2025; the hub forwards
            "82a4fa6735ca58432b6ce39301b4b9ee066dea47",
            "MIT",
            _LIVEPORTRAIT_LICENCE,
            _LIVEPORTRAIT_FILES,
        ),
    )
}
"""Every published model by name."""


def published(name: str) -> PublishedModel:
    """Return the published model ``name``.

    Raises:
        UnknownModel: there is none; the message names the nearest.
    """
    if name in CATALOG:
        return CATALOG[name]
    if name in PACKAGED:
        raise UnknownModel(f"{name} is in the package: there is nothing to fetch, use it as it is.")
    near = difflib.get_close_matches(name, [*CATALOG, *PACKAGED], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownModel(
        f"No published model is called {name!r}.{hint} Known: {', '.join(sorted(CATALOG))}, in the "
        f"package {', '.join(PACKAGED)}; or give a folder that holds the files."
    )

"""Phones of any language as the forty classes of audio.phones, by articulation as it is seen.

The lips decide: p, b, m of any language shut them; f, v, ʋ bring the lower lip to the teeth; front
rounded vowels take the rounded class nearest in opening; a trilled r does not round as the English
one does. Sounds made behind the teeth take the class of the nearest place. ``NEARLY`` marks the
bilabial fricatives, whose lips approach without meeting: no class is taught or judged there.
"""

from __future__ import annotations

NEARLY = "NEARLY"

_SPELLINGS = {
    "P": "p", "B": "b ɓ", "M": "m", NEARLY: "ɸ β", "F": "f", "V": "v ʋ ⱱ ɱ", "W": "w ʍ ɥ",
    "T": "t ʈ ʔ T", "D": "d ɖ ɗ ɾ ɽ", "N": "n ɲ ɳ", "L": "l ɫ ɭ ʎ ɬ ʟ r", "R": "ɹ ɻ",
    "K": "k c q", "G": "g ɡ ɟ ɢ ɠ", "NG": "ŋ ɴ", "HH": "h ɦ x χ ħ ç ɣ ʁ ʀ ɰ ʕ", "Y": "j ʝ",
    "S": "s ts ʦ", "Z": "z dz ʣ", "SH": "ʃ ʂ ɕ", "ZH": "ʒ ʐ ʑ", "TH": "θ", "DH": "ð",
    "CH": "tʃ ʧ tɕ ʨ tʂ ꭧ", "JH": "dʒ ʤ dʑ ʥ dʐ",
    "AA": "a ɑ ä", "AE": "æ", "AH": "ʌ ə ɐ ɘ ɤ ᵊ ɜ", "AO": "ɔ ɒ", "EH": "ɛ", "EY": "e eɪ A",
    "IY": "i", "IH": "ɪ ɨ ɯ ᵻ", "UW": "u y ʉ ʏ", "UH": "ʊ ɵ", "OW": "o oʊ əʊ O Q",
    "ER": "ø œ ɞ ɚ ɝ", "AY": "aɪ I", "AW": "aʊ W", "OY": "ɔɪ Y",
}  # fmt: skip

CLASSES: dict[str, str] = {ipa: name for name, all_ in _SPELLINGS.items() for ipa in all_.split()}
"""IPA spelling (espeak-ng's or Kokoro's) -> class."""

LONGEST = max(map(len, CLASSES))
DIPHTHONGS = ("eɪ", "oʊ", "əʊ", "aɪ", "aʊ", "ɔɪ")
"""One class in English, two vowels elsewhere."""


def classes(ipa: str, english: bool = False) -> list[str]:
    """Return the classes of ``ipa`` in order; stress, length, tone and other marks say nothing.

    In English ɜ is the vowel of bird, elsewhere a murmur.
    """
    if english:
        ipa = ipa.replace("ɜ", "ɚ")
    found, i = [], 0
    while i < len(ipa):
        for size in range(LONGEST, 0, -1):
            piece = ipa[i : i + size]
            if piece in CLASSES and (english or piece not in DIPHTHONGS):
                found.append(CLASSES[piece])
                break
        i += size
    return found

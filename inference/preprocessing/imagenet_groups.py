"""Everyday words for groups of ImageNet classes: a group's probability is the sum of its members'."""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: Mapping[str, tuple[int, ...]] = {
    "dog": tuple(range(151, 269)),
    "cat": tuple(range(281, 286)),
    "big cat": tuple(range(286, 294)),
    "bear": tuple(range(294, 298)),
    "monkey or ape": tuple(range(365, 383)),
    "bird": (*range(7, 25), *range(80, 101), *range(127, 147)),
    "fish": (*range(7), *range(389, 398)),
    "snake": tuple(range(52, 69)),
    "lizard": tuple(range(38, 49)),
    "turtle": tuple(range(33, 38)),
    "frog": tuple(range(30, 33)),
    "spider": tuple(range(72, 78)),
    "insect": tuple(range(300, 327)),
    "butterfly": tuple(range(321, 327)),
    "car": (407, 436, 468, 511, 609, 627, 656, 661, 751, 817),
    "truck": (555, 569, 675, 717, 864, 867),
    "bus": (654, 779, 874),
    "train": (466, 547, 565, 705, 820),
    "motorcycle or scooter": (665, 670),
    "bicycle": (444, 671),
    "ship or boat": (403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 833, 871, 914),
    "aeroplane": (404, 895),
    "clock": (409, 530, 892),
    "cup": (504, 968),
}
"""English words that name every member truly, with the indices of the members among the 1,000 classes."""

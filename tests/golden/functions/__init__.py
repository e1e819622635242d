"""Implementations of the golden functions by subject; importing a module registers them."""

from tests.golden.functions import (  # noqa: F401
    cdda,
    contrast,
    depth,
    experiments,
    hrda,
    labels,
    losses,
    mixing,
    networks,
    networks_dasac,
    night,
    optimisation,
    pipelines,
    raw_labels,
    sampling,
    scores,
    sdca,
    sdca_folders,
    sepico_steps,
    steps,
)

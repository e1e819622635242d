"""SDCA's semantic distributions before adaptation: one pass of the source model over its data.

Li et al., "Semantic Distribution-aware Contrastive Adaptation for Semantic Segmentation", 2021. The
network does not change, so the pass can break off anywhere and go on.
"""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmseg.models import BaseSegmentor
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from tqdm import tqdm

from mmseg_uda.datasets.image_files import forkable_opencv
from mmseg_uda.datasets.segmentation import NamedErrors, build_dataset, dataset_configs
from mmseg_uda.datasets.source_target import collate_domains
from mmseg_uda.engine.config import load_config
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor
from mmseg_uda.files import sha256
from mmseg_uda.models.checkpoint import load_checkpoint, save_checkpoint
from mmseg_uda.random import counter_random
from mmseg_uda.settings import differences, plain
from mmseg_uda.uda.components.semantic_distributions import SemanticDistributions

PROGRESS = 'progress.pth'


def initialise_statistics(
    config: str,
    checkpoint: str,
    folder: str,
    cfg_options: dict[str, Any] | None = None,
    save_every: int = 200,
) -> None:
    """Write ``feat_dist.pth`` and ``out_dist.pth`` into ``folder``.

    The statistics of the features and of the logits over all images of the config's source, each
    once, in the order of their names, with its labels; in evaluation mode.

    Runs in one process. While it is under way its state is in ``folder``, so after an interruption
    the same call goes on and ends with the same files.

    Args:
        config: of the source training; its ``train_dataloader.dataset.source`` is read.
        checkpoint: of that training.
        cfg_options: dotted key -> value, changes of the config.
        save_every: images between two savings of the state.

    Raises:
        UserError: bad config, checkpoint or data; the state in ``folder`` is of another call.
    """
    settings = load_config(config, cfg_options)
    segmentor = build_segmentor(settings, checkpoint, device=get_device())
    source = Source(settings)
    distributions = SemanticDistributions.of(segmentor, reduce=False).to(get_device())
    call = plain(
        dict(
            checkpoint=sha256(checkpoint),
            segmentor=settings.model.segmentor,
            data_preprocessor=settings.model.get('data_preprocessor'),
            source=settings.train_dataloader.dataset.source,
            images=len(source),
        )
    )
    progress = Path(folder) / PROGRESS
    done = _go_on(progress, call, distributions)

    rest = torch.utils.data.Subset(source, range(done, len(source)))
    workers = settings.train_dataloader.get('num_workers', 0)
    loader = DataLoader(rest, 1, num_workers=workers, collate_fn=collate_domains)
    bar = tqdm(total=len(source), initial=done, desc='class statistics', unit='img')
    with bar, forkable_opencv():
        for number, sample in enumerate(loader, done + 1):
            observe(segmentor, distributions, sample)
            if number % save_every == 0:
                state = dict(images=number, state=distributions.state_dict(), call=call)
                save_checkpoint(state, progress)
            bar.update()
    distributions.save(Path(folder))
    progress.unlink(missing_ok=True)


class Source(Dataset):
    """The labelled images of a training config in order, each once; weights are not used.

    Random draws depend on the index alone.
    """

    def __init__(self, config: Config) -> None:
        dataset = config.get('train_dataloader', {}).get('dataset', {})
        if not dataset.get('source'):
            raise UserError(f'config {config.filename} has no train_dataloader.dataset.source')
        self.samples = ConcatDataset(
            NamedErrors(build_dataset(source)) for source in dataset_configs(dataset.source)
        )
        self.seed = config.randomness.seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict:
        with counter_random(self.seed, index):
            return self.samples[index]


@torch.no_grad()
def observe(segmentor: BaseSegmentor, distributions: SemanticDistributions, sample: dict) -> None:
    """Take what the network makes of a labelled batch (as collated) into the distributions."""
    batch = segmentor.data_preprocessor({'source': sample}).source
    features = segmentor.features(batch.images)
    maps = {'feat': features[-1], 'out': segmentor.decode(features)}
    distributions.update(maps, batch.labels)


def _go_on(progress: Path, call: dict, distributions: SemanticDistributions) -> int:
    """Restore the state of the same call, if there is one; how many images it has seen."""
    if not progress.is_file():
        return 0
    saved = load_checkpoint(progress)
    if changed := differences(saved['call'], call):
        raise UserError(
            f'{progress} is of another call ({changed[0]}): delete it, or choose another folder'
        )
    distributions.load_state_dict(saved['state'])
    return saved['images']

"""Initial semantic distributions of SDCA: one pass of the source model over the source data.

Li et al., "Semantic Distribution-aware Contrastive Adaptation for Semantic Segmentation", 2021.
The pass can be interrupted at any image and resumed.
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
    """Write the statistics of features and logits: ``feat_dist.pth``, ``out_dist.pth``.

    The source model predicts every labelled source image once, in the order of the file names, in
    evaluation mode and in one process. The state is saved in ``folder`` meanwhile: the same call
    resumes after an interruption and writes the same files.

    Args:
        config: file of the source training; ``train_dataloader.dataset.source`` names the images.
        checkpoint: file with the weights of that training.
        folder: where the files are written.
        cfg_options: changes of the config, dotted key -> value.
        save_every: save the state after this many images.

    Raises:
        UserError: bad config, checkpoint or data, or ``folder`` has the state of another call.
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
    done = _resume(progress, call, distributions)

    rest = torch.utils.data.Subset(source, range(done, len(source)))
    workers = settings.train_dataloader.get('num_workers', 0)
    loader = DataLoader(rest, 1, num_workers=workers)
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
    """Add the network's features and logits of a collated labelled batch to the distributions."""
    batch = segmentor.data_preprocessor({'source': sample}).source
    features = segmentor.features(batch.images)
    maps = {'feat': features[-1], 'out': segmentor.decode(features)}
    distributions.update(maps, batch.labels)


def _resume(progress: Path, call: dict, distributions: SemanticDistributions) -> int:
    """Restore the state that the same call saved, if any; return the number of images done."""
    if not progress.is_file():
        return 0
    saved = load_checkpoint(progress)
    if changed := differences(saved['call'], call):
        raise UserError(
            f'{progress} was saved with other settings ({changed[0]}): delete it, or choose '
            'another folder'
        )
    distributions.load_state_dict(saved['state'])
    return saved['images']

"""The unlabelled target images of a config, for passes that predict each of them once."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from torch.utils.data import DataLoader, Subset

from mmseg_uda.datasets.segmentation import dataset_configs
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_test_loader


def target_loader(config: Config, num_classes: int | None = None) -> tuple[DataLoader, list[str]]:
    """Return a test loader of the target images, and their paths relative to their folder.

    The images are those of ``train_dataloader.dataset.target``, loaded as test images. The config's
    ``test_dataloader.dataset`` is replaced.

    Args:
        config: a loaded config.
        num_classes: of the network that predicts; None if none does.

    Raises:
        UserError: no target, several target data sets, other classes, or unreadable images.
    """
    target = config.get('train_dataloader', {}).get('dataset', {}).get('target')
    if not target:
        raise UserError(f'config {config.filename} has no train_dataloader.dataset.target to label')
    dataset, *others = dataset_configs(target)
    if others:
        raise UserError(
            f'config {config.filename}: train_dataloader.dataset.target is a list of '
            f'{1 + len(others)}: only one target data set can be predicted at a time'
        )
    config.test_dataloader.dataset = {
        **dataset,
        'pipeline': config.test_dataloader.dataset.pipeline,
        'test_mode': True,
    }
    loader = build_test_loader(config, labels=False)
    classes = loader.dataset.metainfo['classes']
    if num_classes not in (None, len(classes)):
        raise UserError(
            f'config {config.filename}: the network has {num_classes} classes, the target data '
            f'{len(classes)}: set metainfo of train_dataloader.dataset.target'
        )
    root = loader.dataset.dataset.data_prefix['img_path']
    paths = [Path(info['img_path']) for info in loader.dataset.infos]
    return loader, [str(path.relative_to(root)) for path in paths]


def loader_of(loader: DataLoader, indices: Sequence[int]) -> DataLoader:
    """A loader of some images of a test loader, one at a time."""
    return DataLoader(
        Subset(loader.dataset, indices),
        batch_size=1,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
    )

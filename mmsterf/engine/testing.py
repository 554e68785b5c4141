"""What tools/test.py adds to a config or runner: pictures, predictions on disk, test-time augmentation, folding."""

from copy import deepcopy
from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from mmsterf.errors import InvalidInput

from .dataset_parts import dataset_leaves, loads_sequences
from .device import notice


def draw_events(cfg: Config) -> None:
    """Let a stock visualization hook of a config that loads events draw upon pictures of them, in place."""
    hook = (cfg.get('default_hooks') or {}).get('visualization') or {}
    kind = str(hook.get('type')).rpartition('.')[2]
    if kind in ('DetVisualizationHook', 'SegVisualizationHook') and loads_sequences(cfg):
        hook.type = f'mmsterf.Event{kind}'


def show_predictions(cfg: Config, show: bool, show_dir: Optional[str], wait_time: float) -> None:
    """Draw the predictions for every test image, on screen or into a folder.

    Pictures are named like the images, and lie in `show_dir` itself: see `ShowDirHook` for segmentation.

    Raises:
        ValueError: If the config has no visualization hook.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if hook is None:
        raise ValueError(
            '--show and --show-dir need default_hooks.visualization in the config: DetVisualizationHook for detection, '
            'SegVisualizationHook for segmentation, VisualizationHook for classification'
        )
    if cfg.default_scope == 'mmpretrain':
        hook.update(enable=True, interval=1, show=show, wait_time=wait_time)
        hook.out_dir = str(Path(show_dir).absolute()) if show_dir else None
        return
    hook.draw = True
    if show:
        hook.update(show=True, wait_time=wait_time)
    if cfg.default_scope == 'mmdet':
        # mmdet joins it to work_dir/timestamp, which an absolute path replaces.
        hook.test_out_dir = str(Path(show_dir).absolute()) if show_dir else None
    else:
        hook.interval = 1  # mmseg draws one of 50 otherwise


def check_predictions(cfg: Config, out: str) -> None:
    """Check the name of predictions.

    Raises:
        InvalidInput: If `out` is not named like a pickle in detection and classification, or like one in segmentation.
    """
    is_pickle = out.endswith(('.pkl', '.pickle'))
    if cfg.default_scope != 'mmseg' and not is_pickle:
        what = 'detections' if cfg.default_scope == 'mmdet' else 'predictions'
        raise InvalidInput(f'--out {out}: {what} are written to a .pkl or .pickle file')
    if cfg.default_scope == 'mmseg' and is_pickle:
        raise InvalidInput(f'--out {out}: label maps are written into a folder, give its name')


def write_predictions(cfg: Config, out: str) -> None:
    """Keep the predictions: a pickle for detection and classification, a folder of label maps for segmentation."""
    metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, (list, tuple)) else [cfg.test_evaluator]
    if cfg.default_scope == 'mmdet':
        cfg.test_evaluator = [*metrics, {'type': 'DumpDetResults', 'out_file_path': out}]
    elif cfg.default_scope == 'mmpretrain':
        cfg.test_evaluator = [*metrics, {'type': 'DumpResults', 'out_file_path': out}]
    else:
        for metric in metrics:
            if metric['type'] in ('IoUMetric', 'mmseg.IoUMetric'):
                metric.update(output_dir=out, keep_results=True)


def augment_at_test_time(cfg: Config) -> None:
    """Test with the config's `tta_model` and `tta_pipeline`; detection has mmdet's defaults (flips, NMS).

    Raises:
        ValueError: If a config of another task lacks them.
    """
    leaves = list(dataset_leaves(cfg.test_dataloader.dataset))
    if cfg.default_scope == 'mmdet':
        if 'tta_model' not in cfg:
            notice('--tta: the config has no tta_model, using DetTTAModel with NMS at IoU 0.5')
            cfg.tta_model = {
                'type': 'DetTTAModel',
                'tta_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100},
            }
        if 'tta_pipeline' not in cfg:
            notice('--tta: the config has no tta_pipeline, using the test pipeline with and without a flip')
            cfg.tta_pipeline = _flipped(leaves[0].pipeline)
    elif missing := [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]:
        raise ValueError(f'--tta needs {" and ".join(missing)} in a config of {cfg.default_scope}')
    for leaf in leaves:
        leaf.pipeline = cfg.tta_pipeline
    model = cfg.model
    cfg.model = ConfigDict(**cfg.tta_model, module=model)
    if model.get('data_preprocessor'):
        # Else it gets the config's `data_preprocessor`, which stock bases have, in the place of the model's own.
        cfg.model.setdefault('data_preprocessor', model.data_preprocessor)


def _flipped(pipeline: list) -> list:
    """A detection test pipeline whose last step packs each image as it is and flipped."""
    pack = deepcopy(pipeline[-1])
    pack.meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')
    flips = [{'type': 'RandomFlip', 'prob': 1.0}, {'type': 'RandomFlip', 'prob': 0.0}]
    return [*deepcopy(pipeline[:-1]), {'type': 'TestTimeAug', 'transforms': [flips, [pack]]}]


class ShowDirHook(Hook):
    """Draws segmentations into `show_dir` itself, as PNG files named like the images; mmseg offers no such setting."""

    def __init__(self, show_dir: str) -> None:
        self.folder = Path(show_dir).absolute()

    def before_test(self, runner: Runner) -> None:
        """Let the visualizer write files where it would add images to a log."""
        if runner.cfg.get('default_scope') != 'mmseg':
            return
        add = runner.visualizer.add_datasample
        self.folder.mkdir(parents=True, exist_ok=True)

        def add_datasample(name: str, *args, **kwargs) -> None:
            file = Path(name.removeprefix('test_')).with_suffix('.png')
            add(name, *args, **{**kwargs, 'out_file': str(self.folder / file)})

        runner.visualizer.add_datasample = add_datasample


def _innermost(runner: Runner) -> tuple:
    """The runner's model inside its wrappers, behind the object and the name of the attribute that holds it."""
    holder, name = runner, 'model'
    while hasattr(getattr(holder, name), 'module'):
        holder, name = getattr(holder, name), 'module'
    return holder, name, getattr(holder, name)


class FoldHook(Hook):
    """Folds the model's RepConv and batch norms before it is tested, see `mmsterf.snn.fold_norms`.

    By then its weights are loaded, and averaged ones (EMAHook) in their place.
    """

    priority = 'LOWEST'

    def before_test_epoch(self, runner: Runner) -> None:
        """Put a folded copy in the place of the runner's model, inside its wrappers if it has any."""
        from mmsterf.snn import fold_norms

        holder, name, model = _innermost(runner)
        folded = fold_norms(model)
        before, after = (sum(isinstance(m, _BatchNorm) for m in part.modules()) for part in (model, folded))
        print_log(f'--fold: {before} batch norms before, {after} after', logger='current')
        setattr(holder, name, folded)


def check_backend_arguments(args) -> None:
    """Check --backend and --precision of a command line before anything is read.

    Raises:
        InvalidInput: If they do not go together, with --spike-driven, or the runtime is absent.
    """
    from mmsterf.deploy import check_backend

    check_backend(args.backend, args.precision)
    if args.spike_driven:
        raise InvalidInput(
            f'--spike-driven looks into PyTorch, which --backend {args.backend} leaves: give one of them'
        )


class BackendHook(Hook):
    """Tests with the networks in another runtime, exported with the first image; see `mmsterf.deploy.compiled`."""

    priority = 'LOWEST'

    def __init__(self, backend: str, precision: str = 'f32') -> None:
        self.backend, self.precision = backend, precision

    def before_test_epoch(self, runner: Runner) -> None:
        """Put a copy whose networks are compiled in the place of the runner's model, inside its wrappers."""
        from mmsterf.deploy import compiled, describe_differences, inputs_of

        holder, name, model = _innermost(runner)
        loader = runner.test_loop.dataloader
        data = loader.collate_fn([loader.dataset[0]])
        if holder is not runner and isinstance(holder, BaseTTAModel):
            data = {key: value[0] for key, value in data.items()}
        with torch.no_grad():
            found = compiled(model, self.backend, inputs_of(model, data), self.precision)
        print_log(f'--backend: {describe_differences(found, self.backend)}, on the first image', logger='current')
        setattr(holder, name, found)


class SpikeDrivenHook(Hook):
    """Tests with binary spikes alone, and logs which layers read anything else; see `mmsterf.snn.spike_driven`.

    Register it behind `FoldHook`, which replaces the model.
    """

    priority = 'LOWEST'

    def before_test_epoch(self, runner: Runner) -> None:
        """Start to expand counts."""
        from mmsterf.snn.spike_driven import spike_driven

        self._context = spike_driven(runner.model)
        self._inputs = self._context.__enter__()

    def after_test_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Stop, and log."""
        from mmsterf.snn.spike_driven import is_spike_driven

        self._context.__exit__(None, None, None)
        others = [f'{n} ({" x ".join(kinds)})' for n, kinds in self._inputs.items() if not is_spike_driven(kinds)]
        print_log(
            f'--spike-driven: {len(self._inputs) - len(others)} of {len(self._inputs)} weight layers and products read '
            f'binary spikes; others: {", ".join(others) or "none"}',
            logger='current',
        )

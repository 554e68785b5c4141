"""mmengine's Runner on a config that the tools have adapted, which keeps the config of the user."""

from itertools import count

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

_RUNS = count()


class _UsersConfig:
    """Mixed into a runner: built from `adapted`, while `cfg`, what is saved, logged and drawn, is `users`."""

    adapted: Config
    users: Config

    def __init__(self, *args, cfg=None, **kwargs) -> None:
        super().__init__(*args, cfg=self.users, **kwargs)

    def wrap_model(self, model_wrapper_cfg, model):
        """Wrap as the adapted config says; mmengine looks it up in `cfg`."""
        users, self.cfg = self.cfg, self.adapted
        try:
            return super().wrap_model(self.cfg.get('model_wrapper_cfg'), model)
        finally:
            self.cfg = users


def build_runner(cfg: Config, users: Config) -> Runner:
    """Build the runner of a config.

    Args:
        cfg (Config): What to run: the user's config and what the tools changed for this machine and this run.
        users (Config): The user's config, which the work dir, the log and the checkpoints get.
    """
    if cfg.get('visualizer'):
        # mmengine hands out the first visualizer of a name again, which writes to the folder of the run before.
        cfg.visualizer.name = f'{cfg.visualizer.get("name", "visualizer")}_{next(_RUNS)}'
    base = RUNNERS.get(cfg.runner_type) if 'runner_type' in cfg else Runner
    return type(base.__name__, (_UsersConfig, base), {'adapted': cfg, 'users': users}).from_cfg(cfg)

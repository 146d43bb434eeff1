"""Configuration: closed pydantic models, one per section."""

from fatewalk.config.datasets import Dataset, SimulatedDataset
from fatewalk.config.reading import read_config
from fatewalk.config.root import MAIN_RUN, Config, RunSettings, load_config
from fatewalk.config.sections import (
    CallsConfig,
    DesignConfig,
    ExportConfig,
    FitConfig,
    MashConfig,
    ModelConfig,
    PriorsConfig,
)
from fatewalk.config.simulate import SimulateConfig

__all__ = [
    "MAIN_RUN",
    "CallsConfig",
    "Config",
    "Dataset",
    "DesignConfig",
    "ExportConfig",
    "FitConfig",
    "MashConfig",
    "ModelConfig",
    "PriorsConfig",
    "RunSettings",
    "SimulateConfig",
    "SimulatedDataset",
    "load_config",
    "read_config",
]

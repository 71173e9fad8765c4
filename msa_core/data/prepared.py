"""Train and valid, prepared once for all the trainings that a worker does."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from msa_core.config.rules import pools_frames
from msa_core.config.schema import Config
from msa_core.data.batching import Batch, Scaler, prepared_features, to_tensor, whole_batch
from msa_core.data.dataset import FloatArray, Split, Splits
from msa_core.modules.missing import present_where_modalities_never_meet

_Form = tuple[str, str, bool, bool]  # split, modality, standardised, pooled


class PreparedSplits:
    """Train and valid with the work done that no parameter changes, each form of it once.

    The forms are made as configurations ask for them. Pickled, it holds those already made; a
    transport that shares arrays then shares them.
    """

    # No test split comes in: whoever has prepared splits can't look at it.
    def __init__(self, splits: Splits) -> None:
        self.splits = splits
        self.scheme = splits.scheme
        self._scalers: dict[bool, Scaler] = {}
        self._arrays: dict[_Form, FloatArray] = {}
        self._tensors: dict[tuple[_Form, torch.device], Tensor] = {}

    def scaler(self, config: Config) -> Scaler:
        """Return the scaler, fitted on train, for the modalities of a configuration."""
        standardise = config.features.standardise
        if standardise not in self._scalers:
            train = self.splits.train
            # Of every modality, used or not: features are scaled one by one, so one fit serves all.
            self._scalers[standardise] = Scaler.fit(train, tuple(train.features), standardise)
        every = self._scalers[standardise]
        used = [name for name in every.mean if getattr(config.model, name).use]
        return Scaler(
            mean={name: every.mean[name] for name in used},
            std={name: every.std[name] for name in used},
        )

    def prepare_arrays(self, config: Config) -> None:
        """Prepare the arrays that a configuration will ask for."""
        for modality in self.scaler(config).mean:
            self._prepared_array("train", modality, config)
            self._prepared_array("valid", modality, config)

    def train_batch(self, config: Config, device: torch.device) -> Batch:
        """Return the train split as one batch, with the modalities that a training may see."""
        whole = self._whole_split("train", self.splits.train, config, device)
        if config.missing.protocol == "all":
            return whole
        present = present_where_modalities_never_meet(whole.rows, list(whole.features))
        return dataclasses.replace(whole, present=present)

    def valid_batch(self, config: Config, device: torch.device) -> Batch:
        """Return the valid split as one batch."""
        return self._whole_split("valid", self.splits.valid, config, device)

    def _whole_split(self, name: str, split: Split, config: Config, device: torch.device) -> Batch:
        features = {}
        for modality in self.scaler(config).mean:
            key = _form_of(name, modality, config), device
            if key not in self._tensors:
                self._tensors[key] = to_tensor(self._prepared_array(name, modality, config), device)
            features[modality] = self._tensors[key]
        return whole_batch(split, features, device)

    def _prepared_array(self, name: str, modality: str, config: Config) -> FloatArray:
        form = _form_of(name, modality, config)
        if form not in self._arrays:
            split: Split = getattr(self.splits, name)
            self._arrays[form] = prepared_features(
                split, self.scaler(config), modality, pools_frames(config, modality)
            )
        return self._arrays[form]

    def __getstate__(self) -> dict[str, Any]:
        # Without the tensors, which live on one device in one process.
        return {**self.__dict__, "_tensors": {}}


def _form_of(name: str, modality: str, config: Config) -> _Form:
    return name, modality, config.features.standardise, pools_frames(config, modality)

"""Text features from a pretrained language model that is not trained here.

It prepares data once, before any training: the model reads every utterance, and the vectors of its
last layer become the text features. The model is a folder in the layout of Hugging Face
(`config.json`, weights, tokenizer) on this machine; nothing is ever downloaded and no code of the
folder is run. It needs the package transformers (`pip install "triptych[text]"`).

Another processor or version of PyTorch may round otherwise, and then the data are other data, with
another fingerprint.

Letters in shapes: N utterances, T tokens, d width of the model.
"""

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msa_core.data.dataset import FloatArray, IntArray
from msa_core.data.layout import LENGTH_KEYS, RAW_TEXT_KEY, SPLITS, TOKENS_KEY, SplitValues
from spaces.core import DataError
from spaces.environment import OFFLINE, set_defaults

CONFIG_FILE = "config.json"
BATCH = 32
_IDS, _MASK, _SEGMENTS = range(3)


def with_encoded_text(source: str, splits: SplitValues, model_folder: Path) -> SplitValues:
    """Return the values of a feature file with the text features made by a model.

    A split's `text_bert`, if the file has it, is fed to the model as it is: the model must be the
    one whose vocabulary it was made with. Otherwise the model's own tokenizer reads `raw_text`.

    Args:
        source: Name of the data in messages.
        splits: Split -> key -> values, unchecked.
        model_folder: Folder of the text model, in the layout of Hugging Face.

    Raises:
        DataError: No text, a folder that is no text model, no transformers, or text that does not
            fit the model.
    """
    model = _Model(model_folder)
    encoded = dict(splits)
    for name in SPLITS:
        if name not in splits:
            continue  # Refused where the splits are checked.
        values, where = splits[name], f"{source}: split '{name}'"
        if TOKENS_KEY in values:
            key, tokens = TOKENS_KEY, _check_given_tokens(where, values[TOKENS_KEY])
        elif RAW_TEXT_KEY in values:
            key, tokens = (
                RAW_TEXT_KEY,
                model.tokenise_texts(_check_texts(where, values[RAW_TEXT_KEY])),
            )
        else:
            raise DataError(
                f"{where} has neither '{RAW_TEXT_KEY}' nor '{TOKENS_KEY}', which "
                "'data.text_model' reads; add one, or leave 'data.text_model' out"
            )
        features, lengths = model.encode_tokens(f"{where}, key '{key}'", tokens)
        encoded[name] = {**values, "text": features, LENGTH_KEYS["text"]: lengths}
    return encoded


def check_model_folder(folder: Path) -> None:
    """Check that a folder can hold a model.

    Raises:
        DataError: No such folder, or one without `config.json`.
    """
    if not (folder / CONFIG_FILE).is_file():
        found = "has no" if folder.is_dir() else "is no folder, so there is no"
        raise DataError(
            f"data.text_model: {folder} {found} '{CONFIG_FILE}'; give a folder of this machine in "
            "the layout of Hugging Face (nothing is downloaded)"
        )


class _Model:
    """A loaded model and, where texts are read, its tokenizer."""

    def __init__(self, folder: Path) -> None:
        check_model_folder(folder)
        self.folder = folder
        self._transformers = _import_transformers()
        # Weights that a checkpoint lacks are drawn at random; that must not move PyTorch's stream.
        with torch.random.fork_rng(devices=[]):
            self.model, found = self._load_pretrained(
                self._transformers.AutoModel, output_loading_info=True, trust_remote_code=False
            )
        if self.model.config.is_encoder_decoder:
            raise self._unusable_model("is an encoder-decoder, which reads no text alone")
        # The pooler is not used, and many checkpoints have none.
        if missing := sorted(key for key in found["missing_keys"] if "pooler" not in key):
            raise self._unusable_model(
                f"lacks {len(missing)} of its weights, such as '{missing[0]}'"
            )
        self.model.float().eval()

    def tokenise_texts(self, texts: Sequence[str]) -> IntArray:
        """Return token ids, mask and segment ids of texts, [N, 3, T]."""
        tokenizer = self._load_pretrained(self._transformers.AutoTokenizer, trust_remote_code=False)
        read = tokenizer(list(texts), verbose=False)
        ids, lengths = read["input_ids"], [len(row) for row in read["input_ids"]]
        tokens = np.zeros((len(ids), 3, max(lengths, default=0)), dtype=np.int64)
        tokens[:, _IDS] = tokenizer.pad_token_id or 0
        segments = read.get("token_type_ids")
        for row, length in enumerate(lengths):
            tokens[row, _IDS, :length] = ids[row]
            tokens[row, _MASK, :length] = 1
            if segments is not None:
                tokens[row, _SEGMENTS, :length] = segments[row]
        return tokens

    def encode_tokens(self, where: str, tokens: IntArray) -> tuple[FloatArray, IntArray]:
        """Return the last layer's vectors of tokens [N, 3, T], and the tokens of each utterance.

        Vectors are float32 [N, T, d], T = the longest utterance, and 0 after an utterance's end.
        Lengths are int64 [N], the model's start and end marks included.
        """
        lengths: IntArray = tokens[:, _MASK].sum(axis=1)
        self._check_tokens(where, tokens, lengths)
        steps = max(1, int(lengths.max(initial=0)))
        width = int(self.model.config.hidden_size)
        features = np.zeros((len(tokens), steps, width), dtype=np.float32)
        # Utterances of like length together: little is computed for padding.
        order = np.argsort(-lengths, kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            longest = int(lengths[rows[0]])
            if longest:
                hidden = self._last_hidden_state(tokens[rows, :, :longest])
                valid = tokens[rows, _MASK, :longest, np.newaxis] == 1
                features[rows, :longest] = np.where(valid, hidden, 0.0)
        return features, lengths

    def _last_hidden_state(self, tokens: IntArray) -> FloatArray:
        ids, mask, segments = (torch.from_numpy(tokens[:, part].copy()) for part in range(3))
        inputs = {"input_ids": ids, "attention_mask": mask}
        # Not every model has segments.
        if "token_type_ids" in inspect.signature(self.model.forward).parameters:
            inputs["token_type_ids"] = segments
        with torch.no_grad():
            hidden: FloatArray = self.model(**inputs).last_hidden_state.numpy()
        return hidden

    def _check_tokens(self, where: str, tokens: IntArray, lengths: IntArray) -> None:
        config = self.model.config
        limits = {"ids": (_IDS, config.vocab_size)}
        if kinds := getattr(config, "type_vocab_size", 0):
            limits["segments"] = (_SEGMENTS, kinds)
        for name, (part, limit) in limits.items():
            bad = np.argwhere((tokens[:, part] < 0) | (tokens[:, part] >= limit))
            if bad.size:
                row, step = bad[0]
                raise DataError(
                    f"{where}, row {row}: {tokens[row, part, step]} among its {name}, but the "
                    f"model in {self.folder} has 0 to {limit - 1}; were they made for it?"
                )
        most = int(getattr(config, "max_position_embeddings", 0) or np.iinfo(np.int64).max)
        # RoBERTa and its kin count positions from behind the padding's number.
        if getattr(config, "model_type", "") in _POSITIONS_AFTER_PADDING:
            most -= config.pad_token_id + 1
        too_long = np.flatnonzero(lengths > most)
        if too_long.size:
            raise DataError(
                f"{where}, row {too_long[0]}: {lengths[too_long[0]]} tokens, but the model in "
                f"{self.folder} reads {most}; shorten that text"
            )

    def _load_pretrained(self, kind: Any, **options: Any) -> Any:
        try:
            return kind.from_pretrained(str(self.folder), local_files_only=True, **options)
        except Exception as error:  # Broken folders raise almost anything.
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise self._unusable_model(f"cannot be loaded as {kind.__name__}: {reason}") from error

    def _unusable_model(self, why: str) -> DataError:
        return DataError(
            f"data.text_model: {self.folder} {why}; give the folder of a whole encoder, such as "
            "BERT, as its `save_pretrained` writes it"
        )


_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl")


def _import_transformers() -> Any:
    set_defaults(OFFLINE)
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise DataError(
            "data.text_model: the package transformers is not installed; "
            "install it with: pip install 'triptych[text]'"
        ) from error


def _check_texts(where: str, value: object) -> list[str]:
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype.kind != "U":
        raise DataError(
            f"{where}, key '{RAW_TEXT_KEY}': {array.dtype} values of shape {array.shape}, "
            "but one text per utterance is needed, [N]"
        )
    return [str(text) for text in array.tolist()]


def _check_given_tokens(where: str, value: object) -> IntArray:
    """Check `text_bert` [N, 3, T]: token ids, mask (1, then 0 from the end on) and segment ids.

    Source: github.com/thuiar/MMSA, `src/MMSA/models/subNets/BertTextEncoder.py`.
    """
    array = np.asarray(value)
    if array.ndim != 3 or array.shape[1] != 3 or array.dtype.kind not in "iuf":
        raise DataError(
            f"{where}, key '{TOKENS_KEY}': {array.dtype} values of shape {array.shape}, but "
            "[N, 3, T] is needed: token ids, mask, segment ids"
        )
    with np.errstate(invalid="ignore"):  # NaN differs from its whole number, below.
        tokens: IntArray = array.astype(np.int64)
    mask = tokens[:, _MASK]
    is_prefix = np.isin(mask, (0, 1)).all(axis=1) & (np.diff(mask, axis=1) <= 0).all(axis=1)
    sound = (tokens == array).all(axis=(1, 2)) & is_prefix
    if not sound.all():
        raise DataError(
            f"{where}, key '{TOKENS_KEY}', row {np.flatnonzero(~sound)[0]}: whole numbers are "
            "needed, with a mask of ones, then zeros"
        )
    return tokens

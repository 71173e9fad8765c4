"""Fusion operators and their options. Standard library only."""

from dataclasses import dataclass
from typing import Any, ClassVar

from msa_core.config.fields import WeightedTerm, share, used_modalities, weight
from msa_core.config.unimodal import unimodal_heads
from spaces.fields.declaration import Options, count, field, section

MOST_FUSED = 2**20  # entries of a tensor-product fusion: a head of 64 units then has 256 MiB


@dataclass(frozen=True, kw_only=True, slots=True)
class FusionOptions(Options):
    """Facts about a fusion that are needed without PyTorch.

    Attributes:
        needs_frames: Whether it reads the encoders' frames, not only their vectors.
        in_turn_on_a_cpu: Reason why its members train one after another on a CPU; empty if they
            train together.
    """

    changes: ClassVar[str] = "model"
    needs_frames: ClassVar[bool] = False
    in_turn_on_a_cpu: ClassVar[str] = ""

    def fused_width(self, width: int, modalities: int) -> int:
        """Return the number of entries of the fused vector.

        Args:
            width: Entries of each projected modality.
            modalities: Number of modalities that the model reads.
        """
        return width

    def multiple(self) -> int:
        """Return what the projection's width must be a multiple of."""
        return int(getattr(self, "heads", 1))  # each head has its part of the width

    def refusal(self, config: Any) -> str:
        """Refuse a width that does not divide into heads."""
        if config.model.projection.width % self.multiple():
            return (
                f"'model.projection.width' is {config.model.projection.width}, but it is divided "
                f"into {self.multiple()} heads: choose a multiple of {self.multiple()}"
            )
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConcatOptions(FusionOptions):
    """The vectors side by side."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.vector_fusions:Concat"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_information_estimators.py::test_concat_puts_the_vectors_side_by_side"
    )
    source: ClassVar[str] = "common practice (late fusion)"
    cites: ClassVar[tuple[str, ...]] = ()

    def fused_width(self, width: int, modalities: int) -> int:
        """Return the width of all of them side by side."""
        return width * modalities


@dataclass(frozen=True, kw_only=True, slots=True)
class SumOptions(FusionOptions):
    """The mean of the vectors."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.vector_fusions:Average"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_information_estimators.py::"
        "test_sum_fusion_is_the_mean_of_the_modalities_of_the_model"
    )
    source: ClassVar[str] = "common practice (late fusion)"
    cites: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedOptions(FusionOptions):
    """A weighted sum whose weights depend on the vectors."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.vector_fusions:Gated"
    known_answer: ClassVar[str] = (
        "modules/fusion/test_fusion_operators.py::test_equal_gates_give_the_mean"
    )
    source: ClassVar[str] = (
        "after Arevalo et al. 2017 (gated multimodal units), with one gate per modality"
    )
    cites: ClassVar[tuple[str, ...]] = ("arevalo2017gated",)
    gate: str = field(
        "softmax",
        "softmax: the modalities' weights add up to 1; sigmoid: each has its own",
        "gate",
        choices=("softmax", "sigmoid"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TfnOptions(FusionOptions):
    """All products of entries of different modalities."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.vector_fusions:TensorProduct"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_information_estimators.py::"
        "test_the_tensor_product_of_1_2_and_3_is_known"
    )
    source: ClassVar[str] = "Zadeh et al. 2017 (Tensor Fusion Network), eq. 5"
    cites: ClassVar[tuple[str, ...]] = ("zadeh2017tensor",)

    def fused_width(self, width: int, modalities: int) -> int:
        """Return the number of products; each modality has a constant 1 besides its entries."""
        return int((width + 1) ** modalities)

    def refusal(self, config: Any) -> str:
        """Refuse a product that no head could read."""
        width = config.model.projection.width
        used = len(used_modalities(config))
        fused = self.fused_width(width, used)
        if fused <= MOST_FUSED:
            return ""
        fitting = int(MOST_FUSED ** (1 / used)) - 1
        return (
            f"it multiplies {used} modalities to {fused:,} entries, more than {MOST_FUSED:,}; "
            f"lower 'model.projection.width' from {width} to {fitting}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LmfOptions(FusionOptions):
    """The tensor product read through a sum of rank-1 weights."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.vector_fusions:LowRank"
    known_answer: ClassVar[str] = (
        "modules/fusion/test_fusion_operators.py::"
        "test_lmf_equals_the_tensor_product_contracted_with_its_factors"
    )
    source: ClassVar[str] = (
        "Liu et al. 2018 (Low-rank Multimodal Fusion), eq. 6, with the public code's w; its bias "
        "is the next layer's"
    )
    cites: ClassVar[tuple[str, ...]] = ("liu2018lowrank",)
    rank: int = count(4, "terms of the sum", "rank", 64, unit="terms", searched=(3, 6, "linear"))


@dataclass(frozen=True, kw_only=True, slots=True)
class MultOptions(FusionOptions):
    """Every modality attends to the frames of every other."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.mult:CrossModal"
    known_answer: ClassVar[str] = (
        "modules/fusion/test_fusion_operators.py::test_constant_keys_give_the_mean_of_the_values"
    )
    # In a pack of 8 a member's step took .97 of its time alone, at 50 frames and width 32.

    source: ClassVar[str] = "Tsai et al. 2019 (Multimodal Transformer), eq. 3 to 6"
    cites: ClassVar[tuple[str, ...]] = ("tsai2019mult",)
    needs_frames: ClassVar[bool] = True
    layers: int = count(
        2, "layers of each cross-attention, and of the self-attention after it", "levels", 8,
        unit="layers", searched=(2, 4, "linear"),
    )  # fmt: skip
    heads: int = count(
        4, "heads of each layer", "heads", 32, unit="heads", searched=(2, 10, "linear")
    )
    dropout: float = share(
        0.1, "share of each layer's outputs dropped in training", "attention dropout"
    )

    def fused_width(self, width: int, modalities: int) -> int:
        """Return the width of each modality attending to each other one; alone it is itself."""
        return width * modalities * max(1, modalities - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimilarityTerm(WeightedTerm):
    """Shared codes of two modalities are alike."""

    weight: float = weight(
        0.3, "how alike the modalities' shared codes are to be (CMD)", "similarity weight",
        searched=(0.3, 1.0, "linear"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class DifferenceTerm(WeightedTerm):
    """Private codes differ from the shared ones and from one another."""

    weight: float = weight(
        0.1, "how different private codes are to be from all others", "difference weight",
        searched=(0.1, 0.5, "linear"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconstructionTerm(WeightedTerm):
    """Both codes together reconstruct the modality."""

    weight: float = weight(
        0.5, "how well both codes are to give the modality back", "reconstruction weight",
        searched=(0.5, 1.0, "linear"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class MisaOptions(FusionOptions):
    """A shared and a private code of every modality, and attention between them."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.misa:Misa"
    known_answer: ClassVar[str] = (
        "modules/fusion/test_fusion_operators.py::"
        "test_the_similarity_of_codes_shifted_by_0_3_is_known"
    )
    source: ClassVar[str] = (
        "Hazarika et al. 2020 (MISA); its layer of attention here normalises before its parts"
    )
    cites: ClassVar[tuple[str, ...]] = ("hazarika2020misa",)
    heads: int = count(2, "heads of the attention between codes", "heads", 32, unit="heads")
    similarity: SimilarityTerm = section(SimilarityTerm)
    difference: DifferenceTerm = section(DifferenceTerm)
    reconstruction: ReconstructionTerm = section(ReconstructionTerm)

    def fused_width(self, width: int, modalities: int) -> int:
        """Return the width of two codes per modality."""
        return 2 * width * modalities


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCurveTerm(WeightedTerm):
    """Reorganised modalities lie where their label is."""

    weight: float = weight(
        0.001, "how near each modality is to lie to a learned point of its label",
        "label alignment weight", searched=(1e-4, 1e-1, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudoTerm(WeightedTerm):
    """A second prediction follows the unimodal heads."""

    weight: float = weight(
        0.0, "how near a second prediction is to follow the unimodal heads'", "pseudo weight",
        searched=(0.1, 1.0, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ReorgSumOptions(FusionOptions):
    """Frames sorted into slots that are the same for every modality, then added up."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.reorg:ReorganisedSum"
    known_answer: ClassVar[str] = (
        "modules/fusion/test_unseen_combinations.py::"
        "test_shares_add_up_to_1_so_the_slots_add_up_to_the_frames"
    )
    source: ClassVar[str] = (
        "after Zhang et al. 2023 (unseen modality interaction) and its public code; labels are "
        "numbers here, so the class vectors become a curve"
    )
    cites: ClassVar[tuple[str, ...]] = ("zhang2023unseen",)
    needs_frames: ClassVar[bool] = True
    slots: int = count(
        8,
        "slots that frames are sorted into",
        "slots",
        512,
        unit="slots",
        only_with=("reorganise", True),
    )
    layers: int = count(
        1, "layers of attention between frames, and between slots", "layers", 12, unit="layers"
    )
    heads: int = count(4, "heads of each layer", "heads", 32, unit="heads")
    reorganise: bool = field(True, "false: the mean of the frames instead of slots", "reorganise")
    pool: str = field(
        "sum", "how modalities are put together", "slot pooling", choices=("sum", "mean")
    )
    label_curve: LabelCurveTerm = section(LabelCurveTerm)
    pseudo: PseudoTerm = section(PseudoTerm)

    def refusal(self, config: Any) -> str:
        """Refuse a width that does not divide into heads, and a pseudo branch without heads."""
        if self.pseudo.weight > 0 and not unimodal_heads(config):
            return (
                "its pseudo branch follows the predictions of unimodal heads, and there are none; "
                "set 'loss.unimodal.kind: fixed', or 'model.fusion.reorg_sum.pseudo.weight: 0'"
            )
        return FusionOptions.refusal(self, config)


@dataclass(frozen=True, kw_only=True, slots=True)
class FusionConfig:
    """How the projected modalities become one vector, and the head on top of it."""

    kind: str = field("concat", "fusion operator", "fusion", kinds_in="model.fusion")
    head: str = field(
        "mlp",
        "what reads the fused vector; mlp: a hidden layer; linear: nothing but a weighted sum, so "
        "that only the fusion can combine modalities",
        "head",
        choices=("mlp", "linear"),
        quiet=True,
    )
    width: int = count(
        64, "units of the hidden layer after fusion", "head width", 4096, unit="units"
    )
    dropout: float = share(0.1, "share of that layer's outputs dropped in training", "head dropout")
    concat: ConcatOptions = section(ConcatOptions)
    sum: SumOptions = section(SumOptions)
    gated: GatedOptions = section(GatedOptions)
    tfn: TfnOptions = section(TfnOptions)
    lmf: LmfOptions = section(LmfOptions)
    mult: MultOptions = section(MultOptions)
    misa: MisaOptions = section(MisaOptions)
    reorg_sum: ReorgSumOptions = section(ReorgSumOptions)

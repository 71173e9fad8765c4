"""The generated page of modules, and what every module owes to its reader."""

import ast

import pytest

from msa_core.config.kinds import FAMILIES, kind_of_path, kinds_of
from msa_core.config.paths import fields_of
from msa_core.config.schema import Config
from msa_core.plugins import registry_of
from msa_core.reference.modules_page import SWITCHES, render_page, summarise_docstring
from msa_core.reference.sources import documented_paragraph, source_of_kind
from tests.cases.paths import DOCS, REPOSITORY

TESTS = REPOSITORY / "tests" / "msa_core"
KINDS = [(family, kind) for family in FAMILIES for kind in kinds_of(family)]
# Family, kind (or switch) -> a test whose answer was known before: file and name.
KNOWN_ANSWERS = {
    ("encoder", "mean_mlp"): (
        "modules/test_encoders", "the_mean_encoder_is_two_relu_layers_on_the_mean_of_the_valid_frames",
    ),
    ("encoder", "lstm"): (
        "modules/test_encoders", "a_recurrence_written_out_step_by_step_is_the_fused_kernel",
    ),
    ("encoder", "gru"): (
        "modules/test_encoders", "a_recurrence_written_out_step_by_step_is_the_fused_kernel",
    ),
    ("encoder", "conv"): ("modules/test_encoders", "the_convolution_is_that_of_pytorch_on_each_utterance"),
    ("encoder", "transformer"): ("modules/test_attention", "attention_is_that_of_pytorch"),
    ("fusion", "concat"): ("modules/contrast/test_information_estimators", "concat_puts_the_vectors_side_by_side"),
    ("fusion", "sum"): (
        "modules/contrast/test_information_estimators", "sum_fusion_is_the_mean_of_the_modalities_of_the_model",
    ),
    ("fusion", "gated"): ("modules/fusion/test_fusion_operators", "equal_gates_give_the_mean"),
    ("fusion", "tfn"): (
        "modules/contrast/test_information_estimators", "the_tensor_product_of_1_2_and_3_is_known",
    ),
    ("fusion", "lmf"): (
        "modules/fusion/test_fusion_operators", "lmf_equals_the_tensor_product_contracted_with_its_factors",
    ),
    ("fusion", "mult"): ("modules/fusion/test_fusion_operators", "constant_keys_give_the_mean_of_the_values"),
    ("fusion", "misa"): (
        "modules/fusion/test_fusion_operators", "the_similarity_of_codes_shifted_by_0_3_is_known",
    ),
    ("fusion", "reorg_sum"): (
        "modules/fusion/test_unseen_combinations", "shares_add_up_to_1_so_the_slots_add_up_to_the_frames",
    ),
    ("alignment", "cov"): (
        "modules/alignment/test_covariance_alignment", "cov_of_the_cross_with_its_double_is_a_half",
    ),
    ("alignment", "paircov"): (
        "modules/alignment/test_covariance_alignment", "paircov_of_a_modality_with_its_negative_is_4",
    ),
    ("alignment", "cmd"): (
        "modules/contrast/test_information_estimators", "cmd_of_points_at_half_and_of_the_same_halved_is_known",
    ),
    ("alignment", "mmd"): (
        "modules/alignment/test_covariance_alignment", "mmd_of_two_points_is_known_whatever_their_distance",
    ),
    ("alignment", "rkd"): (
        "modules/alignment/test_relational_distances",
        "the_half_circle_against_the_equilateral_triangle_is_known",
    ),
    ("alignment", "infonce"): (
        "modules/contrast/test_anchor_loss", "two_orthonormal_matched_rows_give_the_known_value",
    ),
    ("alignment", "cca"): (
        "modules/alignment/test_covariance_alignment",
        "cca_is_k_less_the_sum_of_the_k_largest_canonical_correlations",
    ),
    ("contrast", "anchor"): (
        "modules/contrast/test_anchor_loss", "two_orthonormal_matched_rows_give_the_known_value",
    ),
    ("contrast", "views"): (
        "modules/contrast/test_mmcl_losses",
        "two_identical_orthonormal_views_give_the_value_of_section_4",
    ),
    ("contrast", "instance"): (
        "modules/contrast/test_mmcl_losses", "a_perfect_cross_modal_prediction_gives_the_value_of_section_4",
    ),
    ("contrast", "sentiment"): (
        "modules/contrast/test_mmcl_losses", "equal_rows_give_the_logarithm_of_n_less_1",
    ),
    ("contrast", "icl"): (
        "modules/contrast/test_mclea_losses", "equal_rows_give_the_logarithm_of_2_n_less_1",
    ),
    ("contrast", "ial"): (
        "modules/contrast/test_mclea_losses", "a_modality_that_is_the_joint_representation_has_no_ial",
    ),
    ("contrast", "rbc"): (
        "modules/contrast/test_rbc_contrast",
        "of_candidates_as_likely_as_itself_the_logarithm_of_their_number_is_left",
    ),
    ("contrast", "bound"): (
        "modules/contrast/test_information_estimators",
        "a_perfect_prediction_with_logvar_0_has_the_log_likelihood_0",
    ),
    ("contrast", "cpc"): (
        "modules/contrast/test_information_estimators", "matched_orthonormal_rows_give_the_known_cpc",
    ),
    ("procedure", "joint"): (
        "tensors/test_parameters", "every_member_is_moved_as_by_an_adam_of_its_own",
    ),
    ("procedure", "mla"): (
        "procedures/test_mla",
        "while_a_modality_steps_the_encoders_of_the_others_stay_bit_unchanged",
    ),
    ("procedure", "two_stage"): (
        "procedures/test_two_stage",
        "the_first_pass_moves_the_estimators_alone_and_the_second_all_but_them",
    ),
    ("procedure", "stream"): (
        "procedures/test_stream",
        "tasks_are_equal_quantile_ranges_of_the_label_in_rising_order",
    ),
    ("loss.unimodal.kind", "fixed"): (
        "test_objective",
        "every_unimodal_head_learns_the_multimodal_label_with_its_own_weight",
    ),
    ("loss.unimodal.target", "annotated"): (
        "modules/test_controls", "annotated_heads_learn_the_data_s_own_labels",
    ),
    ("loss.unimodal.kind", "ulgm"): (
        "modules/test_ulgm_labels", "the_distances_1_2_and_1_3_give_the_known_step_of_the_second_epoch",
    ),
    ("missing.frames", ""): ("modules/test_modality_dropout", "mask_rate_0_is_the_identity"),
    ("missing.modalities", ""): (
        "modules/test_modality_dropout", "moddrop_takes_each_modality_with_p_less_p_to_the_m_over_m",
    ),
    ("missing.protocol", "unseen"): (
        "procedures/test_unseen_protocol",
        "modality_combinations_of_test_never_co_occur_in_training",
    ),
    ("control.placebo", "<any name>"): (
        "test_laws", "a_placebo_is_other_noise_in_the_same_model",
    ),
    ("control.unused", ""): (
        "modules/test_controls", "unused_units_are_bit_identical_to_none_in_every_number",
    ),
    ("control.shuffled_labels", "true"): (
        "modules/test_controls", "with_shuffled_labels_a_model_knows_nothing_of_valid",
    ),
}  # fmt: skip


def test_the_page_is_what_the_command_writes():
    assert (DOCS / "modules.md").read_text(encoding="utf-8") == render_page(), "run `make docs`"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_kinds_of_a_family_are_its_registry(family):
    assert set(registry_of(family)) == set(kinds_of(family))


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_kind_says_what_it_is_with_formula_and_source(family, kind):
    module = registry_of(family)[kind]
    # Its own, not that of the class it derives from.
    assert not isinstance(module, type) or "__doc__" in vars(module)
    for said in (
        summarise_docstring(module),
        documented_paragraph(module, "Formula"),
        source_of_kind(family, kind),
    ):
        assert said
        assert "\n" not in said


def test_every_switch_outside_the_families_has_a_formula():
    for switch in (switch for switches in SWITCHES.values() for switch in switches):
        assert switch.formula or documented_paragraph(switch.module, "Formula"), switch


def test_every_switch_has_a_known_answer():
    others = [(switch.path, switch.on) for switches in SWITCHES.values() for switch in switches]
    assert list(KNOWN_ANSWERS) == [*KINDS, *others]
    for switch, (file, name) in KNOWN_ANSWERS.items():
        tree = ast.parse((TESTS / f"{file}.py").read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert f"test_{name}" in names, f"{switch}: {file} has no test of that name"


def test_every_option_of_every_kind_is_on_the_page():
    text = render_page()
    for path in fields_of(Config):
        if (option := kind_of_path(path)) and option[2] != "use":
            assert f"`{option[2]}` = " in text, path
    for path in fields_of(Config):
        if path.startswith(("missing.", "control.")):
            assert f"`{path}: " in text

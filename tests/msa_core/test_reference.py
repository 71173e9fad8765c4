"""The generated page of modules, and what every module owes to its reader."""

import ast
from pathlib import Path

import pytest

from msa_core.config import Config
from msa_core.config_kinds import FAMILIES, kind_of_path, kinds
from msa_core.config_paths import fields_of
from msa_core.reference import PAGES, SWITCHES, documented, page, summary

TESTS = Path(__file__).parent
DOCS = TESTS.parents[1] / "docs"
KINDS = [(family, kind) for family in FAMILIES for kind in kinds(family)]
# Family, kind (or switch) -> a test whose answer was known before: file and name.
KNOWN_ANSWERS = {
    ("encoder", "mean_mlp"): (
        "test_encoders", "the_mean_encoder_is_two_relu_layers_on_the_mean_of_the_valid_frames",
    ),
    ("encoder", "lstm"): (
        "test_encoders", "a_recurrence_written_out_step_by_step_is_the_fused_kernel",
    ),
    ("encoder", "gru"): (
        "test_encoders", "a_recurrence_written_out_step_by_step_is_the_fused_kernel",
    ),
    ("encoder", "conv"): ("test_encoders", "the_convolution_is_that_of_pytorch_on_each_utterance"),
    ("encoder", "transformer"): ("test_attention", "attention_is_that_of_pytorch"),
    ("fusion", "concat"): ("methods/test_12_operators", "concat_puts_the_vectors_side_by_side"),
    ("fusion", "sum"): (
        "methods/test_12_operators", "sum_fusion_is_the_mean_of_the_modalities_of_the_model",
    ),
    ("fusion", "gated"): ("methods/test_12_fusion", "equal_gates_give_the_mean"),
    ("fusion", "tfn"): (
        "methods/test_12_operators", "the_tensor_product_of_1_2_and_3_is_known",
    ),
    ("fusion", "lmf"): (
        "methods/test_12_fusion", "lmf_equals_the_tensor_product_contracted_with_its_factors",
    ),
    ("fusion", "mult"): ("methods/test_12_fusion", "constant_keys_give_the_mean_of_the_values"),
    ("fusion", "misa"): (
        "methods/test_12_fusion", "the_similarity_of_codes_shifted_by_0_3_is_known",
    ),
    ("fusion", "reorg_sum"): (
        "methods/test_06_unseen", "shares_add_up_to_1_so_the_slots_add_up_to_the_frames",
    ),
    ("alignment", "cov"): (
        "methods/test_01_main_paper", "cov_of_the_cross_with_its_double_is_a_half",
    ),
    ("alignment", "paircov"): (
        "methods/test_01_main_paper", "paircov_of_a_modality_with_its_negative_is_4",
    ),
    ("alignment", "cmd"): (
        "methods/test_12_operators", "cmd_of_points_at_half_and_of_the_same_halved_is_known",
    ),
    ("alignment", "mmd"): (
        "methods/test_01_main_paper", "mmd_of_two_points_is_known_whatever_their_distance",
    ),
    ("alignment", "rkd"): (
        "methods/test_03_relational",
        "the_half_circle_against_the_equilateral_triangle_is_known",
    ),
    ("alignment", "infonce"): (
        "methods/test_04_anchor", "two_orthonormal_matched_rows_give_the_known_value",
    ),
    ("alignment", "cca"): (
        "methods/test_01_main_paper",
        "cca_is_k_less_the_sum_of_the_k_largest_canonical_correlations",
    ),
    ("contrast", "anchor"): (
        "methods/test_04_anchor", "two_orthonormal_matched_rows_give_the_known_value",
    ),
    ("contrast", "views"): (
        "methods/test_08_mmcl",
        "two_identical_orthonormal_views_give_the_value_of_section_4",
    ),
    ("contrast", "instance"): (
        "methods/test_08_mmcl", "a_perfect_cross_modal_prediction_gives_the_value_of_section_4",
    ),
    ("contrast", "sentiment"): (
        "methods/test_08_mmcl", "equal_rows_give_the_logarithm_of_n_less_1",
    ),
    ("contrast", "icl"): (
        "methods/test_09_mclea", "equal_rows_give_the_logarithm_of_2_n_less_1",
    ),
    ("contrast", "ial"): (
        "methods/test_09_mclea", "a_modality_that_is_the_joint_representation_has_no_ial",
    ),
    ("contrast", "rbc"): (
        "methods/test_11_rbc",
        "a_single_tuple_that_is_its_own_only_candidate_gives_1_less_gamma_log_p",
    ),
    ("contrast", "bound"): (
        "methods/test_12_operators",
        "a_perfect_prediction_with_logvar_0_has_the_log_likelihood_0",
    ),
    ("contrast", "cpc"): (
        "methods/test_12_operators", "matched_orthonormal_rows_give_the_known_cpc",
    ),
    ("procedure", "joint"): (
        "test_parameters", "every_member_is_moved_as_by_an_adam_of_its_own",
    ),
    ("procedure", "mla"): (
        "methods/test_05_mla_procedure",
        "while_a_modality_steps_the_encoders_of_the_others_stay_bit_unchanged",
    ),
    ("procedure", "two_stage"): (
        "methods/test_12_two_stage",
        "the_first_pass_moves_the_estimators_alone_and_the_second_all_but_them",
    ),
    ("procedure", "stream"): (
        "methods/test_03_stream",
        "tasks_are_equal_quantile_ranges_of_the_label_in_rising_order",
    ),
    ("loss.unimodal.kind", "fixed"): (
        "test_objective",
        "every_unimodal_head_learns_the_multimodal_label_with_its_own_weight",
    ),
    ("loss.unimodal.target", "annotated"): (
        "test_controls", "annotated_heads_learn_the_data_s_own_labels",
    ),
    ("loss.unimodal.kind", "ulgm"): (
        "methods/test_10_ulgm", "the_distances_1_2_and_1_3_give_the_known_step_of_the_second_epoch",
    ),
    ("missing.frames", ""): ("methods/test_12_missing", "mask_rate_0_is_the_identity"),
    ("missing.modalities", ""): (
        "methods/test_12_missing", "moddrop_takes_each_modality_with_p_less_p_to_the_m_over_m",
    ),
    ("missing.protocol", "unseen"): (
        "methods/test_06_unseen_protocol",
        "modality_combinations_of_test_never_co_occur_in_training",
    ),
    ("control.placebo", "<any name>"): (
        "test_laws", "a_placebo_is_other_noise_in_the_same_model",
    ),
    ("control.unused", ""): (
        "test_controls", "unused_units_are_bit_identical_to_none_in_every_number",
    ),
    ("control.shuffled_labels", "true"): (
        "test_controls", "with_shuffled_labels_a_model_knows_nothing_of_valid",
    ),
}  # fmt: skip


def test_the_page_is_what_the_command_writes():
    assert (DOCS / "modules.md").read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_kinds_of_a_family_are_its_registry(family):
    assert set(PAGES[family].registry) == set(kinds(family))


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_kind_says_what_it_is_with_formula_and_source(family, kind):
    module = PAGES[family].registry[kind]
    # Its own, not that of the class it derives from.
    assert not isinstance(module, type) or "__doc__" in vars(module)
    for said in (summary(module), documented(module, "Formula"), documented(module, "Source")):
        assert said
        assert "\n" not in said


def test_every_switch_outside_the_families_has_a_formula_and_a_source():
    for switch in (switch for switches in SWITCHES.values() for switch in switches):
        for given, heading in ((switch.formula, "Formula"), (switch.source, "Source")):
            assert given or documented(switch.module, heading), switch


def test_every_switch_has_a_known_answer():
    others = [(switch.path, switch.on) for switches in SWITCHES.values() for switch in switches]
    assert list(KNOWN_ANSWERS) == [*KINDS, *others]
    for switch, (file, name) in KNOWN_ANSWERS.items():
        tree = ast.parse((TESTS / f"{file}.py").read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert f"test_{name}" in names, f"{switch}: {file} has no test of that name"


def test_every_option_of_every_kind_is_on_the_page():
    text = page()
    for path in fields_of(Config):
        if (option := kind_of_path(path)) and option[2] != "use":
            assert f"`{option[2]}` = " in text, path
    for path in fields_of(Config):
        if path.startswith(("missing.", "control.")):
            assert f"`{path}: " in text


def test_a_docstring_s_paragraph_is_read_to_its_end():
    def module():
        """Does it.

        Formula: a = b
        + c. With c above 0.

        Source: someone
            in 1999.

        Args:
            none: at all.
        """

    assert documented(module, "Formula") == "a = b + c"
    assert documented(module, "Source") == "someone in 1999"
    assert documented(module, "Raises") == ""

"""Study files that between them use every part that a study file has."""

DESIGNS = """\
study: designs
question: Does every design plan?
data: {planted: {world: synergy, train: 300}}
components:
  text: {off: {model.text.use: false}}
  audio:
    on: {model.audio.use: true}
    off: {model.audio.use: false}
  pair TA: {loss.alignment.text_audio.mode: shared}
  anchor: {on: {loss.contrast.anchor.use: true}}
  labels:
    loss.unimodal.kind: ulgm
    search: {loss.unimodal.text.weight: {log_uniform: [0.1, 1]}}
  rbc: {loss.contrast.rbc.use: true}
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-2]}
  loss.alignment.text_audio.weight: {log_uniform: [1e-2, 1e2]}
arms:
  - leave_one_out: [text, audio]
  - add_one_in: [labels, rbc]
    reference: neither
  - factorial: [pair TA, labels, rbc]
    exclude: {loss.contrast.rbc.use: true, loss.unimodal.kind: ulgm}
  - fractional: [anchor, pair TA, labels, rbc]
    resolution: IV
  - path: [rbc, labels]
    order: [labels, rbc]
    reference: start
  - path:
      from: {model.fusion.kind: concat, train.batch_size: 32}
      to: {model.fusion.kind: sum, train.batch_size: 64}
  - explicit:
      placebo: {control.placebo: sugar}
      narrow: {model.projection.width: 16, search: {model.fusion.width: {int: [8, 64], step: 8}}}
exclude:
  - loss.contrast.rbc.use and model.text.use == false
baseline: full
margin: {mae: 0.02}
claims:
  - without text is worse on mae by at least 0.01
  - placebo is equivalent to full within 0.05
budget: {candidates: 20, tune_seeds: 2, confirm_seeds: 9, max_wall_hours: 2.5}
"""

GRIDS = """\
study: grids
data:
  sets:
    mosi: {file: mosi.pkl, labels: mosi}
    mosei: {file: data/mosei.npz, labels: mosi, text_model: models/bert}
base: &base
  model.text.encoder: lstm
  train: {epochs: 20, patience: 4}
search:
  train.learning_rate: {choice: [0.001, 0.01]}
  model.fusion.dropout: {uniform: [0, 0.5], step: 0.1}
  model.fusion.lmf.rank: {int: [2, 8], when: {model.fusion.kind: lmf}}
  model.fusion.width: {int: [8, 64], step: 8, when: model.fusion.dropout >= 0.2}
constraints:
  - model.fusion.width >= 2 * model.projection.width or model.fusion.kind != concat
  - {train.batch_size: [16, 32]}
start:
  - {train.learning_rate: 0.001, model.fusion.dropout: 0.1}
  - {train.learning_rate: 0.01}
arms:
  - product:
      - grid:
          model.fusion.kind: [concat, lmf, sum]
          size:
            small: {model.projection.width: 4}
            large: {model.projection.width: 16}
        reference: fusion concat, small
        exclude: {model.fusion.kind: sum, model.projection.width: 16}
      - union:
          - pairs: {modes: [off, shared], measures: [cov, mmd], pairs: [text_audio, audio_vision]}
          - explicit: {labels: {loss.unimodal.kind: fixed}}
  - one_at_a_time:
      features.standardise: [false]
      control:
        placebo: {control.placebo: sugar}
    reference: plain
baseline: fusion concat, small / no pair
metric: corr
second_metric: parameters
sampler: grid
retune: both
budget: {candidates: 12, seed: 7, generation: 4}
"""

SECONDS = """\
study: seconds
question: What is worth its seconds?
data: planted
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-2]}
  train.weight_decay: {uniform: [0, 0.1]}
  model.fusion.kind: {choice: [concat, gated, sum]}
start: {train.learning_rate: 1e-3}
constraints: train.learning_rate <= 0.005 or train.weight_decay > 0.01
arms:
  - factorial:
      anchor: {loss.contrast.anchor.use: true}
      icl: {loss.contrast.icl.use: true}
  - pairs: {pairs: [text_vision]}
    reference: neither
second_metric: mae
metric: acc7
retune: false
sampler: nsga2
claims: [anchor is better than icl on corr]
budget:
  device_seconds: 30.5
  scheduler: bracket
  bracket: 6
  max_device_hours: 1
"""

STUDIES = {"designs": DESIGNS, "grids": GRIDS, "seconds": SECONDS}

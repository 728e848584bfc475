#!/usr/bin/env bash
# The study of merging on the demo base: headline with three seeds, baselines up to full fine-tuning, data curve,
# training for mergeability, when to merge; tables, pictures and numbers of docs/results/modular_study.*.
# Arguments go to runs/modular_study.py: groups or names of steps, options; --smoke runs all in about two minutes
# with a few rows. The same command goes on after a stop.
set -euo pipefail
cd "$(dirname "$0")/.."
export LINGRAFT_DATA=${LINGRAFT_DATA:-../shared/data}
data=$LINGRAFT_DATA/tatoeba out=runs/out/modular_study docs=docs/results trials=30 limit=300
languages="deu_Latn epo_Latn fra_Latn rus_Cyrl"
for option in "$@"; do
  if [ "$option" = --smoke ]; then
    out=runs/out/modular_study_smoke docs=runs/out/modular_study_smoke/docs trials=2 limit=30 languages="deu_Latn epo_Latn"
  fi
done
.venv/bin/python runs/modular_study.py --data "$data" "$@"
library=$out/libraries/bridged-1
if [ -f "$out/results/headline/bridged-1.json" ] && [ ! -f "$out/searched" ]; then
  directions=""
  for a in $languages; do
    for b in $languages; do
      if [ "$a" != "$b" ]; then directions="$directions $a-$b"; fi
    done
  done
  mkdir -p "$docs"
  # shellcheck disable=SC2086
  .venv/bin/lingraft search $directions --library "$library" --testset "$data/multi/dev.{lang}.txt.gz" \
    --trials "$trials" --limit "$limit" --save --json "$out/search.json" \
    --svg "$docs/modular_study-search.svg"
  touch "$out/searched"
  .venv/bin/python runs/modular_study.py --data "$data" "$@" # what the recipes give on test
fi
.venv/bin/python runs/modular_study_report.py "$out" "$docs"

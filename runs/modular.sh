#!/usr/bin/env bash
# The real run: add German, Esperanto, French and Russian to the demo base from English pairs alone, and measure
# all directions on Tatoeba test. Four libraries: scoped with bridged rows, in steps of 16 and of 64 rows; scoped
# without; everywhere, as in the paper, used with the one ratio that is best on dev. About four hours on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${LINGRAFT_DATA:-../shared/data}/tatoeba
out=${1:-runs/out/modular}
mkdir -p "$out"
languages="deu_Latn epo_Latn fra_Latn rus_Cyrl"
add() {
  name=$1
  shift
  # shellcheck disable=SC2086
  .venv/bin/lingraft add $languages --base demo --library "$out/$name" \
    --pairs "$data/train/{a}-{b}.tsv.gz" --dev "$data/dev/{a}-{b}.tsv.gz" fit.learning_rate=4e-3 "$@"
}
score() {
  name=$1
  shift
  .venv/bin/lingraft measure --library "$out/$name" --testset "$data/multi/test.{lang}.txt.gz" "$@"
}
add bridged fit.bridge=0.75 fit.epochs=4 fit.rows=16
add bridged-64 fit.bridge=0.75 fit.epochs=4 fit.rows=64
add span fit.epochs=3 fit.rows=64
add everywhere fit.scope=everywhere fit.epochs=3 fit.rows=64
# The one ratio of the plain merge is chosen on dev: 200 sentences, both weights alike.
for weight in 0.4 0.5 0.6 0.7 0.8 0.9 1.0; do
  .venv/bin/lingraft measure --library "$out/everywhere" --testset "$data/multi/dev.{lang}.txt.gz" --limit 200 \
    --via direct recipe.source=$weight recipe.target=$weight --json "$out/dev-everywhere-$weight.json" >/dev/null
done
best=$(.venv/bin/python runs/best_ratio.py "$out"/dev-everywhere-*.json)
score bridged --json "$out/bridged.json" --html "$out/bridged.html"
score bridged-64 --via direct,pivot --json "$out/bridged-64.json"
score span --via direct,pivot --json "$out/span.json"
score everywhere --via direct,pivot --json "$out/everywhere.json"
score everywhere --via direct --json "$out/everywhere-best.json" recipe.source="$best" recipe.target="$best"
mkdir -p docs/results
.venv/bin/python runs/modular_report.py "$out" docs/results > "$out/tables.md"

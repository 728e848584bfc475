#!/usr/bin/env bash
# The real run: add German, Esperanto, French and Russian to the demo base from English pairs alone, once
# with adapters on their own spans and once everywhere, and measure all directions on Tatoeba test.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${LINGRAFT_DATA:-../shared/data}/tatoeba
out=${1:-runs/out/modular}
mkdir -p "$out"
languages="deu_Latn epo_Latn fra_Latn rus_Cyrl"
settings=${SETTINGS:-fit.epochs=3 fit.learning_rate=4e-3 fit.tokens=8000}
for scope in span everywhere; do
  # shellcheck disable=SC2086
  .venv/bin/lingraft add $languages --base demo --library "$out/$scope" \
    --pairs "$data/train/{a}-{b}.tsv.gz" --dev "$data/dev/{a}-{b}.tsv.gz" fit.scope=$scope $settings
done
# The one ratio of the plain merge is chosen on dev: 200 sentences, both weights alike.
for weight in 0.4 0.5 0.6 0.7 0.8 0.9 1.0; do
  .venv/bin/lingraft measure --library "$out/everywhere" --testset "$data/multi/dev.{lang}.txt.gz" --limit 200 \
    --via direct recipe.source=$weight recipe.target=$weight --json "$out/dev-everywhere-$weight.json" >/dev/null
done
best=$(.venv/bin/python runs/best_ratio.py "$out"/dev-everywhere-*.json)
.venv/bin/lingraft measure --library "$out/span" --testset "$data/multi/test.{lang}.txt.gz" \
  --json "$out/span.json" --html "$out/span.html"
.venv/bin/lingraft measure --library "$out/everywhere" --testset "$data/multi/test.{lang}.txt.gz" \
  --json "$out/everywhere.json" --html "$out/everywhere.html"
.venv/bin/lingraft measure --library "$out/everywhere" --testset "$data/multi/test.{lang}.txt.gz" --via direct \
  recipe.source="$best" recipe.target="$best" --json "$out/everywhere-best.json"
mkdir -p docs/results
.venv/bin/python runs/modular_report.py "$out" docs/results > "$out/tables.md"

#!/usr/bin/env bash
# Scoped against plain merging at a small, equal budget: 3,000 English pairs per language, 2 epochs, on dev.
# For plain merging the one weight of both roles is swept.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${LINGRAFT_DATA:-../shared/data}/tatoeba
out=${1:-runs/out/small}
languages="deu_Latn epo_Latn fra_Latn rus_Cyrl"
for split in train:3000 dev:300; do
  folder="$out/text/${split%:*}"
  mkdir -p "$folder"
  for code in $languages; do
    pair=$(printf '%s\n' "$code" eng_Latn | sort | paste -sd-)
    python3 -c 'import gzip, itertools, sys
with gzip.open(sys.argv[1], "rt", encoding="utf-8") as lines:
    sys.stdout.writelines(itertools.islice(lines, int(sys.argv[2])))' \
      "$data/${split%:*}/$pair.tsv.gz" "${split#*:}" > "$folder/$pair.tsv"
  done
done
for scope in span everywhere; do
  # shellcheck disable=SC2086
  .venv/bin/lingraft add $languages --base demo --library "$out/$scope" --pairs "$out/text/train/{a}-{b}.tsv" \
    --dev "$out/text/dev/{a}-{b}.tsv" fit.scope=$scope fit.epochs=2 fit.rows=32 fit.learning_rate=4e-3
  .venv/bin/lingraft measure --library "$out/$scope" --testset "$data/multi/dev.{lang}.txt.gz" --limit 200 \
    --via direct,pivot --json "$out/$scope.json"
done
for weight in 0.4 0.5 0.6 0.7 0.85; do
  .venv/bin/lingraft measure --library "$out/everywhere" --testset "$data/multi/dev.{lang}.txt.gz" --limit 200 \
    --via direct recipe.source=$weight recipe.target=$weight --json "$out/everywhere-$weight.json"
done

#!/usr/bin/env bash
# Language-specific LoRA beside its baselines, on the base of runs/seq2seq_base.sh: data, weight learning, demand,
# systems, report. Options go to runs/lslo.py, e.g. --epochs 10 --limit 200; --smoke tries everything in two minutes
# on a tiny random base. The same command goes on after a stop.
set -euo pipefail
cd "$(dirname "$0")/.."
out=runs/out/lslo docs=docs/results
for option in "$@"; do
  if [ "$option" = --smoke ]; then out=runs/out/lslo_smoke docs=runs/out/lslo_smoke/docs; fi
done
if [ ! -d "$out/data/test" ]; then
  .venv/bin/python runs/lslo_data.py --data "${LINGRAFT_DATA:-../shared/data}/tatoeba" --out "$out/data"
fi
.venv/bin/python runs/lslo.py learn demand base full body shared equal learned pruned --out "$out" "$@"
.venv/bin/python runs/lslo_report.py "$out" "$docs"

#!/usr/bin/env bash
# All of docs/reproduce.md on one machine with one or two GPUs, in one go: the main tables on StreetSim's whole test
# split, the others on its first half, SAVOS of the released size, and the weights that single rows need. Tables that
# read shipped weights alone run while the others' are being trained, the most important ones first.
#
#   scripts/reproduce_on_gpu.sh          planned to fit 25 minutes on two H200 with 32 cores
#   HALF= scripts/reproduce_on_gpu.sh    all tables on the whole split; the cores need about twice as long
#   TOY=1 scripts/reproduce_on_gpu.sh    the same at toy sizes on a CPU, some ten minutes
#
# Every part is phases of scripts/train_on_gpu.sh, which tells what the variables mean; what is finished is not repeated.
# Start it in a copy of the tree that nothing changes meanwhile: processes read the package when they start.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUN=${RUN:-runs/gpu} TRACK_FLAGS=
if [ -n "${TOY:-}" ]; then
  export TABLE_FLAGS="--seeds 1" SAVOS="--steps 3 --clips 6 --batch 2 --length 6 --held_out 2 --validations 1 --device cpu"
  cores=2 most=2 some=1 HALF=
else
  export TRAIN=${TRAIN:-2000} TRACKS=${TRACKS:-700} TABLE_STEPS=${TABLE_STEPS:-600}
  export SAVOS=${SAVOS:---minutes 5 --clips 400} RESAMPLES=${RESAMPLES:-100}
  export TABLE_FLAGS=${TABLE_FLAGS:-}
  cores=$(env -u OMP_NUM_THREADS nproc) HALF=${HALF---clips 0:32}
  most=$((cores * 3 / 4 + 2)) some=$((cores > 4 ? cores / 4 : 1))
fi
last=$(($({ nvidia-smi -L 2>/dev/null || true; } | wc -l) - 1))
job() { OMP_NUM_THREADS=1 scripts/train_on_gpu.sh "$@"; }

shipped() {
  local tables
  EXPERIMENTS=experiments-shipped TABLES=table1,table2,methods,figures WORKERS=$most job tables
  for tables in table5,table6,table4,tracking matrix; do
    TABLE_FLAGS="$TABLE_FLAGS $HALF" EXPERIMENTS=experiments-shipped TABLES=$tables WORKERS=$most job tables
  done
}
# On the last GPU.
savos() {
  WORKERS=$some job tracks
  CUDA_VISIBLE_DEVICES=$((last < 0 ? 0 : last)) SAVOS_SIZES=released WORKERS=$some job savos
  EXPERIMENTS=experiments-savos TABLES=savos WORKERS=$some \
    WEIGHTS="--weights.savos_released=$RUN/train/streetsim-savos.safetensors" job tables
}
# On the first GPU; a row's training is the length of a few minutes' tables.
trained() {
  SPLITS=train WORKERS=$some job render
  TABLE_FLAGS="$TABLE_FLAGS $HALF" EXPERIMENTS=experiments-trained TABLES=table3,tuning WORKERS=$some job tables
}

main() {
  local part parts=() failed=0
  SPLITS=test WORKERS=$cores job render
  for part in shipped trained savos; do
    "$part" &
    parts+=($!)
  done
  for part in "${parts[@]}"; do wait "$part" || failed=1; done
  job collect
  return $failed
}

main "$@"
exit

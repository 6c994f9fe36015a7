#!/usr/bin/env bash
# All of docs/reproduce.md on one machine with one or two GPUs, in one go: StreetSim's whole test split with every table
# and figure, two more training seeds of the amodal stage, SAVOS in two sizes, and the weights that single rows need.
# Tables that read shipped weights alone start while the others' are being trained.
#
#   scripts/reproduce_on_gpu.sh          about 25 minutes on two H200 with 32 cores
#   TOY=1 scripts/reproduce_on_gpu.sh    the same at toy sizes on a CPU, some ten minutes
#
# Every part is a phase of scripts/train_on_gpu.sh, which tells what the variables mean; finished ones are not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUN=${RUN:-runs/gpu} START="--init streetsim-small" SEEDS="1 2" CACHED="train val" TRACK_FLAGS= MODEL="--size small"
if [ -n "${TOY:-}" ]; then
  export TABLE_FLAGS="--seeds 1"
  cores=2 share=1 AMOUNT="--steps 3 --clips 6 --batch 2 --length 6 --held_out 2 --validations 1 --device cpu --log_every 1"
else
  cores=$(env -u OMP_NUM_THREADS nproc) share=$((cores / 2))
  export TRAIN=${TRAIN:-2000} VAL=${VAL:-8} TRACKS=${TRACKS:-700} TABLE_STEPS=${TABLE_STEPS:-600}
fi
last=$(($({ nvidia-smi -L 2>/dev/null || true; } | wc -l) - 1))
job() { OMP_NUM_THREADS=1 scripts/train_on_gpu.sh "$@"; }
on_last() { CUDA_VISIBLE_DEVICES=$((last < 0 ? 0 : last)) "$@"; }
trained() { echo "$RUN/train/streetsim-$1.safetensors"; }

savos() {
  SAVOS_SIZES=small SAVOS=${SAVOS_SMALL:-${AMOUNT:---minutes 4 --clips 400}} on_last job savos
  touch "$RUN/savos-small.done"
  SAVOS_SIZES=released SAVOS=${SAVOS_RELEASED:-${AMOUNT:---minutes 5 --clips 400}} on_last job savos
  EXPERIMENTS=experiments-savos TABLES=savos WORKERS=$share \
    WEIGHTS="--weights.savos=$(trained savos-small) --weights.savos_released=$(trained savos)" job tables
}
shipped() {
  EXPERIMENTS=experiments-shipped TABLES=table4,tracking,table5,table6,matrix WORKERS=$share job tables
}
needing() {
  EXPERIMENTS=experiments-trained TABLES=tuning,table3 WORKERS=$share job tables
}
seeds() {
  SPLITS=train WORKERS=$cores job render cache seeds
  needing &
  local others=$!
  until [ -e "$RUN/savos-small.done" ]; do sleep 1; done
  EXPERIMENTS=experiments-main TABLES=table1,table2,methods,figures WORKERS=$((cores * 3 / 4 > 0 ? cores * 3 / 4 : 1)) \
    WEIGHTS="--weights.sam=streetsim-small,$(trained small-seed1),$(trained small-seed2) --weights.savos=$(trained savos-small)" job tables
  wait "$others"
}

main() {
  SPLITS="val test" WORKERS=$cores job render
  shipped &
  local parts=($!)
  WORKERS=$cores job tracks
  savos &
  parts+=($!)
  seeds &
  parts+=($!)
  local part failed=0
  for part in "${parts[@]}"; do wait "$part" || failed=1; done
  job collect
  return $failed
}

main "$@"
exit

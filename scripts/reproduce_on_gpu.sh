#!/usr/bin/env bash
# All of docs/reproduce.md on one machine with GPUs, in one go: every table on StreetSim's whole test split, SAVOS of the
# released size, the weights that single rows need, and, where there are four GPUs, a point tracker for the matrix of
# front ends and trackers. Tables that read shipped weights alone run while the others' are being trained, the most
# important ones first.
#
#   scripts/reproduce_on_gpu.sh                      planned to fit 25 minutes on four H100 or H200 with 64 cores
#   HALF="--clips 0:32" scripts/reproduce_on_gpu.sh  all but the main tables on the first half: two GPUs with 32 cores
#   TOY=1 scripts/reproduce_on_gpu.sh                the same at toy sizes on a CPU, some twenty minutes
#
# Every part is phases of scripts/train_on_gpu.sh, which tells what the variables mean; what is finished is not repeated.
# Start it in a copy of the tree that nothing changes meanwhile: processes read the package when they start.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUN=${RUN:-runs/gpu} TRACK_FLAGS=--points HALF=${HALF:-}
gpus=$({ nvidia-smi -L 2>/dev/null || true; } | wc -l) cores=$(env -u OMP_NUM_THREADS nproc)
if [ -n "${TOY:-}" ]; then
  export TABLE_FLAGS="--seeds 1" SAVOS="--steps 3 --clips 6 --batch 2 --length 6 --held_out 2 --validations 1 --device cpu"
  gpus=4 cores=2 most=2 some=1
else
  export TRAIN=${TRAIN:-2000} TRACKS=${TRACKS:-1000} TABLE_STEPS=${TABLE_STEPS:-1000}
  export SAVOS=${SAVOS:---minutes 5 --clips 400} TRACKER=${TRACKER:---minutes 12} RESAMPLES=${RESAMPLES:-100}
  export TABLE_FLAGS=${TABLE_FLAGS:-}
  most=$((cores * 3 / 4 + 2)) some=$((cores / 4 + 1))
fi
job() { OMP_NUM_THREADS=1 ${NICE:-} scripts/train_on_gpu.sh "$@"; }
tables() { EXPERIMENTS=experiments-$1 TABLES=$2 job tables; }
# on N COMMAND…: on the N-th GPU, or the last.
on() { CUDA_VISIBLE_DEVICES=$(($1 < gpus ? $1 : (gpus ? gpus - 1 : 0))) "${@:2}"; }

# Trainings before tables, where both want a core.
shipped() {
  NICE=nice WORKERS=$most tables shipped table1,table2,methods,figures
  TABLE_FLAGS="$TABLE_FLAGS $HALF" NICE=nice WORKERS=$most tables shipped table5,table6,table4,tracking
}
# TABLES GPU: rows of these are trained, a minute or two each.
trained() { TABLE_FLAGS="$TABLE_FLAGS $HALF" WORKERS=$some on "$2" tables "${1//,/-}" "$1"; }
rows() {
  SPLITS=train WORKERS=$some job render
  if [ "$gpus" -lt 4 ]; then
    trained table3,tuning 0
  else
    together "trained table3 0" "trained tuning 1"
  fi
}
savos() {
  SAVOS_SIZES=released WORKERS=$some on 2 job savos
  WEIGHTS="--weights.savos_released=$RUN/train/streetsim-savos.safetensors" WORKERS=$some tables savos savos
}
clips() {
  WORKERS=$some job tracks
  if [ "$gpus" -lt 4 ]; then savos; else together savos "on 3 job tracker"; fi
}
matrix() {
  local points="$RUN/train/streetsim-points.safetensors" weights=
  if [ -e "$points" ]; then weights="--weights.cotracker3=$points"; fi
  TABLE_FLAGS="$TABLE_FLAGS $HALF" WEIGHTS=$weights WORKERS=$most tables shipped matrix
  if [ -e "$points" ]; then POINT_WORKERS=$most WORKERS=$most job points; fi
}

# Commands side by side, or one after the other where memory is small; fails where one did, after all have ended.
together() {
  local one pids=() failed=0
  for one in "$@"; do
    $one &
    pids+=($!)
    if [ -n "${TOY:-}" ]; then wait $! || failed=1; fi
  done
  for one in "${pids[@]}"; do wait "$one" || failed=1; done
  return $failed
}

main() {
  local failed=0
  SPLITS=test WORKERS=$cores job render
  together shipped rows clips || failed=1
  matrix || failed=1
  job collect
  return $failed
}

main "$@"
exit

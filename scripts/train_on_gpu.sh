#!/usr/bin/env bash
# The whole job behind the embedded weights, on one GPU: render StreetSim, prepare it, train the visible and the
# amodal stage, compare adapters trained / not trained / none over three seeds, run ViT-B for a minute by the paper's
# and the released recipe, and collect what is worth keeping in $RUN/fetch. The point tracker is a job of its own.
#
#   scripts/train_on_gpu.sh                  everything for the amodal SAM
#   SILHOUETTES=coco.json,person:masks scripts/train_on_gpu.sh render complete scores    the completer, two seeds, as
#                                            shipped, and what it scores on the test split; with REAL=FOLDER on real
#                                            pictures, too
#   scripts/train_on_gpu.sh tracks tracker points   the point tracker: render its clips and the test split's points,
#                                            train it, and compare point trackers on the test split
#   scripts/train_on_gpu.sh render vis vis_scores    VidEoMT, the front end from pixels alone, and its scores on the
#                                            validation split; with tracks before it, on those clips too
#   scripts/train_on_gpu.sh tracks centers   the front end on the SAM's embedding, longer than a CPU would
#   scripts/train_on_gpu.sh tracks savos     SAVOS in the released and in our small size, on the same clips
#   scripts/train_on_gpu.sh render cache     some phases: render cache visible amodal ablation vit_b collect, and
#                                            paper (the amodal stage by the paper's settings), which is not in "everything"
#   scripts/train_on_gpu.sh render visible paste    the amodal stage from visible masks alone, measured with true ones
#   START="--init streetsim-small" SEEDS=1 scripts/train_on_gpu.sh render cache seeds    more training seeds of the amodal
#                                            stage, as many steps each as the shipped weights have
#   scripts/train_on_gpu.sh render tables    every table and figure of docs/reproduce.md, on the whole test split; see
#                                            scripts/reproduce_on_gpu.sh, which trains meanwhile
#   TOY=1 scripts/train_on_gpu.sh            the same in about three minutes on a CPU, at toy sizes
#
# Phases joined by a plus run side by side, as in vis+savos; on a machine of two GPUs start the script twice, each with
# its own CUDA_VISIBLE_DEVICES. VISIBLE_FLAGS="--init streetsim-small --adapters none" trains the visible stage on from
# the shipped encoder; START="--init streetsim-small" leaves it out. TRACK_FLAGS= renders
# clips without the points that only the point tracker needs. A phase whose output exists is skipped and an interrupted
# training goes on, so the same command can be given again after an interruption. Sizes are
# variables, see below. SPLITS="test" renders some splits, CACHED="train val" prepares some; TABLES are named as for
# `samodal experiments`, their results go to $RUN/$EXPERIMENTS, WEIGHTS="--weights.sam=…" and TABLE_FLAGS are added to the
# command. SAMODAL_COMMIT names the commit in a copy without .git. Needs
# Python with torch, transformers, accelerate, and panda3d for rendering.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
RUN=${RUN:-runs/gpu}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
RECIPES=src/samodal/training/recipes
VISIBLE_FLAGS=${VISIBLE_FLAGS:-}
TRACK_FLAGS=${TRACK_FLAGS---points}

if [ -n "${TOY:-}" ]; then
  TRAIN=${TRAIN:-6} VAL=${VAL:-1} TEST=${TEST:-1} FEW=${FEW:-2} WORKERS=${WORKERS:-2} JOBS=${JOBS:-1}
  VISIBLE=${VISIBLE:-0.3} AMODAL=${AMODAL:-0.2} ABLATION_STEPS=${ABLATION_STEPS:-3} VIT_STEPS=${VIT_STEPS:-2} SEEDS=${SEEDS:-0}
  TABLES=${TABLES:-table1,table2} TABLE_STEPS=${TABLE_STEPS:-2} TABLE_DEVICE=${TABLE_DEVICE:-cpu}
  RESAMPLES=${RESAMPLES:-0} SEED_STEPS=${SEED_STEPS:-2}
  TRACKS=${TRACKS:-6} POINT_CLIPS=${POINT_CLIPS:-0:1}
  TRACKER=${TRACKER:---steps 3 --batch 2 --instances 3 --held_out 2 --device cpu --precision float32 --log_every 1}
  VIS=${VIS:---size mini --steps 3 --batch 4 --device cpu --precision float32 --log_every 1}
  CENTERS=${CENTERS:---steps 3 --augment --held_out 2 --device cpu --log_every 1}
  SAVOS=${SAVOS:---steps 3 --clips 6 --batch 2 --length 6 --held_out 2 --validations 1 --device cpu --log_every 1}
  COMPLETE=${COMPLETE:---steps 3 --batch 8 --warmup 1 --device cpu --log_every 1}
  MODEL=${MODEL:---size tiny} TUNING="--device cpu --precision float32 --frames 4 --instances 4 --log_every 10 --warmup 10"
  VIT="--size tiny --device cpu"
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
else
  TRAIN=${TRAIN:-5000} VAL=${VAL:-40} TEST=${TEST:-64} FEW=${FEW:-100} WORKERS=${WORKERS:-16} JOBS=${JOBS:-3}
  VISIBLE=${VISIBLE:-8} AMODAL=${AMODAL:-4} ABLATION_STEPS=${ABLATION_STEPS:-} VIT_STEPS=${VIT_STEPS:-1000} SEEDS=${SEEDS:-0 1 2}
  TABLES=${TABLES:-all} TABLE_STEPS=${TABLE_STEPS:-1000} TABLE_DEVICE=${TABLE_DEVICE:-auto}
  RESAMPLES=${RESAMPLES:-200} SEED_STEPS=${SEED_STEPS:-1670}
  TRACKS=${TRACKS:-2000} POINT_CLIPS=${POINT_CLIPS:-0:64} TRACKER=${TRACKER:---minutes 14}
  VIS=${VIS:---minutes 18 --init streetsim-small} CENTERS=${CENTERS:---minutes 8 --augment --width 96 --batch 32 --lr 4e-3 --warmup 300}
  SAVOS=${SAVOS:---minutes 8 --clips 400} COMPLETE=${COMPLETE:---minutes 8.5 --first 2610 --turned 4}
  MODEL=${MODEL:---size small} TUNING="--log_every 50" VIT="--size vit_b"
fi
CACHED=${CACHED:-train val test} WEIGHTS=${WEIGHTS:-} TABLE_FLAGS=${TABLE_FLAGS:-}
DATA="--data streetsim:$RUN/data/train --val streetsim:$RUN/data/val
  --cache $RUN/cache/train.pt --val_cache $RUN/cache/val.pt --workers $WORKERS"
if [[ $CACHED == *test* ]]; then DATA+=" --test streetsim:$RUN/data/test --test_cache $RUN/cache/test.pt"; fi

samodal() { "$PYTHON" -m samodal "$@"; }

# train RECIPE NAME FLAGS…: skipped where the card of an earlier run lies, which is written last.
train() {
  local recipe=$1 name=$2
  shift 2
  if [ -e "$RUN/train/$name.md" ]; then return; fi
  samodal train --config "$RECIPES/$recipe.yaml" --name "$name" --out "$RUN/train" "$@" >>"$RUN/logs/$name.log" 2>&1
}

# Start a command beside at most JOBS - 1 others; finish waits for all, and fails where one did.
pids=()
parallel() {
  while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do sleep 0.5; done
  "$@" &
  pids+=($!)
}
finish() {
  local pid
  for pid in "${pids[@]}"; do wait "$pid"; done
  pids=()
}

render() {
  local part
  for part in "train $TRAIN" "val $VAL" "test $TEST"; do
    set -- $part
    if [[ " ${SPLITS:-train val test} " != *" $1 "* || -e "$RUN/data/$1.done" ]]; then continue; fi
    samodal synth --out "$RUN/data" --split "$1" --count "$2" --workers "$WORKERS" >>"$RUN/logs/render.log" 2>&1
    touch "$RUN/data/$1.done"
  done
}

cache() {
  # Not from standard input: the processes that prepare the data must be able to import the main module.
  "$PYTHON" -c "
import sys
from pathlib import Path
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.training.sam.cache import open_cache
run, size, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for part in sys.argv[4].split():
    made = open_cache(f'streetsim:{run}/data/{part}', AmodalSamConfig.named(size).transform,
                      path=run / 'cache' / f'{part}.pt', centres=part != 'train', workers=workers)
    print(part, made.counts, f'{made.nbytes() / 1e9:.2f} GB', flush=True)
" "$RUN" "${MODEL#--size }" "$WORKERS" "$CACHED" >>"$RUN/logs/cache.log" 2>&1
}

visible() { train streetsim-visible streetsim-visible $DATA $MODEL $TUNING --minutes "$VISIBLE" $VISIBLE_FLAGS; }

start=${START:---init $RUN/train/streetsim-visible.safetensors}

amodal() { train streetsim-amodal streetsim-small $DATA $TUNING $start --minutes "$AMODAL"; }

seeds() {
  local seed
  for seed in $SEEDS; do
    train streetsim-amodal "streetsim-small-seed$seed" $DATA $TUNING $start --minutes 0 --steps "$SEED_STEPS" --seed "$seed"
  done
}

# The recipe of the shipped completer. The training needs no pictures: neither those of the data nor of silhouettes.
complete() {
  local seed
  for seed in ${COMPLETE_SEEDS:-0 1}; do
    if [ -e "$RUN/train/streetsim-complete-seed$seed.md" ]; then continue; fi
    samodal train completion --name "streetsim-complete-seed$seed" --out "$RUN/train" --seed "$seed" --workers "$WORKERS" \
      --data "streetsim:$RUN/data/train" --cache "$RUN/cache/complete-train.pt" \
      --val "streetsim:$RUN/data/val" --val_cache "$RUN/cache/complete-val.pt" \
      ${SILHOUETTES:+--silhouettes "$SILHOUETTES"} $COMPLETE >>"$RUN/logs/complete-$seed.log" 2>&1
  done
}

scores() {
  local seed weights
  for seed in ${COMPLETE_SEEDS:-0 1}; do
    weights=$RUN/train/streetsim-complete-seed$seed.safetensors
    samodal run --data "streetsim:$RUN/data/test" --vis truth --segmenter "completion:$weights" --out "$RUN/complete/$seed" \
      --no-overlay --no-report --workers "$WORKERS" >>"$RUN/logs/scores.log" 2>&1
    samodal evaluate "$RUN/complete/$seed" --truth "streetsim:$RUN/data/test" --json "$RUN/complete/$seed.json" \
      | tee -a "$RUN/logs/scores.log"
    if [ -n "${REAL:-}" ]; then
      samodal experiments real --root "$REAL" "--weights.completion=$weights" --out "$RUN/complete/real-$seed" \
        --workers "$WORKERS" >>"$RUN/logs/scores.log" 2>&1
    fi
  done
}

paper() { train streetsim-amodal-paper streetsim-small-paper $DATA $TUNING $start --minutes "$AMODAL"; }

# Caches of its own: amodal masks are read for the test at the end, and not before.
paste() {
  train streetsim-pasted streetsim-pasted $DATA $TUNING $start --minutes "$AMODAL" \
    --cache "$RUN/cache/pasted-train.pt" --val_cache "$RUN/cache/pasted-val.pt"
}

# A tracker sees frames of 256x448: rendering them at 270x480 takes a third of the time.
tracks() {
  if [ ! -e "$RUN/data/tracks.done" ]; then
    samodal synth --out "$RUN/data" --split tracks --count "$TRACKS" --workers "$WORKERS" $TRACK_FLAGS \
      --height 270 --width 480 >>"$RUN/logs/tracks.log" 2>&1
    touch "$RUN/data/tracks.done"
  fi
}

tracker() {
  if [ -e "$RUN/train/streetsim-points.md" ]; then return; fi
  samodal train tracker --data "streetsim:$RUN/data/tracks" --name streetsim-points --out "$RUN/train" \
    --workers "$WORKERS" $TRACKER >>"$RUN/logs/tracker.log" 2>&1
}

points() {
  samodal synth --out "$RUN/points" --split test --count "$TEST" --workers "$WORKERS" --points \
    >>"$RUN/logs/points.log" 2>&1
  samodal experiments points --data "streetsim:$RUN/points/test" --clips "$POINT_CLIPS" --seeds 3 \
    --weights.cotracker3="$RUN/train/streetsim-points.safetensors" --out "$RUN/experiments-points" \
    --workers "${POINT_WORKERS:-4}" --device "$TABLE_DEVICE" >>"$RUN/logs/points.log" 2>&1
}

# Frames of a second apart at full size, clips at 10 frames a second, or both: what was rendered.
vis() {
  if [ -e "$RUN/train/streetsim-vis.md" ]; then return; fi
  local part data= val=
  for part in train tracks; do
    if [ -e "$RUN/data/$part.done" ]; then data="${data:+$data,}streetsim:$RUN/data/$part"; fi
  done
  if [ -e "$RUN/data/val.done" ]; then val="--val streetsim:$RUN/data/val"; fi
  samodal train vis --data "$data" $val --name streetsim-vis --out "$RUN/train" \
    --workers "$WORKERS" $VIS >>"$RUN/logs/vis.log" 2>&1
}

centers() {
  if [ -e "$RUN/train/streetsim-centers.md" ]; then return; fi
  samodal train centers --data "streetsim:$RUN/data/tracks" --name streetsim-centers --out "$RUN/train" \
    --workers "$WORKERS" $CENTERS >>"$RUN/logs/centers.log" 2>&1
}

# Both at once where JOBS allows it, each with its own copy of the clips: 20 GB of main memory for 400 of them.
savos() {
  local size name
  for size in ${SAVOS_SIZES:-released small}; do
    name=streetsim-savos
    if [ "$size" != released ]; then name=streetsim-savos-$size; fi
    if [ -e "$RUN/train/$name.md" ]; then continue; fi
    parallel savos_of "$size" "$name"
  done
  finish
}
savos_of() {
  samodal train savos --data "streetsim:$RUN/data/tracks" --size "$1" --name "$2" --out "$RUN/train" \
    --workers "$WORKERS" $SAVOS >>"$RUN/logs/savos-$1.log" 2>&1
}

# Visible AP of what a run reports, and of what it could report: AP ranks unlikely instances too.
vis_scores() {
  local score
  for score in 0.5 0.1; do
    samodal run --data "streetsim:$RUN/data/val" --method copy-visible --no-overlay --out "$RUN/vis/$score" \
      --vis "videomt:$RUN/train/streetsim-vis.safetensors,score=$score" --workers "$JOBS" >>"$RUN/logs/vis_scores.log" 2>&1
    samodal evaluate "$RUN/vis/$score" --truth "streetsim:$RUN/data/val" --masks visible --json "$RUN/vis/scores-$score.json" \
      | tee -a "$RUN/logs/vis_scores.log"
  done
}

# As many steps for each as the main run makes in half a minute: equal work, not equal time, as runs share the GPU.
ablation_steps() {
  if [ -n "$ABLATION_STEPS" ]; then
    echo "$ABLATION_STEPS"
    return
  fi
  "$PYTHON" -c "import json; m = json.load(open('$RUN/train/streetsim-small.json')); print(max(100, int(m['steps'] / m['minutes'] / 2)))"
}

ablation() {
  local steps seed recipe
  steps=$(ablation_steps)
  for seed in $SEEDS; do
    for recipe in streetsim-amodal streetsim-untrained-adapters streetsim-decoder streetsim-lora streetsim-full; do
      parallel train "$recipe" "ablation-${recipe#streetsim-}-$seed" $DATA $TUNING $start --minutes 0 --steps "$steps" \
        --seed "$seed" --validations 1
    done
  done
  finish
}

# Frames of 1024x1024 are large, and a minute sees few of them: the first sequences are enough.
few() {
  local kind name
  for kind in images amodal_instance_seg; do
    mkdir -p "$RUN/data/few/$kind/front"
    for name in $(ls "$RUN/data/train/$kind/front" | head -n "$FEW"); do
      ln -sfn "$(realpath "$RUN/data/train/$kind/front/$name")" "$RUN/data/few/$kind/front/$name"
    done
  done
}

vit_b() {
  local recipe
  few
  for recipe in asd-paper asd-released; do
    train "$recipe" "vit-b-$recipe" $VIT --data "streetsim:$RUN/data/few" --val "" --init "" --adapters keep \
      --cache "$RUN/cache/few.pt" --workers "$WORKERS" --epochs 0 --steps "$VIT_STEPS" --log_every 1 --seed 0
  done
}

# Experiments with the shipped weights, or others that WEIGHTS names; what single rows need is trained on the way.
tables() {
  local name=${EXPERIMENTS:-experiments}
  samodal experiments "$TABLES" --data "streetsim:$RUN/data/test" --train "streetsim:$RUN/data/train" \
    --train_steps "$TABLE_STEPS" --out "$RUN/$name" --workers "$WORKERS" --device "$TABLE_DEVICE" \
    --resamples "$RESAMPLES" $WEIGHTS $TABLE_FLAGS >>"$RUN/logs/$name.log" 2>&1
}

collect() {
  local name
  mkdir -p "$RUN/fetch"
  "$PYTHON" scripts/summarise_training.py "$RUN/train" | tee "$RUN/fetch/summary.md"
  cp "$RUN/times.txt" "$RUN/fetch/"
  find "$RUN/train" -name "streetsim-*.safetensors" -exec cp {} "$RUN/fetch/" \;
  (cd "$RUN" && tar -czf fetch/results.tgz --exclude="*.safetensors" --exclude="*.pt" train logs times.txt \
    $(find . -path "./experiments*/weights" -prune))
  for name in "$RUN"/experiments*; do
    if [ -d "$name" ]; then
      tar -czf "$RUN/fetch/$(basename "$name").tgz" -C "$RUN" --exclude=runs --exclude=scores --exclude="*.pickle" \
        --exclude=weights "$(basename "$name")"
    fi
  done
}

failed() {
  [ $? -eq 0 ] && return
  echo "$phase failed; the end of the newest log:" >&2
  tail -n 20 "$(ls -t "$RUN"/logs/*.log | head -n 1)" >&2
}

# One function, read whole before it starts: the file may change while a long job runs.
main() {
  local began part
  mkdir -p "$RUN/logs" "$RUN/data" "$RUN/cache" "$RUN/train"
  [ $# -gt 0 ] || set -- render cache visible amodal ablation vit_b collect
  trap failed EXIT
  for phase in "$@"; do
    began=$(date +%s)
    echo "$phase …"
    if [[ $phase == *+* ]]; then
      for part in ${phase//+/ }; do
        (pids=() && "$part") &
        pids+=($!)
      done
      finish
    else
      "$phase"
    fi
    echo "$phase $(($(date +%s) - began)) s" | tee -a "$RUN/times.txt"
  done
}

main "$@"
exit

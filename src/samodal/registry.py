"""The parts that can be named on the command line, and where they live; imported only when used.

To add one: write a class that satisfies its protocol in `parts.py` and add its entry here, or name it from
outside as `package.module:Class` without touching this file.
"""

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """What is told of a part before it is chosen; help texts and messages are made from it.

    Attributes:
        path: where its class lives, `package.module:Class`.
        about: what it does, in a sentence.
        argument: what may follow its name, as in NAME:ARGUMENT.
        licence: of its code and weights, where they are not ours.
        cost: time, where it matters.
        needs: what must be there and how to get it.
        group: heading that it is listed under, where there are several.
        embedded: name of the weights that come with it.
        runs: whether its argument names a folder whose code is run.
    """

    path: str
    about: str
    argument: str = ""
    licence: str = ""
    cost: str = ""
    needs: str = ""
    group: str = ""
    embedded: str = ""
    runs: bool = False


PIXELS = "From pixels alone:"
FILES = "From results of any method:"
TRUTH = "From a data set's truth, for studies:"

FRONT_ENDS = {
    "detector": Part(
        "samodal.frontends.detector.front_end:DetectorFrontEnd",
        "Boxes of road users, trained on real streets (YOLOX of size nano), and visible masks that a cutter finds in "
        "them, frame by frame; identities by our association with mask overlap, class, motion and the amodal masks of "
        "the memory. LIMIT=VALUE changes what is reported (score, keep, sure, area, most).",
        argument="[CHECKPOINT][,CUTTER][,LIMIT=VALUE...]",
        licence="Apache-2.0 (code and weights; the detector starts from YOLOX's weights, Apache-2.0, Megvii)",
        cost="70 ms of two CPU cores for a frame of 540x960, and 10 ms for each instance",
        needs="nothing, or a .safetensors of `samodal train detector` and one of `samodal train cutter`",
        group=PIXELS,
        embedded="streets-detector",
    ),
    "videomt": Part(
        "samodal.frontends.videomt.front_end:Videomt",
        "VidEoMT from pixels alone, our own implementation. Online, one network for masks, classes and identities. The "
        "embedded weights were trained on StreetSim alone: for demonstration. LIMIT=VALUE changes what is reported, as "
        "in videomt:vis.safetensors,score=0.3 (also area, share, frames).",
        argument="[CHECKPOINT][,LIMIT=VALUE...]",
        licence="Apache-2.0 (code, our weights); released weights: see their cards",
        cost="0.1 s of a CPU core for a frame with our size small; the released ones are for a GPU",
        needs="nothing, or a .safetensors of `samodal train vis`, a folder of transformers, or a hub name, which is "
        "fetched, as tue-mps/videomt-dinov2-small-ytvis2019",
        group=PIXELS,
    ),
    "centers": Part(
        "samodal.frontends.centers.front_end:CentersFrontEnd",
        "Centres and masks from the embedding of the embedded SAM, frame by frame; identities by our association with "
        "mask overlap, class, motion and the amodal masks of the memory. Trained on StreetSim alone: for "
        "demonstration. LIMIT=VALUE changes what is reported (score, keep, area, most).",
        argument="[CHECKPOINT][,LIMIT=VALUE...]",
        licence="Apache-2.0 (code and weights)",
        cost="0.1 s of a CPU core",
        needs="nothing, or a .safetensors of `samodal train centers`",
        group=PIXELS,
    ),
    "best": Part(
        "samodal.frontends.best:front_end",
        "The best public model that is in the Hugging Face cache and can run here (Mask2Former, SAM 3, RF-DETR), else "
        "the embedded detector. Prints which and why; results name what was used.",
        licence="that of the model; samodal weights tells it",
        cost="that of the model",
        needs="nothing is fetched; samodal weights fetch NAME gets a model",
        group=PIXELS,
    ),
    "mask2former": Part(
        "samodal.frontends.mask2former:Mask2Former",
        "Mask2Former on single frames; identities by our association with mask overlap, class, motion and the amodal "
        "masks of the memory. LIMIT=VALUE changes what is reported (score, keep, area).",
        argument="CHECKPOINT[,LIMIT=VALUE...]",
        licence="Apache-2.0 (code); released weights: see their cards",
        cost="1.2 s of two CPU cores for an input of 384x384 with the smallest released one; for a GPU",
        needs="a folder of transformers, or a hub name, which is fetched, as "
        "facebook/mask2former-swin-tiny-coco-instance",
        group=PIXELS,
    ),
    "rf_detr": Part(
        "samodal.frontends.rf_detr:RfDetr",
        "RF-DETR with masks on single frames; identities as for mask2former.",
        argument="CHECKPOINT[,LIMIT=VALUE...]",
        licence="Apache-2.0 (code and released weights)",
        cost="for a GPU; published: 6 ms on a T4 for seg-medium (432x432, TensorRT)",
        needs="transformers 5.23; a folder of transformers, or a hub name, which is fetched, as "
        "Roboflow/rf-detr-seg-medium",
        group=PIXELS,
    ),
    "sam3_video": Part(
        "samodal.frontends.sam3_video:Sam3Video",
        "SAM 3 finds and follows objects named by words, as in sam3_video:facebook/sam3,car,person; without words, our "
        "classes of road users. Online, ids are its own; the category is the word. LIMIT=VALUE changes what is "
        "reported (score, area).",
        argument="CHECKPOINT[,WORD...][,LIMIT=VALUE...]",
        licence="code Apache-2.0 (transformers); weights SAM License: Meta's own terms, which bar military use among "
        "others",
        cost="3.4 GB of weights, for a GPU; each word costs a pass of the detector in each frame",
        needs="transformers 5.23; a folder of transformers, or facebook/sam3, which is gated: accept its licence at "
        "https://huggingface.co/facebook/sam3, then hf auth login",
        group=PIXELS,
    ),
    "sam2_video": Part(
        "samodal.frontends.sam2_video:Sam2Video",
        "SAM 2 follows objects that you mark in one frame. PROMPTS.json is a list of {frame, id, category, and point, "
        "points or box} in original pixels. Online, from the frame of the prompt on; finds nothing by itself.",
        argument="CHECKPOINT,PROMPTS.json[,LIMIT=VALUE...]",
        licence="Apache-2.0 (code and released weights)",
        cost="for a GPU",
        needs="transformers 5.23; a folder of transformers, or a hub name, which is fetched, as "
        "facebook/sam2.1-hiera-tiny; the prompts",
        group=PIXELS,
    ),
    "truth": Part(
        "samodal.frontends.truth:Truth",
        "Visible masks of a data set: a perfect front end.",
        cost="nothing",
        needs="--data",
        group=TRUTH,
    ),
    "degraded": Part(
        "samodal.frontends.degraded:Degraded",
        "Visible masks of a data set with the mistakes of a real method, for studies: mild, medium or severe misses, "
        "rough borders, late starts, early ends, switched ids, low scores and false instances; new-ids only "
        "gives a new id to every instance that returns.",
        argument="SEVERITY",
        cost="nothing",
        needs="--data",
        group=TRUTH,
    ),
    "file": Part(
        "samodal.frontends.file:ResultsFile",
        "Results of any method: YouTube-VIS JSON as GenVIS and VITA write it, KITTI MOTS txt or png, PointTrack txt, "
        "Scalabel JSON.",
        argument="PATH",
        licence="that of the method that made them",
        cost="nothing",
        needs="the file",
        group=FILES,
    ),
    "boxes": Part(
        "samodal.frontends.boxes:BoxesFrontEnd",
        "Boxes of any detector or tracker, and a small network that cuts out what is visible in them: MOTChallenge "
        "txt or csv, KITTI tracking txt, COCO or COCO-video (TAO) results JSON; or a folder of such files, CLIP.txt, "
        "one a clip. The file's ids are kept; without any, identities as for mask2former. LIMIT=VALUE changes what is "
        "reported (score, keep, area, most); class=car tells what boxes without a class are, else they are persons.",
        argument="FILE[,CUTTER][,LIMIT=VALUE...]",
        licence="that of the method that made them",
        cost="10 ms of a CPU core for a box",
        needs="the file, and nothing or a .safetensors of `samodal train cutter`",
        group=FILES,
    ),
    "kinscar": Part(
        "samodal.frontends.kinscar:PointTrackOfKinsCar",
        "PointTrack's visible masks of cars, which lie in SAVOS' pickles of KINS-car (the paper's PT rows).",
        licence="that of KINS-car",
        cost="nothing",
        needs="--data kinscar:ROOT/test",
        group=FILES,
    ),
}
SELECTORS = {
    "random": Part("samodal.method.prompts.selectors:RandomPoints", "Points drawn from the visible mask."),
    "erosion": Part(
        "samodal.method.prompts.selectors:ErodedPoints", "Points drawn from the eroded mask.", argument="SIDE"
    ),
    "center": Part("samodal.method.prompts.selectors:CenterPoint", "Points deep inside the visible mask."),
    "saliency": Part("samodal.method.prompts.ablations:SalientPoint", "The most salient points of the visible mask."),
    "max-distance": Part("samodal.method.prompts.ablations:MaxDistancePoint", "Points far from a random one."),
    "box": Part("samodal.method.prompts.selectors:VisibleBox", "The box of the visible mask."),
    "mask": Part("samodal.method.prompts.selectors:VisibleMask", "The whole visible mask."),
    "neighbours": Part("samodal.method.prompts.selectors:Neighbours", "The visible masks of all other instances."),
    "max-entropy": Part("samodal.method.prompts.ablations:MaxEntropyPoint", "Points where the texture is most unlike."),
}
CLONE = "git clone https://github.com/{}"
NON_COMMERCIAL = "CC-BY-NC 4.0 (code and weights): not for commercial use"
REREADS = "up to 48 frames re-read in each frame for each hidden instance, {} s of a CPU core each: for a GPU"
TRACKERS = {
    "lucas_kanade": Part(
        "samodal.trackers.lucas_kanade:LucasKanade",
        "Pyramidal Lucas-Kanade of OpenCV with a forward-backward check. Online. Cannot find a point again that was "
        "covered.",
        licence="Apache-2.0",
        cost="3 ms of a CPU core for a frame of 540x960",
        needs="nothing",
    ),
    "velocity": Part(
        "samodal.trackers.velocity:Velocity",
        "Lucas-Kanade while it believes a point, then straight on at the median of its last five steps. Online.",
        licence="Apache-2.0",
        cost="5 ms of a CPU core for a frame of 540x960",
        needs="nothing",
    ),
    "still": Part(
        "samodal.trackers.still:Still",
        "Treats every point as not moving: a hidden mask stays where it was last seen. To compare with.",
        licence="Apache-2.0",
        cost="nothing",
        needs="nothing",
    ),
    "cotracker3": Part(
        "samodal.trackers.cotracker:CoTrackerOnline",
        "CoTracker3, our own implementation. Online, a result in every frame, through occlusion; a frame costs the "
        "same however long the gap is.",
        argument="CHECKPOINT",
        licence="Apache-2.0 (code); Meta's weights CC-BY-NC 4.0: not for commercial use",
        cost="60 to 140 ms of a CPU core a frame for one hidden instance, 170 to 300 for four (our sizes mini and "
        "small); the released size is for a GPU",
        needs="weights: a .safetensors of our own, scaled_online.pth, or facebook/cotracker3, which is fetched",
    ),
    "cotracker1": Part(
        "samodal.trackers.cotracker_original:CoTracker1",
        "CoTracker v1, the paper's own tracker (2023), with the settings of its released code. Re-reads all frames "
        "since an instance was last seen.",
        argument="CHECKOUT,CHECKPOINT",
        runs=True,
        licence=NON_COMMERCIAL,
        cost=REREADS.format(1.4),
        needs=CLONE.format("facebookresearch/co-tracker -b v1.0") + "; pip install einops timm; "
        "https://dl.fbaipublicfiles.com/cotracker/cotracker_stride_4_wind_8.pth",
    ),
    "cotracker2": Part(
        "samodal.trackers.cotracker_original:CoTracker2",
        "CoTracker v2 (end of 2023), re-reading as v1 does.",
        argument="CHECKOUT,CHECKPOINT",
        runs=True,
        licence=NON_COMMERCIAL,
        cost=REREADS.format(2.3),
        needs=CLONE.format("facebookresearch/co-tracker") + "; "
        "https://huggingface.co/facebook/cotracker/resolve/main/cotracker2.pth",
    ),
    "tapir": Part(
        "samodal.trackers.tapir:Tapir",
        "BootsTAPIR (2024), re-reading as CoTracker v1 does. Points are tracked independently.",
        argument="CHECKOUT,CHECKPOINT",
        runs=True,
        licence="Apache-2.0 (code and weights)",
        cost=REREADS.format(0.7),
        needs=CLONE.format("google-deepmind/tapnet") + "; pip install dm-tree einshape; "
        "https://storage.googleapis.com/dm-tapnet/bootstap/bootstapir_checkpoint_v2.pt",
    ),
}
SEGMENTERS = {
    "completion": Part(
        "samodal.segmenters.completion.choose:load_segmenter",
        "Completes the whole visible mask in a crop around it, told of its neighbours and of an earlier shape; without "
        "pixels.",
        argument="[CHECKPOINT]",
        licence="Apache-2.0 (code and weights)",
        cost="15 ms of a CPU core for an instance",
        needs="nothing, or a .safetensors of `samodal train completion`",
        embedded="streetsim-complete",
    ),
    "sam": Part(
        "samodal.segmenters.sam:load_segmenter",
        "The amodal SAM: encodes a frame once, decodes all prompts together. Points, boxes and masks prompt it.",
        argument="[CHECKPOINT]",
        licence="Apache-2.0 (code, our weights); released weights: see their pages",
        cost="0.1 s of a CPU core for a frame with the embedded weights; the released size is for a GPU",
        needs="nothing, or what --weights takes",
        embedded="streetsim-small",
    ),
}
METHODS = {
    "samodal": Part("samodal.method.pipeline:Pipeline", "The amodal SAM and the point memory."),
    "copy-visible": Part("samodal.baselines.trivial:CopyVisible", "The visible mask is the amodal mask."),
    "hull": Part("samodal.baselines.trivial:Hull", "The convex hull of the visible mask."),
    "hull-front": Part(
        "samodal.baselines.trivial:HullFront",
        "The visible mask and, of its convex hull, what neighbours in front of it cover.",
    ),
    "hold-last": Part("samodal.baselines.trivial:HoldLast", "The last visible mask stays while an instance is hidden."),
    "constant-velocity": Part(
        "samodal.baselines.trivial:ConstantVelocity", "A hidden mask goes on at its last velocity."
    ),
    "savos": Part(
        "samodal.baselines.savos.method:SavosMethod",
        "SAVOS, our own implementation: visible masks, optical flow (DIS) and both directions of time. Offline, "
        "results come every 30 frames; nothing while an instance is hidden.",
        argument="[CHECKPOINT]",
        licence="Apache-2.0 (code, our weights); released weights: see their page",
        cost="0.2 s of a CPU core for a frame of 540x960 with one instance",
        needs="nothing, released KINS-car weights, or a .safetensors of `samodal train savos`",
    ),
}


def listing(table: dict[str, Part], width: int = 79) -> str:
    """A table of parts in words, by groups where there are some: name, what it does, licence, cost and needs."""
    lines, groups = [], list(dict.fromkeys(part.group for part in table.values()))
    group = ""
    for name, part in sorted(table.items(), key=lambda item: groups.index(item[1].group)):
        if part.group != group:
            group = part.group
            lines += ["", f"  {group}"] if lines else [f"  {group}"]
        lines += [f"  {name}:{part.argument}" if part.argument else f"  {name}"]
        lines += hanging("      ", part.about, width)
        for label in ("licence", "cost", "needs"):
            if getattr(part, label):
                lines += hanging(f"      {label:<9}", getattr(part, label), width)
    return "\n".join(lines)


def hanging(start: str, text: str, width: int) -> list[str]:
    """Lines of a text that hang from its start; URLs and commands stay whole."""
    wrapper = textwrap.TextWrapper(width, start, " " * len(start), break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text)

"""The words below the paper's figures: titles, the rule that chose what is shown, frames and numbers."""

from collections.abc import Sequence

from samodal.experiments import scenes
from samodal.experiments.report import markdown, page_text

LETTERS = "abcdefgh"
"""Of the scenes of a figure."""

_ORDER = "Ties go by clip, first frame and id."
_BLIND = "The results play no part in the choice."
_ENDS = (
    f"at least {scenes.CLEAR:.0%} of the instance visible in a frame before and one after, each at most "
    f"{scenes.WINDOW} frames away, and its true amodal mask there at least {scenes.LEAST_AREA:.1%} of the image"
)
_FULL = f"Full occlusions: stretches in which no pixel of an instance is visible, {_ENDS}"
_PARTIAL = (
    f"Heavy partial occlusions: stretches in which {scenes.HEAVY:.0%} or more of an instance is hidden, never all, "
    f"{_ENDS}"
)

TITLES = {
    "figure4": "Followed through full occlusions",
    "figure5": "The longest full occlusion",
    "figure6": "SAVOS and S-AModal in the heaviest partial occlusion",
    "figure7": "Heavy partial occlusions",
    "figure8": "The worst failure of each kind",
}
RULES = {
    "figure4": f"{_FULL}. The three longest that Figure 5 does not show, those of persons before all others as the "
    f"paper's figure is of pedestrians. At most one scene of a clip. {_ORDER} {_BLIND}",
    "figure5": f"{_FULL}. The longest of all classes. {_ORDER} {_BLIND}",
    "figure6": f"{_PARTIAL}. Of the instances for which both methods have a track, the one with the largest hidden "
    f"area, summed over the frames of the stretch. {_ORDER} {_BLIND}",
    "figure7": f"{_PARTIAL}. The five with the largest hidden share, summed over the frames of the stretch, of "
    f"instances that Figures 4 to 6 do not show. At most one scene of a clip. {_ORDER} {_BLIND} The true amodal mask "
    "is outlined in green.",
    "figure8": "Of each kind the worst frame in which the instance is prompted and its true amodal mask has at least "
    f"{scenes.LEAST_AREA:.1%} of the image. No instance is shown twice: the prompt beside the occluder is chosen "
    f"first, then the split, then the texture. {_ORDER} The frame found has a red border, the others are {scenes.STEP} "
    "frames apart; the other instance that the rule speaks of is outlined in blue.",
}


def captions(content: dict) -> str:
    """figures.md from what figures.json holds."""
    parts = [f"# The paper's figures on {page_text(content['data'])}\n\n{_how_to_read(content)}\n"]
    parts += [_caption(name, figure) for name, figure in content["figures"].items()]
    return "\n".join(parts)


def _how_to_read(content: dict) -> str:
    clips = content["clips"]
    return (
        f"Chosen by rule among {len(clips)} clips ({page_text(', '.join(clips))}). "
        "The instance that a strip is about is yellow in every frame, its visible part tinted and its hidden part "
        "striped; what is visible of others is outlined in grey. A white cross is a prompt point (the paper's Figure "
        "10); small yellow dots are where the tracker has the points of a hidden instance, also those that the method"
        " does not believe. Hidden shares are the truth's; IoU is that of the amodal mask with the true one in that "
        "frame. States: visible, predicted from a prompt; kept, the prediction was rejected and the visible mask "
        "stands; hidden or leaving, the last mask moved along; lost, known without a mask; no mask, not in the "
        "results."
    )


def _caption(name: str, figure: dict) -> str:
    lines = [f"## Figure {name.removeprefix('figure')}. {figure['title']}", ""]
    lines += [f"![{figure['title']}]({figure['file']})", ""] if figure["file"] else []
    lines += [f"Rule: {figure['rule']}", ""]
    lines += [f"Note: {figure['missing']}", ""] if figure["missing"] else []
    for n, scene in enumerate(figure["scenes"]):
        letter = f"({LETTERS[n]}) " if len(figure["scenes"]) > 1 else ""
        about = f"Clip {scene['clip']}, {scene['category']} {scene['id']}"
        lines += [f"{letter}{page_text(about)}: {scene['words']}.", ""]
        lines += [_table(scene["frames"]), ""]
    return "\n".join(lines)


def _table(frames: Sequence[dict]) -> str:
    """A Markdown table: one column for each frame."""
    rows = [["hidden", *(scenes.percent(frame["hidden"]) for frame in frames)]]
    for method in frames[0]["methods"]:
        judged = [frame["methods"][method] for frame in frames]
        rows.append([method, *(f"{judgement['state']}, IoU {judgement['iou']:.2f}" for judgement in judged)])
    return markdown(["frame", *(str(frame["frame"]) for frame in frames)], rows)

"""The classes of AmodalSynthDrive, whose numbers our own files use, too."""

CATEGORIES = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    29: "caravan",
    30: "trailer",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
CATEGORY_IDS = {name: number for number, name in CATEGORIES.items()}

"""Keys in the final bucket."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from label_detection_core.labelling.keys import REJECTED, Keys, document_key, final_key, is_final_key
from label_detection_core.queue.messages import ImageRef


@pytest.mark.parametrize(
    ("key", "final"),
    [
        pytest.param("part.png", r"part-[0-9a-f]{10}\.png", id="plain"),
        pytest.param("line 3/part.png", r"line 3/part-[0-9a-f]{10}\.png", id="in a folder"),
        pytest.param("part.final.JPG", r"part\.final-[0-9a-f]{10}\.JPG", id="two dots, upper case"),
        pytest.param("v1.2/part", r"v1\.2/part-[0-9a-f]{10}", id="a dot in the folder alone"),
        pytest.param(".png", r"-[0-9a-f]{10}\.png", id="nothing but a suffix"),
        pytest.param("猫+é%.jpeg", r"猫\+é%-[0-9a-f]{10}\.jpeg", id="beyond ASCII"),
        pytest.param("runs", r"runs-[0-9a-f]{10}", id="named as a folder of the bucket"),
        pytest.param("line/runs/a.png", r"line/runs/a-[0-9a-f]{10}\.png", id="a folder of that name deeper down"),
        pytest.param("Runs/a.png", r"Runs/a-[0-9a-f]{10}\.png", id="in capitals"),
    ],
)
def test_the_id_stands_before_the_suffix(key: str, final: str) -> None:
    assert re.fullmatch(final, final_key(ImageRef("parts", key, "abc")))


def test_the_key_is_a_function_of_bucket_key_and_etag() -> None:
    images = [ImageRef(b, k, e) for b in ("b1", "b2") for k in ("k1.png", "k2.png") for e in ("e1", "e2")]
    assert len({final_key(image) for image in images}) == 8
    again = ImageRef("b1", "k1.png", "e1", version_id="v7", size=9)
    assert final_key(again) == final_key(images[0])


@pytest.mark.parametrize("prefix", ["", REJECTED], ids=["labelled", "rejected"])
@pytest.mark.parametrize(
    "key",
    [
        pytest.param("x" * 996 + ".png", id="1,000 bytes"),
        pytest.param("x" * 1020 + ".png", id="1,024 bytes"),
        pytest.param("猫" * 340 + ".png", id="1,024 bytes of three-byte characters"),
        pytest.param("a." + "x" * 1022, id="a suffix of 1,022 bytes"),
        pytest.param("a/" * 512, id="folders only"),
    ],
)
def test_no_key_passes_1024_bytes_and_the_id_stays(key: str, prefix: str) -> None:
    image = ImageRef("parts", key, "abc")
    final = final_key(image, prefix)
    assert len(document_key(final).encode()) <= 1024
    assert re.search(r"-[0-9a-f]{10}(\.png)?$", final)
    assert final.startswith(prefix)


@pytest.mark.parametrize("folder", ["rejected/", "runs/", "reviews/", "exports/", "_/"])
@pytest.mark.parametrize("name", ["", "a.png", "a", "runs/a.png", "messages/a.png", "x" * 1010, "/" * 900])
def test_a_key_that_begins_with_a_folder_of_the_bucket_goes_aside(folder: str, name: str) -> None:
    image = ImageRef("parts", folder + name, "abc")
    assert final_key(image).startswith(f"_/{folder}")
    assert final_key(image, REJECTED).startswith(f"rejected/_/{folder}")
    for prefix in ("", REJECTED):
        assert len(document_key(final_key(image, prefix)).encode()) <= 1024


@pytest.mark.parametrize("prefix", ["", REJECTED], ids=["labelled", "rejected"])
def test_a_final_key_of_a_version_without_the_folder_aside_is_known(prefix: str) -> None:
    image = ImageRef("parts", "runs/a.png", "abc")
    before = final_key(image, prefix).replace("_/", "")
    assert is_final_key(before, image, prefix)
    assert is_final_key(final_key(image, prefix), image, prefix)
    assert not is_final_key("runs/a.png", image, prefix)
    assert not is_final_key(before, replace(image, etag="e2"), prefix)


def test_a_key_that_fits_is_not_cut() -> None:
    key = "x" * 996 + ".png"
    assert final_key(ImageRef("parts", key, "abc")).startswith("x" * 996 + "-")


def test_the_keys_of_an_image_are_those_of_its_two_outcomes_and_their_documents() -> None:
    image = ImageRef("parts", "runs/a.png", "abc", "v1", 9)
    keys = Keys.of(image, "final")
    assert keys.source == image
    for copy, prefix in ((keys.labelled, ""), (keys.rejected, REJECTED)):
        assert copy.image == ImageRef("final", final_key(image, prefix))
        assert copy.document_key == document_key(copy.image.key)

"""The story of a generator that the model does not know, told on the whole service through its API, and measured.

    python -m benchmarks.open_set_story --images IMAGES [--generator NAME ...] [--model starter] [--repeats 1]

IMAGES holds `closed/<class>/` (images of known generators; only those of the split "test" where a `manifest.csv` says
so) and `open/<generator>/` (images of generators that the model was not trained on). For each of these: what gets no
name in a batch of it is held -> discovered as one group -> a person sees whose group it is, and says of the batch's
other images that no known generator made them -> the group is named -> the next batch is attributed -> known answers
stand -> rollback restores everything. Each repeat is a tenant of its own and keeps another part of the images for the
next batch.
"""

import argparse
import csv
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.servers import remove_data
from deploy.embedded.stack import Stack
from leaktrace.client import Client, UploadFile
from leaktrace.client.answers import Candidate, Result
from leaktrace.records.database import connect_database, transaction
from leaktrace.records.keys import create_key, ensure_tenant

IMAGES = (".jpg", ".jpeg", ".png", ".webp")
FIRST_IMAGES = 50  # what an enrolment needs at alpha = 0.05
DISCOVERY_SECONDS = 120.0
GROWTH_SECONDS = 30.0
PAUSE_SECONDS = 1.0
MIN_RECALL, MAX_FLIPS = 0.9, 0.005
REASON = "the story"
# The quarantine is looked at at once, and often.
SETTINGS = {
    "LEAKTRACE_QUARANTINE_AGE_SECONDS": "0",
    "LEAKTRACE_DISCOVERY_INTERVAL_SECONDS": "2",
    "LEAKTRACE_RESCORE_INTERVAL_SECONDS": "1",
    "LEAKTRACE_ENROLMENT_INTERVAL_SECONDS": "1",
}


@dataclass(frozen=True)
class Cast:
    """The files of one story: images of known generators, and two batches of the unknown one."""

    generator: str
    known: Sequence[UploadFile]
    first: Sequence[UploadFile]
    second: Sequence[UploadFile]


@dataclass(frozen=True)
class Story:
    """What came of it. Images of the second batch and known ones are counted; what was never reached is None."""

    generator: str
    first: int
    unseen: int  # of the first batch
    unnamed: int  # of the first batch, unseen ones among them
    candidate: Candidate | None
    own: float | None  # share of the candidate's images that are of the first batch
    grown: int | None  # images of the candidate when it was named; None where the batch was named instead
    enrolled: bool
    outcome: str | None  # of the enrolment, in words
    second: int
    attributed: int | None = None  # of the second batch, to the new name
    named: int | None = None  # known images with a name before
    flips: int | None = None  # of those, answered otherwise afterwards
    restored: bool | None = None  # after the rollback all answers are the earlier ones


def tell(client: Client, cast: Cast, *, discovery_seconds: float = DISCOVERY_SECONDS) -> Story:
    """Play it. Without a candidate of their own, people name the first batch, as who made the images would."""
    known = submit(client, "known", cast.known)
    first = submit(client, "first", cast.first)
    verdicts = [one.attribution.verdict for one in client.results(first) if one.attribution]
    candidate, own = await_candidate(client, first, seconds=discovery_seconds)
    say_unknown(client, first)
    grown = await_growth(client, candidate) if candidate is not None else None
    name = f"{cast.generator}-found"
    if candidate is not None and grown is not None:
        asked = client.open_set.enrol_candidate(candidate.id, name, reason=REASON)
    else:
        asked = client.open_set.enrol_batch(first, name, reason=REASON)
    decided = client.open_set.wait(asked.id)
    told = Story(
        generator=cast.generator,
        first=len(verdicts),
        unseen=verdicts.count("unseen"),
        unnamed=len(verdicts) - verdicts.count("generator"),
        candidate=candidate,
        own=own,
        grown=grown,
        enrolled=decided.state == "active",
        outcome=decided.outcome,
        second=len(cast.second),
    )
    return _after_enrolment(client, cast, told, known=known, name=name) if told.enrolled else told


def _after_enrolment(client: Client, cast: Cast, told: Story, *, known: str, name: str) -> Story:
    before = {one.custom_id: one for one in client.results(known)}
    second = submit(client, "second", cast.second)
    attributed = sum(answer_of(one) == name for one in client.results(second))
    named = {key for key, one in before.items() if one.attribution and one.attribution.generator}
    again = rescore(client, known)
    flips = sum(again[key] != answer_of(before[key]) for key in named)
    client.open_set.roll_back(reason="the story ends")
    restored = rescore(client, known) == {key: answer_of(one) for key, one in before.items()}
    restored = restored and name not in rescore(client, second).values()
    found = {"attributed": attributed, "named": len(named), "flips": flips, "restored": restored}
    return Story(**{**vars(told), **found})


def submit(client: Client, name: str, files: Sequence[UploadFile]) -> str:
    """Take files through the service; the finished batch's id."""
    batch = client.create_batch(name)
    refused = [one for one in client.upload(batch.id, files) if one.status == "refused"]
    if refused:
        raise SystemExit(f"{len(refused)} images were not accepted; the first: {refused[0].error}")
    client.close(batch.id)
    return client.wait(batch.id, longest_pause_seconds=PAUSE_SECONDS).id


def answer_of(result: Result) -> str | None:
    """The generator that was named, or the verdict; None for a failed item."""
    found = result.attribution
    return None if found is None else found.generator or found.verdict


def rescore(client: Client, batch_id: str) -> dict[str, str]:
    """What is in force now says of each item of a batch."""
    done = client.rescoring.wait(client.rescoring.batch(batch_id, reason=REASON).id)
    if done.state != "completed":
        raise SystemExit(f"the re-score failed: {done.error}")
    return {one.custom_id: one.after for one in client.rescoring.items(done.id, changed=False)}


def await_candidate(
    client: Client, batch_id: str, *, seconds: float
) -> tuple[Candidate | None, float | None]:
    """The candidate that a person takes for this batch's generator, most of it being of the batch; and its share."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for candidate in client.open_set.candidates():
            own = count(client, candidate_id=candidate.id, batch_id=batch_id)
            share = own / max(1, count(client, candidate_id=candidate.id))
            if share > 0.5:
                return candidate, share
        time.sleep(PAUSE_SECONDS)
    return None, None


def count(client: Client, **choice: str) -> int:
    """Images of a choice that nobody has judged."""
    return client.review.look_at(dict(choice), "correct", reason=REASON).count


def say_unknown(client: Client, batch_id: str) -> None:
    """Say of all images of a batch that no known generator made them."""
    choice = {"batch_id": batch_id}
    expected = count(client, **choice)
    client.review.label_many(choice, "correct", expected=expected, reason=REASON)


def await_growth(client: Client, candidate: Candidate) -> int | None:
    """How many images the candidate has once they are enough for an enrolment; None when they never are."""
    deadline = time.monotonic() + GROWTH_SECONDS
    while time.monotonic() < deadline:
        sizes = {one.id: one.size for one in client.open_set.candidates()}
        if sizes.get(candidate.id, 0) >= FIRST_IMAGES:
            return sizes[candidate.id]
        time.sleep(PAUSE_SECONDS)
    return None


def main() -> None:
    """Tell the stories of all generators and print what came of them."""
    arguments = _arguments()
    os.environ.update({**SETTINGS, "LEAKTRACE_MODEL": arguments.model})
    known = known_files(arguments.images, most=arguments.known)
    generators = arguments.generator or sorted(path.name for path in (arguments.images / "open").iterdir())
    with tempfile.TemporaryDirectory(prefix="leaktrace-story-") as directory:
        data_dir = Path(directory) / "data"
        with Stack(data_dir) as stack:
            for generator in generators:
                files = files_in_folder(arguments.images / "open" / generator)
                stories = []
                for repeat in range(arguments.repeats):
                    with tenant(stack, f"{generator}-{repeat}") as client:
                        stories.append(tell(client, make_cast(generator, known, files, repeat=repeat)))
                    print(stories[-1], file=sys.stderr, flush=True)
                print_stories(stories)
        remove_data(data_dir)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="a folder with closed/ and open/")
    parser.add_argument("--generator", action="append", help="of open/; all when not given")
    parser.add_argument("--model", default="starter", help="name of a shipped model or a model folder")
    parser.add_argument("--known", type=int, default=30, help="images of each known generator")
    parser.add_argument("--repeats", type=int, default=1, help="tenants, each with another second batch")
    return parser.parse_args()


@contextmanager
def tenant(stack: Stack, name: str) -> Iterator[Client]:
    """A client of a new tenant."""
    engine = connect_database(stack.settings())
    with transaction(engine) as session:
        key = create_key(session, ensure_tenant(session, name), name="story")
    engine.dispose()
    with Client(stack.api_url, key) as client:
        yield client


def make_cast(
    generator: str, known: Sequence[UploadFile], files: Sequence[UploadFile], *, repeat: int
) -> Cast:
    """The images of the generator, cut into two batches; another part is left for the second at each repeat."""
    left = len(files) - FIRST_IMAGES
    if left < 1:
        raise SystemExit(
            f"{generator} has {len(files)} images; {FIRST_IMAGES} are named and some more judged"
        )
    turned = [*files[repeat * left % len(files) :], *files[: repeat * left % len(files)]]
    return Cast(generator, known, turned[left:], turned[:left])


def known_files(images: Path, *, most: int) -> list[UploadFile]:
    """Up to `most` files of each known generator."""
    manifest, tested = images / "manifest.csv", None
    if manifest.is_file():
        with manifest.open(newline="") as lines:
            tested = {row["file"] for row in csv.DictReader(lines) if row["split"] == "test"}
    found = []
    for folder in sorted(path for path in (images / "closed").iterdir() if path.is_dir()):
        files = files_in_folder(folder)
        found += [file for file in files if tested is None or f"closed/{file.custom_id}" in tested][:most]
    return found


def files_in_folder(folder: Path) -> list[UploadFile]:
    """The images of a folder; their custom ids begin with its name."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    return [UploadFile.from_path(path, custom_id=f"{folder.name}/{path.name}") for path in paths]


def print_stories(stories: Sequence[Story]) -> None:
    """One table of a generator's stories, summed up."""
    enrolled = [one for one in stories if one.enrolled]
    second, named = sum(one.second for one in enrolled), sum(one.named or 0 for one in enrolled)
    attributed, flips = (sum(getattr(one, name) or 0 for one in enrolled) for name in ("attributed", "flips"))
    discovered = [one for one in stories if one.candidate is not None]
    first = sum(one.first for one in stories)
    rows = [
        ("called unseen", _share(sum(one.unseen for one in stories), first), ""),
        ("held, since they got no name", _share(sum(one.unnamed for one in stories), first), ""),
        ("discovered", f"{len(discovered)} of {len(stories)}", "all"),
        ("of the candidate its own", ", ".join(f"{one.own:.1%}" for one in discovered) or "none", ""),
        ("named as a candidate", f"{sum(one.grown is not None for one in stories)} of {len(stories)}", ""),
        ("enrolled", f"{len(enrolled)} of {len(stories)}", "all"),
        ("next batch attributed", _share(attributed, second), f">= {MIN_RECALL:.0%}"),
        ("known answers that flip", _share(flips, named), f"<= {MAX_FLIPS:.1%}"),
        (
            "restored by the rollback",
            f"{sum(bool(one.restored) for one in enrolled)} of {len(enrolled)}",
            "all",
        ),
    ]
    print(f"{stories[0].generator:32}{'found':>20}{'goal':>10}")
    for name, value, goal in rows:
        print(f"{name:32}{value:>20}{goal:>10}")
    for one in stories:
        if not one.enrolled:
            print(f"not enrolled: {one.outcome}")


def _share(count: int, number: int) -> str:
    return f"{count} of {number} ({count / number:.1%})" if number else "none"


if __name__ == "__main__":
    main()

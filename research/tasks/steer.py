"""`task=steer`: a line for a campaign that runs, checked by the space and written to its steer.md."""

from pathlib import Path
from typing import final

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.campaign.steering import FILE, Names, Steering, add
from research.tasks.answer import Answer
from research.tasks.report import campaign_named


@final
class Steered(Answer):
    """What a campaign has been told."""

    campaign: str
    file: Path
    said: tuple[str, ...]
    """the lines in force"""
    wrong: tuple[str, ...]
    """what is left out, and why"""

    def text(self) -> str:
        """The lines, and where they are."""
        said = [f"said       {line}" for line in self.said] or ["nothing was said yet"]
        return "\n".join([*said, *(f"wrong      {line}" for line in self.wrong), f"file       {self.file}"])


def steer(campaign: Campaign, say: str | None, id: str | None) -> Steered:
    """Add a line to the steer.md of a campaign, which reads it before its next proposals.

    Raises `Refusal` for a line that is not understood, a name that nothing has, and a campaign that is not
    there.
    """
    name = campaign_named(campaign.known, "campaign" if id is None else id)
    file = campaign.root / "agent" / name / FILE
    names, news = Names(campaign.space.vocabulary()), list[str]()
    if say is not None:
        line = names.read(say)
        if not file.parent.is_dir():
            raise Refusal(f"There is no folder {file.parent}: give the root=FOLDER that the campaign has.")
        add(file, line)
    steering = Steering(file, names, {}, news.extend)
    steering.look(0)
    wrong = tuple(text for text in news if not text.startswith("the person said"))
    return Steered(campaign=name, file=file, said=steering.said, wrong=wrong)

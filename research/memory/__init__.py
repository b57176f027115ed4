"""What earlier trials taught: episodes, lessons, doubts, their placebo; team, campaign, tasks import it."""

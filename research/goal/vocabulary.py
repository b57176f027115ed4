"""The vocabulary of goals: phrases, between bars, of each sign of the grammar and of each concept."""

SIGNS = {
    "g":
        "at least | at the least | at the very least | min . | no less than | above | over | more than | "
        "greater than | higher than | larger than | greater than or equal to | more than or equal to | "
        "larger than or equal to | greater or equal | greater or equal to | bigger than | exceed | exceeds "
        "| exceeding | beat | beats | beating | minimum | minimum of | min | min of | at or above | >= | => "
        "| ≥ | > | or more | or better | or higher | or above | and above | and up | or over | upwards of | "
        "slower than | longer than | go above | go over | going above | going over | goes above | goes over "
        "| rise above | rising above | get above | goes beyond | go beyond | surpass | surpasses | "
        "surpassing | minimally | strictly above | strictly over | strictly more than | strictly greater "
        "than | strictly higher than | past | floor | floor of | lower bound | lower bound of | lower limit "
        "| lower limit of",
    "l":
        "at most | at the most | at the very most | max . | below | under | less than | fewer than | lower "
        "than | smaller than | within | up to | maximum | maximum of | max | max of | at or below | <= | =< "
        "| ≤ | < | or less | or fewer | or lower | or below | and below | or under | less than or equal to "
        "| smaller than or equal to | lower than or equal to | less or equal | less or equal to | fall "
        "below | falls below | falling below | fall under | falls under | falling under | drop below | "
        "drops below | dropping below | drop under | dropping under | go below | goes below | going below | "
        "go under | goes under | going under | get below | get under | dip below | dipping below | dip "
        "under | sink below | sinking below | sink under | slip below | slip under | faster than | cheaper "
        "than | shorter than | quicker than | maximally | no longer than | not longer than | limited to | "
        "capped at | limit | limiting | cap | capping | strictly below | strictly under | strictly less "
        "than | strictly fewer than | strictly lower than | strictly smaller than | beneath | ceiling | "
        "ceiling of | upper bound | upper bound of | upper limit | upper limit of | restricted to | bounded "
        "by | constrained to",
    "=":
        "= | == | : | better than | about | around | roughly | approximately | approx | ~ | ≈ | stays at | "
        "stay at | staying at",
    "n":
        "not | no | don't | dont | never | without | n't | doesn't | does not | do not | mustn't | cannot | "
        "can't | shouldn't | won't | isn't | aren't | wouldn't | neither | nor | none | nothing | non | "
        "except | except for | excluding | exclude | excludes | avoid | avoiding | avoids | but not | other "
        "than | anything but | everything but | instead of | rather than | hardly | barely",
    "d": "fewer | less | lower | lighter on",
    "u": "more | higher | greater | extra | additional",
    "b": "better | best | optimal | optimum",
    "z": "worse",
    "e":
        "fewest | least | lowest | minimal | low | little | small amount | few | tiniest | smallest number | "
        "smallest amount | smallest possible number | most | highest | greatest | maximal | high | much | "
        "many",
    "D":
        "reduce | reduces | reducing | reduced | cut | cuts | cutting | save | saves | saved | "
        "minimise | minimize | minimises | minimizes | minimising | minimizing | lowering | lowers | lowered "
        "| slash | slashing | trim | trimming | decreasing | decreases | decreased | bring down | bringing "
        "down | shave | shave off",
    "U":
        "raise | raises | raising | raised | maximise | maximize | maximises | maximizes | maximising | "
        "maximizing | increasing | increases | increased | lift | lifting | push | pushing | win | winning",
    "B":
        "improve | improves | improving | improved | optimise | optimize | optimising | optimizing | "
        "optimised | optimized | enhance | enhancing",
    "Y": "saving | off | reduction | reductions | savings | decrease | cutback | down",
    "H": "increase | gain | gains | boost | boosting | boosts | gaining | up | rise | rises | "
        "grow | grows | growing | growth | "
        "rising | improvement | improvements",
    "Z":
        "lose | loses | losing | lost | degrade | degrades | degrading | degraded | degradation | sacrifice "
        "| sacrificing | sacrifices | hurt | hurts | hurting | worsen | worsens | worsening | harm | "
        "harming | penalty | deterioration | deteriorate | trading | trade | trades | at the cost of | at "
        "the expense of | at a cost of | costing | go down | goes down | going down | drop | drops | "
        "dropping | dropped | fall | falls | falling | decline | declines | declining | giving up | give up",
    "k":
        "keep | keeps | keeping | kept | same | equal | identical | comparable | similar | unchanged | "
        "unaffected | preserve | preserves | preserving | maintain | maintains | maintaining | retain | "
        "retains | retaining | hold | holding | stay | stays | staying | remain | remains | remaining | "
        "constant | match | matches | matching | intact",
    "c":
        "control | controls | baseline | baselines | default | defaults | original | reference | today | now "
        "| before | current | currently | status quo",
    "o": "of",
    "i": "in | for | at | on | during | until | @",
    "y": "by",
    "t": "to | down to | up to about | into",
    "h": "than | against | compared to | compared with | relative to | versus | vs | over that of | relative",
    "j": "as",
    "r": "per | / | for each | each",
    "s":
        ", | ; | . | ! | s . t . | ( | ) | and | with | but | while | whilst | yet | & | using | use | uses |"
        " used | plus | also | subject to | given | when keeping | so that | such that | as long as | so long"
        " as | provided | provided that | if | when | where | given that",
    "X":
        "data | dataset | datasets | data set | data sets | image | images | pictures | answers | test "
        "images",
    "T": "right | correctly",
    "C": "cost | costs",
}  # fmt: skip
"""the signs are explained in `lexicon.py`"""
WAYS = {
    **dict.fromkeys("dDY", "down"),
    **dict.fromkeys("uUH", "up"),
    **dict.fromkeys("bB", "good"),
    **dict.fromkeys("zZ", "bad"),
}
"""which way the words of a sign go; superlatives and falls by themselves"""
UPWARDS = frozenset(("greatest", "high", "highest", "many", "maximal", "most", "much"))
FALLING = frozenset(
    (
        "decline", "declines", "declining", "drop", "dropped", "dropping", "drops", "fall", "falling",
        "falls", "go down", "goes down", "going down", "lose", "loses", "losing", "lost", "give up",
        "giving up",
    )
)  # fmt: skip
BETTERED = frozenset(("improvement", "improvements"))
PARTS = {
    "train":
        "train | training | trains | trained | learning time | while training | when training | while it "
        "trains",
    "infer":
        "inference | inferences | infer | inferring | prediction | predictions | predicting | forward | "
        "forward pass | forward passes | serving | deployment",
    "val": "validation | val | dev | dev set | development set",
    "test": "test | held out | test set | test split | test data",
}  # fmt: skip
"""parts of a trial's life"""
EACH = {
    "infer":
        "sample | example | image | item | prediction | inference | query | request | forward pass | "
        "classified image",
    "step": "step | training step | optimizer step",
}  # fmt: skip
"""what one of is said behind `per`"""
COMPARED = (
    ("speed", "up", True,
     "faster | quicker | speedier | speedup | speed up | speed ups | speedups | speeding up | accelerate"
     " | accelerating",
     "fastest | quickest | fast | quick | quickly | fastest possible"),
    ("speed", "down", True, "slower | slowdown", "slowest | slow"),
    ("time", "down", True, "shorter | shorten | shortens | shortening | shortened", "shortest | short"),
    ("time", "up", True, "longer", "longest | long"),
    ("energy", "down", True, "cheaper | thriftier", "cheapest | cheap | cheaply | thriftiest"),
    ("energy", "up", True, "dearer | costlier | more expensive | pricier", "most expensive | costliest"),
    ("energy", "down", False,
     "more efficient | more energy efficient | more frugal | more efficiently",
     "most efficient | most energy efficient | most frugal | energy efficient | efficient | frugal | "
     "efficiently | low energy"),
    ("energy", "up", False, "less efficient | less energy efficient", "least efficient | inefficient"),
    ("co2", "down", False, "greener", "greenest | green | low carbon"),
    ("accuracy", "up", False, "more accurate", "most accurate | accurate"),
    ("accuracy", "down", False, "less accurate", "least accurate | inaccurate"),
    ("size", "down", False,
     "smaller | more compact | tinier | lighter | shrink | shrinks | shrinking | shrunk",
     "smallest | tiniest | tiny | compact | most compact | lightest | light | lightweight | light weight"
     " | small"),
    ("size", "up", False, "larger | bigger | heavier", "largest | biggest | heaviest | large | big | huge"),
)  # fmt: skip
"""concept, way, whether the part must be said, comparatives, superlatives and positives"""
FILLER = (
    "a | accept | acceptable | accepting | achieve | achieves | achieving | all | allow | allowed | "
    "allowing | amount | amount of | an | any | anything | approach | architecture | architectures | are | "
    "are enough | are sufficient | as can be | as i can | as possible | as we can | as you can | at all | "
    "attain | be | been | bring | bringing | brings | budget | build | building | can | classification | "
    "classified | classifier | classifiers | classifies | classify | classifying | constraint | constraints "
    "| consume | consumes | consuming | could | count | create | creating | deep learning | deliver | "
    "delivers | deploy | design | designing | digit classification | done | emit | emits | emitting | find "
    "| finding | fine | finish | finishes | fit | fits | fitting | get | gets | getting | give | gives | "
    "giving | go | goal | goes | going | guaranteed | happy with | has | has to | have | have to | having | "
    "hello | hi | hit | hits | hitting | i | i'd | i'd like | i'll | image classification | is | is enough "
    "| is sufficient | it | its | just | kindly | language modeling | language modelling | let | let's | "
    "lets | letting | level | look | looking | machine learning | made | make | makes | making | may | me | "
    "method | metric | might | model | models | must | my | need | need to | needed | needing | needs | "
    "needs to | net | nets | network | networks | neural | new | number | number of | objective | obtain | "
    "of course | ok | okay | on disk | one | only | ought to | our | overall | please | pls | possible | "
    "problem | reach | reaches | reaching | recognise | recognises | recognition | recognize | recognizes | "
    "require | required | requirement | requirements | requires | run | running | satisfied with | score | "
    "scores | search | seek | set | settle for | shall | should | should like | single | so | solution | "
    "some | spend | spending | spent | still | suffices | take | takes | taking | target | targets | task | "
    "test results | thank you | thanks | that | the | their | then | there | these | they | this | those | "
    "threshold | to be | tolerable | tolerate | tolerating | total | us | value | values | want | wanted | "
    "wants | we | we'd | we'd like | what | what is | what's | which | who | whose | will | will do | would "
    "| would like | you | your"
)
"""words that carry no condition"""
UNITS = (
    "joules | j | bytes | samples per second | examples per second | images per second | steps per second | "
    "cpu seconds"
)
"""figures that are called by their unit, so that a number beside them needs none"""
CONCEPTS = {
    "standing draw":
        "standing draw | idle draw | standing energy | idle energy | standing power | idle power | standing "
        "joules | idle joules",
    "harness energy": "harness energy | harness joules",
    "harness time": "harness time | harness seconds",
    "energy":
        "energy | energy use | energy usage | energy consumption | energy cost | energy costs | energy bill |"
        " energy budget | electricity | joule | joules | j | watt hours | kwh | wh",
    "cpu time": "cpu time | cpu seconds | cpu minutes | cpu hours | processor time",
    "flops": "flop | flops | compute",
    "co2":
        "co2 | co2 e | co2 eq | co2 equivalent | carbon dioxide | co2e | carbon | carbon "
        "emissions | co2 emissions | co2e emissions | emissions | carbon "
        "footprint | co2 footprint | ghg | ghg emissions | greenhouse gas | greenhouse gases",
    "time": "time | seconds | minutes | hours | duration | runtime | run time | wall time | wall clock time",
    "speed": "speed",
    "steps": "steps to target | steps to the target",
    "memory":
        "memory | mem | peak mem | memory use | memory usage | memory footprint | peak memory | peak memory "
        "use | peak memory usage | memory peak | ram | peak ram | ram use | ram usage | vram",
    "p95 latency":
        "p95 latency | latency p95 | 95th percentile latency | 95 th percentile latency | 95 percentile "
        "latency | 95th percentile | 95 th percentile | tail latency | p95 | p95 inference latency | p95 "
        "inference time | 95th percentile inference latency | 95 th percentile inference latency | p95 "
        "response time | p95 lat | lat p95",
    "latency":
        "latency | lat | median latency | median inference latency | median inference time | p50 "
        "latency | latency p50 | p50 | response time | delay",
    "throughput": "throughput | samples per second | examples per second | images per second",
    "steps per second": "steps per second | steps per s",
    "nonzeros":
        "nonzero | nonzeros | non zeros | nonzero weights | non zero weights | nonzero parameters | non zero "
        "parameters",
    "parameters":
        "parameter | parameters | param | params | parameter count | parameters count | param count | "
        "trainable parameters | trainable params | weights | weight count",
    "size":
        "size | model size | model file | file size | network size | size on disk | bytes | bytes on disk "
        "| disk | disk "
        "space | disk size | disk usage | storage | weight file",
    "bits_per_byte": "bits per byte | bit per byte | bpb",
    "accuracy":
        "accuracy | acc | correct | correctly classified | top 1 accuracy | top 1 | top1 | top1 accuracy | "
        "classification accuracy",
    "error":
        "error | errors | error rate | classification error | misclassification | misclassification rate | "
        "misclassifications | misclassify | misclassifies | misclassifying | mistakes | wrong "
        "| misclassified | top 1 "
        "error | top 1 error rate | classification error rate",
    "f1": "f1 | f1 score | macro f1 | macro f1 score | f1 macro | f score",
    "precision": "precision | macro precision",
    "recall": "recall | macro recall",
    "auroc": "auroc | roc auc | auc | auc roc | area under the roc curve",
    "f1_micro": "micro f1 | f1 micro | micro f1 score",
    "average_precision": "average precision | mean average precision",
    "rmse": "rmse | root mean squared error | root mean square error",
    "mae": "mae | mean absolute error | average absolute error",
    "r2": "r2 | r ^ 2 | r2 score | r squared | coefficient of determination",
    "loss": "cross entropy | cross entropy loss | loss",
}  # fmt: skip


def split(said: str) -> list[str]:
    """The phrases of an entry."""
    return [" ".join(phrase.split()) for phrase in said.split("|") if phrase.strip()]

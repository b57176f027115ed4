"""What people say in a goal that no objective holds: settings, what is not measured, data elsewhere."""

from functools import cache

from research.goal.vocabulary import split

_SETTINGS = {
    "a budget: base=[budget=epochs,budget.epochs=5]": "epoch | epochs | passes over the data",
    "a budget: base=[budget.steps=300]":
        "step | steps | training steps | optimizer steps | iterations | iteration | updates",
    "a setting: base=[data.batch_size=64]":
        "batch size | batch | batches | minibatch | minibatches | mini batch | batchsize | batch sizes",
    "a setting of the lab: confirm.seeds=5": "seed | seeds | random seeds | random seed",
    "a budget of the lab: budget.trials=40": "trial | trials | experiments | proposals | sprints | sprint",
    "a setting of the lab, which draws splits itself: confirm.seeds=5": "fold | folds | cross validation",
    "a setting: base=[model.depth=3]": "layer | layers | hidden layers | hidden layer | depth | blocks",
    "a setting: base=[model.width=64]":
        "width | units | hidden units | neurons | channels | filters | hidden size | hidden dimension",
    "a setting: base=[model=transformer,model.heads=4]": "head | heads | attention heads",
    "a setting: base=[optimizer.lr=0.001]": "learning rate | learning rates | lr | step size",
    "a setting of an optimizer or schedule: base=[optimizer.weight_decay=0.01]":
        "weight decay | momentum | warmup | warm up | schedule | scheduler | learning rate schedule",
    "a setting: base=[model.dropout=0.1]": "dropout",
    "a shape of the data: base=[data.shape=[1,28,28]]":
        "image size | input size | input resolution | resolution | pixels | sequence length | context length "
        "| image width | image height",
    "a setting: base=[optimizer=adam]":
        "optimizer | optimizers | optimiser | adam | adamw | sgd | lion | muon | sophia | soap | adafactor | "
        "schedulefree | schedule free",
    "a setting: base=[compress=[int8_static]]":
        "quantized | quantised | quantization | quantisation | quantize | quantise | int8 | int4 | 8 bit | 4 "
        "bit | 8 bits | 4 bits | pruned | prune | pruning | sparsity | sparse | compressed | compression | "
        "compress | distilled | distillation | low rank",
    "a setting: base=[trainer.precision=bf16-mixed]":
        "precision training | single precision | double precision | full precision | mixed precision | "
        "half precision | 16 bit | 16 bits | 32 bit | bf16 | fp16 | "
        "fp32 | bfloat16 | float16",
    "a setting of the lab: launcher.jobs=2":
        "gpus | cores | core | threads | cpus | workers | processes | machines",
    "a budget of the lab, for the language model: budget.dollars=1":
        "dollar | dollars | usd | euro | euros | eur | cents | money | $ | € | £",
    "a setting of the training, which base=[KEY=VALUE] fixes where conf/ has it":
        "data augmentation | augmentation | augmentations | label smoothing | gradient clipping | gradient "
        "checkpointing | activation | activations | initialisation | initialization | regularisation | "
        "regularization",
}  # fmt: skip
"""what to type instead, and the phrases"""
_UNMEASURED = {
    "accuracy":
        "top 5 | top5 | top 5 accuracy | top5 accuracy | top 3 | top 3 accuracy | top k | top k accuracy | "
        "top 10 | top 5 error | top 2 | top 2 accuracy | top 3 error | top 5 error rate"
        " | "
        "calibration | ece | calibration error | uncertainty | robustness | adversarial robustness | fairness"
        " | bias | interpretability | explainability | generalisation | generalization | quality | "
        "performance",
    "F1":
        "balanced accuracy | mcc | kappa | specificity | sensitivity | auprc | map | iou "
        "| miou | dice | weighted f1 | hamming loss | true positive rate | false positive rate",
    "bits per byte": "perplexity | ppl | bleu | rouge | wer | word error rate | cer",
    "loss":
        "snr | signal to noise | signal to noise ratio | psnr | ssim | fid",
    "RMSE": "mse | mean squared error | mape | mean absolute percentage error",
    "training energy":
        "power | watt | watts | w | kw | kilowatt | kilowatts | power draw | power consumption | peak power |"
        " temperature | battery | battery life"
        " | price | complexity | data efficient | data efficiency | sample efficient | sample "
        "efficiency | label efficient",
    "FLOPs": "mac | macs | gmac | gmacs | mmacs | multiply accumulates | multiplications | operations | ops",
    "p95 latency":
        "p99 | p99 latency | 99th percentile latency | 99 th percentile latency | p90 | p90 latency | p999 | "
        "worst case latency",
    "CO2": "water | water use",
}  # fmt: skip
"""what is measured, and the phrases for what is not"""
_TASKS = (
    "sentiment | sentiment analysis | sentiment classification | segmentation | semantic segmentation | "
    "image segmentation | detection | object detection | translation | machine translation | speech | "
    "speech recognition | audio | audio classification | regression | forecasting | time series | time "
    "series forecasting | recommendation | recommender | reinforcement learning | rl | image generation | "
    "text generation | generation | summarisation | summarization | question answering | named entity "
    "recognition | ner | clustering | anomaly detection | captioning | image captioning | ocr | face "
    "recognition | keyword spotting | text classification | spam | spam detection | tabular | pose "
    "estimation | depth estimation | super resolution | imagenet | svhn | imdb | emnist | kmnist | wikitext"
    " | coco | glue | librispeech | tiny imagenet | stl10 | stl 10 | iris | celeba | squad | ptb | "
    "openwebtext | shakespeare | video | graphs | molecules"
)
_VAGUE = (
    "almost | nearly | close to | near | few hundred | several | couple | exactly | precisely | half way | "
    "halfway | if possible | ideally | preferably | hopefully | when possible"
)
_WHOLE = (
    "in total | altogether | in all | all together | whole search | entire search | whole campaign | entire "
    "campaign | all trainings | all trials together | the search | this search | our search | my search | "
    "search budget | search energy | search time | search cost | searching time"
)
WHOLE = "is a budget of the lab: budget.joules=100 or budget.seconds=600"
"""why a figure that all trainings share is no goal"""
COST = "is not measured here, training energy is"
"""why a cost that no figure says the kind of is no goal"""
_ALTERNATIVES = "or | either | and/or | at least one of | any one of | one or more of"


@cache
def reasons() -> dict[str, str]:
    """Each phrase that no objective holds, and why: the rest of a sentence that begins with it."""
    table: dict[str, str] = {}
    for line, said in _SETTINGS.items():
        table |= dict.fromkeys(split(said), f"is no goal but {line}")
    for near, said in _UNMEASURED.items():
        table |= dict.fromkeys(split(said), f"is not measured here, {near} is")
    bring = (
        "is no data set that is here: bring your own by base=[data=folder,data.path=PATH], or by data=table, "
        "text, arrays, corpus, idx or hf"
    )
    ranged = "is a range: give the one bound that counts, at least or at most"
    return (
        table
        | dict.fromkeys(split(_TASKS), bring)
        | dict.fromkeys(split(_ALTERNATIVES), "leaves a choice open, and a goal makes it")
        | dict.fromkeys(split(_WHOLE), WHOLE)
        | {"all but": "tells what is left out: say how much is right, as 'error at most 5 %'"}
        | dict.fromkeys(("between", "ranging", "from"), ranged)
        | dict.fromkeys(split(_VAGUE), "is no bound: say at least or at most")
    )

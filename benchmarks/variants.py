"""The variants of each technique that are measured alone on the baseline, group by group."""

from typing import Any

FREE: dict[str, Any] = {"sampler": "none"}  # a loss or weights that correct the imbalance need no sampler beside them

# group -> variant -> what it changes: keys of the recipe, and settings of `identity` or `gan`
GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "baseline": {"baseline": {}},
    "losses": {
        "ce, no sampler": FREE,
        "focal": {"loss": "focal", **FREE},
        "cb": {"loss": "cb", **FREE},
        "cb_focal": {"loss": "cb_focal", **FREE},
        "ldam, cosine head": {"loss": "ldam", "head": "cosine", **FREE},
        "ldam + drw, cosine head": {"loss": "ldam", "head": "cosine", "drw": 0.8, **FREE},
        "balanced_softmax": {"loss": "balanced_softmax", **FREE},
        "logit_adjusted, τ 0.5": {"loss": "logit_adjusted", "logit_tau": 0.5, **FREE},
        "cb, label_smoothing 0.1": {"loss": "cb", "label_smoothing": 0.1, **FREE},
        "ce + drw": {"drw": 0.8, **FREE},
    },
    "aus": {
        "λ 0.5": {"au_weight": 0.5},
        "λ 0.5, weighted_bce": {"au_weight": 0.5, "au_loss": "weighted_bce"},
        "λ 0.5, asymmetric": {"au_weight": 0.5, "au_loss": "asymmetric"},
        "λ 0.5, mlp head": {"au_weight": 0.5, "au_head": "mlp"},
        "uncertainty": {"au_weight": "uncertainty"},
        "λ 0.5, intensity": {"au_weight": 0.5, "au_intensity": 1.0},
    },
    "samplers": {
        "balanced": {"sampler": "balanced"},
        "square_root": {"sampler": "square_root"},
        "curriculum": {"sampler": "curriculum"},
    },
    "few_shot": {
        "cosine head": {"head": "cosine"},
        "prototype head": {"head": "prototype"},
        "episodes": {"few_shot_below": 50, "few_shot_weight": 0.5},
        "cosine head, episodes": {"head": "cosine", "few_shot_below": 50, "few_shot_weight": 0.5},
        "prototype head, episodes": {"head": "prototype", "few_shot_below": 50, "few_shot_weight": 0.5},
        "light episodes, no sampler": {"few_shot_below": 50, "few_shot_weight": 0.1, **FREE},
        "cosine head, light episodes, no sampler": {
            "head": "cosine",
            "few_shot_below": 50,
            "few_shot_weight": 0.1,
            **FREE,
        },
    },
    "meta": {
        "meta_weight": {"meta": "meta_weight", **FREE},
        "maml": {"meta": "maml"},
        "maml, no sampler": {"meta": "maml", **FREE},
    },
    "targets": {
        "votes": {"target": "votes"},
        "votes, no sampler": {"target": "votes", **FREE},
        "compound": {"target": "compound"},
        "compound, no sampler": {"target": "compound", **FREE},
    },
    "optimisation": {
        "sam 0.05": {"sam": 0.05},
        "ema 0.99": {"ema": 0.99},
        "sam 0.05, ema 0.99": {"sam": 0.05, "ema": 0.99},
        "clip_grad 1": {"clip_grad": 1.0},
        "layer_decay 0.75": {"layer_decay": 0.75},
        "sgd": {"optimizer": "sgd", "lr": 0.1},
        "one_cycle": {"schedule": "one_cycle"},
    },
    "backbones": {  # resnet is the baseline, vit the control in group ssl
        "efficientnet": {"backbone": "efficientnet"},
        "convnext": {"backbone": "convnext"},
        "swin": {"backbone": "swin"},
    },
    "vit": {
        "vit, layer_decay 0.75": {"backbone": "vit", "layer_decay": 0.75},
        "vit, drop_path 0.1": {"backbone": "vit", "drop_path": 0.1},
    },
    "attention": {
        "se": {"attention": "se"},
        "cbam": {"attention": "cbam"},
        "spatial": {"attention": "spatial"},
        "au_guided, untaught (control)": {"attention": "au_guided", "attention_weight": 0.0},
        "au_guided 0.1": {"attention": "au_guided", "attention_weight": 0.1},
        "au_guided 0.3": {"attention": "au_guided", "attention_weight": 0.3},
        "au_guided 1": {"attention": "au_guided", "attention_weight": 1.0},
    },
    "augmentation": {
        "no augmentation": {"augment": "none"},
        "expression_preserving": {"augment": "expression_preserving"},
        "face_aware": {"augment": "face_aware"},
        "trivial": {"augment": "trivial"},
    },
    "mixing": {
        "mixup 0.2": {"mix": "mixup", "mix_alpha": 0.2},
        "cutmix 1": {"mix": "cutmix", "mix_alpha": 1.0},
        "face_cutmix": {"mix": "face_cutmix"},
        "face_aware, mixup 0.2": {"augment": "face_aware", "mix": "mixup", "mix_alpha": 0.2},
    },
    "identity": {
        "arcface": {"init": "identity", "identity": {"loss": "arcface"}},
        "cosface": {"init": "identity", "identity": {"loss": "cosface"}},
    },
    "ssl": {
        "simclr": {"ssl": {"method": "simclr"}},
        "moco": {"ssl": {"method": "moco"}},
        "byol": {"ssl": {"method": "byol"}},
        "byol, then identity": {"init": "identity", "ssl": {"method": "byol"}},
        "vit (control)": {"backbone": "vit"},
        "vit, mae": {"backbone": "vit", "ssl": {"method": "mae"}},
        "vit, simclr": {"backbone": "vit", "ssl": {"method": "simclr"}},
    },
    "synthesis": {
        "gan, 100 a class": {"synthesis": "gan", "gan": {"per_class": 100}},
        "gan, 100 a class, no sampler": {"synthesis": "gan", "gan": {"per_class": 100}, **FREE},
        "gan, 300 a class, no sampler": {"synthesis": "gan", "gan": {"per_class": 300}, **FREE},
    },
}

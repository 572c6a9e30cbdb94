"""Where the methods of a run come from, as BibTeX: an entry for each penalty, balancing and explanation it uses."""

from collections.abc import Iterable
from dataclasses import dataclass

from winnow.engine.runs.run import Run
from winnow.engine.specs.explain import ExplainSpec


@dataclass(frozen=True)
class Paper:
    """A publication: its key, its authors, its title, where it appeared, when, and its number at arXiv ("": none)."""

    key: str
    authors: str
    title: str
    where: str
    year: int
    arxiv: str = ""

    def bibtex(self) -> str:
        """Return the entry."""
        fields = {"author": self.authors, "title": f"{{{self.title}}}", "howpublished": self.where, "year": self.year}
        fields |= {"eprint": self.arxiv, "archiveprefix": "arXiv"} if self.arxiv else {}
        body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        return f"@misc{{{self.key},\n{body}}}\n"


SOURCES = {
    source.key: source
    for source in (
        Paper(
            "upadhyay2023less",
            "Upadhyay, Richa and Phlypo, Ronald and Saini, Rajkumar and Liwicki, Marcus",
            "Less is More -- Towards parsimonious multi-task models using structured sparsity",
            "arXiv",
            2023,
            "2308.12114",
        ),
        Paper(
            "upadhyay2024giving",
            "Upadhyay, Richa and Phlypo, Ronald and Saini, Rajkumar and Liwicki, Marcus",
            "Giving each task what it needs -- leveraging structured sparsity for tailored multi-task learning",
            "arXiv",
            2024,
            "2406.03048",
        ),
        Paper("parikh2014proximal", "Parikh, Neal and Boyd, Stephen", "Proximal Algorithms",
               "Foundations and Trends in Optimization 1(3)", 2014),
        Paper("yuan2006model", "Yuan, Ming and Lin, Yi",
               "Model selection and estimation in regression with grouped variables",
               "Journal of the Royal Statistical Society B 68(1)", 2006),
        Paper("simon2013sparse", "Simon, Noah and Friedman, Jerome and Hastie, Trevor and Tibshirani, Robert",
               "A Sparse-Group Lasso", "Journal of Computational and Graphical Statistics 22(2)", 2013),
        Paper("breheny2015group", "Breheny, Patrick and Huang, Jian",
               "Group descent algorithms for nonconvex penalized linear and logistic regression models with grouped "
               "predictors", "Statistics and Computing 25", 2015),
        Paper("tibshirani1996regression", "Tibshirani, Robert", "Regression Shrinkage and Selection via the Lasso",
               "Journal of the Royal Statistical Society B 58(1)", 1996),
        Paper("fang2023depgraph", "Fang, Gongfan and Ma, Xinyin and Song, Mingli and Mi, Michael Bi and Wang, Xinchao",
               "DepGraph: Towards Any Structural Pruning", "CVPR", 2023, "2301.12900"),
        Paper("xin2022current",
               "Xin, Derrick and Ghorbani, Behrooz and Gilmer, Justin and Garg, Ankush and Firat, Orhan",
               "Do Current Multi-Task Optimization Methods in Deep Learning Even Help?", "NeurIPS", 2022,
               "2209.11379"),
        Paper("kendall2018multi", "Kendall, Alex and Gal, Yarin and Cipolla, Roberto",
               "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics", "CVPR", 2018,
               "1705.07115"),
        Paper("liu2019end", "Liu, Shikun and Johns, Edward and Davison, Andrew J.",
               "End-to-End Multi-Task Learning with Attention", "CVPR", 2019, "1803.10704"),
        Paper("liu2023famo", "Liu, Bo and Feng, Yihao and Stone, Peter and Liu, Qiang",
               "FAMO: Fast Adaptive Multitask Optimization", "NeurIPS", 2023, "2306.03792"),
        Paper("chen2018gradnorm", "Chen, Zhao and Badrinarayanan, Vijay and Lee, Chen-Yu and Rabinovich, Andrew",
               "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks", "ICML", 2018,
               "1711.02257"),
        Paper("yu2020gradient", "Yu, Tianhe and Kumar, Saurabh and Gupta, Abhishek and Levine, Sergey and Hausman, "
               "Karol and Finn, Chelsea", "Gradient Surgery for Multi-Task Learning", "NeurIPS", 2020, "2001.06782"),
        Paper("liu2021conflict", "Liu, Bo and Liu, Xingchao and Jin, Xiaojie and Stone, Peter and Liu, Qiang",
               "Conflict-Averse Gradient Descent for Multi-task Learning", "NeurIPS", 2021, "2110.14048"),
        Paper("sener2018multi", "Sener, Ozan and Koltun, Vladlen",
               "Multi-Task Learning as Multi-Objective Optimization", "NeurIPS", 2018, "1810.04650"),
        Paper("liu2021towards", "Liu, Liyang and Li, Yi and Kuang, Zhanghui and Xue, Jing-Hao and Chen, Yimin and "
               "Yang, Wenming and Liao, Qingmin and Zhang, Wayne", "Towards Impartial Multi-task Learning", "ICLR",
               2021),
        Paper("navon2022multi", "Navon, Aviv and Shamsian, Aviv and Achituve, Idan and Maron, Haggai and Kawaguchi, "
               "Kenji and Chechik, Gal and Fetaya, Ethan", "Multi-Task Learning as a Bargaining Game", "ICML", 2022,
               "2202.01017"),
        Paper("senushkin2023independent", "Senushkin, Dmitry and Patakin, Nikolay and Kuznetsov, Arseny and "
               "Konushin, Anton", "Independent Component Alignment for Multi-Task Learning", "CVPR", 2023,
               "2305.19000"),
        Paper("quinton2024jacobian", "Quinton, Pierre and Rey, Val{\\'e}rian",
               "Jacobian Descent for Multi-Objective Optimization", "arXiv", 2024, "2406.16232"),
        Paper("molchanov2019importance", "Molchanov, Pavlo and Mallya, Arun and Tyree, Stephen and Frosio, Iuri and "
               "Kautz, Jan", "Importance Estimation for Neural Network Pruning", "CVPR", 2019, "1906.10771"),
        Paper("shrikumar2016not", "Shrikumar, Avanti and Greenside, Peyton and Shcherbina, Anna and Kundaje, Anshul",
               "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences", "arXiv",
               2016, "1605.01713"),
        Paper("dhamdhere2018how", "Dhamdhere, Kedar and Sundararajan, Mukund and Yan, Qiqi",
               "How Important Is a Neuron?", "arXiv", 2018, "1805.12233"),
        Paper("sundararajan2017axiomatic", "Sundararajan, Mukund and Taly, Ankur and Yan, Qiqi",
               "Axiomatic Attribution for Deep Networks", "ICML", 2017, "1703.01365"),
        Paper("leino2018influence", "Leino, Klas and Sen, Shayak and Datta, Anupam and Fredrikson, Matt and Li, "
               "Linyi", "Influence-Directed Explanations for Deep Convolutional Networks", "ITC", 2018, "1802.03788"),
        Paper("shrikumar2017learning", "Shrikumar, Avanti and Greenside, Peyton and Kundaje, Anshul",
               "Learning Important Features Through Propagating Activation Differences", "ICML", 2017, "1704.02685"),
        Paper("zeiler2014visualizing", "Zeiler, Matthew D. and Fergus, Rob",
               "Visualizing and Understanding Convolutional Networks", "ECCV", 2014, "1311.2901"),
        Paper("adebayo2018sanity", "Adebayo, Julius and Gilmer, Justin and Muelly, Michael and Goodfellow, Ian and "
               "Hardt, Moritz and Kim, Been", "Sanity Checks for Saliency Maps", "NeurIPS", 2018, "1810.03292"),
        Paper("samek2017evaluating", "Samek, Wojciech and Binder, Alexander and Montavon, Gr{\\'e}goire and "
               "Lapuschkin, Sebastian and M{\\\"u}ller, Klaus-Robert",
               "Evaluating the visualization of what a deep neural network has learned",
               "IEEE Transactions on Neural Networks and Learning Systems 28(11)", 2017, "1509.06321"),
        Paper("vandenhende2021multi", "Vandenhende, Simon and Georgoulis, Stamatios and Van Gansbeke, Wouter and "
               "Proesmans, Marc and Dai, Dengxin and Van Gool, Luc",
               "Multi-Task Learning for Dense Prediction Tasks: A Survey", "IEEE TPAMI", 2021, "2004.13379"),
    )
}  # fmt: skip
ALWAYS = ("upadhyay2023less", "parikh2014proximal")
STUDY = ("vandenhende2021multi",)
TAILORING = ("upadhyay2024giving",)
CHECKS = ("adebayo2018sanity", "samek2017evaluating")
PENALTIES = {
    "group_lasso": "yuan2006model",
    "sparse_group_lasso": "simon2013sparse",
    "group_mcp": "breheny2015group",
    "l1": "tibshirani1996regression",
}
BALANCING = {
    "equal": "",  # of no publication
    "static": "",
    "auto": "xin2022current",
    "uncertainty": "kendall2018multi",
    "dwa": "liu2019end",
    "famo": "liu2023famo",
    "gradnorm": "chen2018gradnorm",
    "pcgrad": "yu2020gradient",
    "cagrad": "liu2021conflict",
    "mgda": "sener2018multi",
    "imtl_g": "liu2021towards",
    "nash_mtl": "navon2022multi",
    "aligned_mtl": "senushkin2023independent",
    "upgrad": "quinton2024jacobian",
}
METHODS = {
    "taylor": "molchanov2019importance",
    "taylor_positions": "molchanov2019importance",
    "gradient_x_activation": "shrikumar2016not",
    "conductance": "dhamdhere2018how",
    "layer_integrated_gradients": "sundararajan2017axiomatic",
    "internal_influence": "leino2018influence",
    "deep_lift": "shrikumar2017learning",
    "feature_ablation": "zeiler2014visualizing",
}


def cited(run: Run, explained: ExplainSpec | None) -> frozenset[str]:
    """Return the keys of what a run, and its explanation where it has one, rests on."""
    spec = run.spec
    found = {*ALWAYS, PENALTIES[spec.penalty.penalty], BALANCING[spec.balancing.balancing]}
    found |= {"fang2023depgraph"} if spec.penalty.groups == "coupled" else set()
    if explained is not None:
        found |= {*(METHODS[method] for method in explained.methods), *CHECKS}
    return frozenset(found - {""})


def bibtex(keys: Iterable[str]) -> str:
    """Return the entries of some keys, in the order of the keys."""
    return "\n".join(SOURCES[key].bibtex() for key in sorted(set(keys)))

"""Conformance: every model of the list traced, timed, cut at four ratios, and every cut held against the truth.

    python benchmarks/zoo.py                             # all that --out has no record of yet
    python benchmarks/zoo.py resnet50 'timm/conv*'       # some: by name, pattern or suite (classification, timm)
    python benchmarks/zoo.py --failed                    # and those again that fail
    python benchmarks/zoo.py --only trace --again        # times, memory and what can go; checks stay as they were
    python benchmarks/zoo.py --table docs/conformance.md # nothing is run; the records become a table

Each model has a process of its own (`isolated.py`). The trace is timed on the image that the model was made for: the
median of three, after one that also pays for imports, and the rise of the resident memory in one more. The cuts
(`zoo_checks.py`) are made on a small image, because arithmetic costs.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from isolated import (
    Record,
    Stages,
    WrongAnswer,
    extra_memory,
    failure,
    isolated,
    median,
    report,
    seconds_again,
    seconds_of,
)
from records import arguments, go_through, read_records
from zoo_models import Case, chosen

OF_THE_TRACE = ("build", "trace")
SECONDS = 1200.0  # for all that is done with one model


def main() -> None:
    parser = arguments("Trace, cut and check every model of the list.", "build/zoo.jsonl", SECONDS)
    parser.add_argument("--only", choices=["trace"], help="no cuts")
    parser.add_argument("--engine", help="as of elastic.trace; the default is its own")
    asked = parser.parse_args()
    if asked.report:
        [case] = chosen(asked.models)
        report(lambda: measure(case, only_trace=asked.only == "trace", engine=asked.engine), asked.report, asked.memory)
    elif asked.table:
        from zoo_table import conformance

        asked.table.write_text(conformance(read_records(asked.out)))
    else:
        extra = [f"--{name}={value}" for name in ("only", "engine") if (value := getattr(asked, name))]
        known = read_records(asked.out) if asked.only == "trace" else {}

        def one(case: Case) -> Record:
            record = isolated([__file__, case.name, *extra], seconds=asked.seconds, memory=case.memory)
            return merged(known[case.name], record) if case.name in known else record

        go_through(chosen(asked.models), asked, one, line)


def merged(old: Record, new: Record) -> Record:
    """Return a record whose trace is new and whose checks are old."""
    kept = [one for one in old["failures"] if one["stage"] not in OF_THE_TRACE]
    checked = old.get("checked", old["commit"])
    return old | new | {"failures": [*new.get("failures", []), *kept], "checked": checked}


def line(record: Record) -> str:
    """Return what is worth watching while the list is gone through."""
    if "seconds" in record:
        told = f"{median(record['seconds']):.2f} s, {record.get('megabytes', 0):.0f} MB"
        told += f", {record.get('params_cut', 0):.0%} of the parameters can go"
    else:
        told = "not traced"
    problems = [record["died"]] if "died" in record else []
    problems += [f"{one['stage']}: {one['what']}" for one in record.get("failures", [])]
    return f"{record['name']}: {told} [{record['wall_seconds']:.0f} s]" + "".join(f"\n    {p}" for p in problems)


def measure(case: Case, *, only_trace: bool, engine: str | None) -> Stages:
    """Yield the record of a model, again after each stage; what fails is in it, with the reason."""
    record: Record = {"failures": []}
    options = {"engine": engine} if engine else {}
    yield from trace(case, record, options)
    if not only_trace and "units" in record:
        yield from check(case, record, options)
    record["finished"] = True
    yield record


def trace(case: Case, record: Record, options: Record) -> Stages:
    import elastic
    from elastic.allocation import least_cost

    with noted(record, "build"):
        model, example = case.build()
        record |= {"side": example.shape[-1], "params": sum(p.numel() for p in model.parameters())}
    yield record
    with noted(record, "trace"):
        record["first_seconds"] = first = seconds_of(lambda: elastic.trace(model, example, **options))
        record["seconds"] = seconds_again(lambda: elastic.trace(model, example, **options), first)
        yield record
        record["megabytes"] = extra_memory(lambda: elastic.trace(model, example, **options))
        plan = elastic.trace(model, example, **options)
        least, dense = least_cost(plan), elastic.CostModel(plan).dense
        reasons = Counter[str]()
        for frozen in plan.frozen:
            reasons[frozen.reason] += frozen.positions
        record |= {"units": plan.units, "groups": len(plan.groups), "frozen": reasons.most_common(8)}
        record |= {
            "params_cut": 1 - least.params / max(1, dense.params),
            "macs_cut": 1 - least.macs / max(1, dense.macs),
        }
    yield record


def check(case: Case, record: Record, options: Record) -> Stages:
    from zoo_checks import OF_A_LEVEL, OF_ALL_LEVELS, RATIOS, TOLERANCE, Subject, distance

    import elastic

    record["errors"], record["passed"] = {}, []
    with noted(record, "trace on a small image"):
        model, example = case.build(small=True)
        record["small_side"] = example.shape[-1]
        subject = Subject(model, example, elastic.trace(model, example, **options))
        del model
        for level, ratio in enumerate(RATIOS):
            with noted(record, f"masked = cut at {ratio}"):
                record["errors"][str(ratio)] = error = distance(subject, level)
                if not error < TOLERANCE:
                    raise WrongAnswer(f"the cut network is off by {error:.1e} of the output")
            for name, of_a_level in OF_A_LEVEL.items():
                with noted(record, f"{name} at {ratio}"):
                    of_a_level(subject, level)
                    record["passed"].append(f"{name} at {ratio}")
            yield record
        for name, of_all in OF_ALL_LEVELS.items():
            with noted(record, name):
                of_all(subject)
                record["passed"].append(name)
            yield record


@contextmanager
def noted(record: Record, stage: str) -> Iterator[None]:
    """Put what is raised into the record, and go on."""
    try:
        yield
    except Exception as reason:
        record["failures"].append(failure(stage, reason))


if __name__ == "__main__":
    sys.exit(main())

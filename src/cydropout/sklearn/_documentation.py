"""Where the pages of the estimators are, for the links that scikit-learn draws."""

from importlib.metadata import PackageNotFoundError, metadata


def documentation() -> str:
    """Return where the page of an estimator is, as the package's metadata say, or nothing."""
    try:
        urls = metadata("cydropout").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    found = dict(url.split(", ", 1) for url in urls)
    base = found.get("Documentation", "").rstrip("/")
    return f"{base}/api/cydropout.sklearn.{{estimator_name}}.html" if base else ""


class Documented:
    """Links an estimator to its page, where the package says at which address its pages are."""

    _doc_link_module = "cydropout"
    _doc_link_template = documentation()

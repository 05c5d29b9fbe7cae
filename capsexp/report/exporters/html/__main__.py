"""python -m capsexp.report.exporters.html: makes vega.js again, by vl-convert-python (extra `dev`)."""

from __future__ import annotations

from pathlib import Path


def bundle() -> str:
    """The plotting library as one script that gives the page `vegaEmbed`. Takes some seconds, which is why the result
    is shipped."""
    import vl_convert

    return str(vl_convert.javascript_bundle("globalThis.vegaEmbed = vegaEmbed;"))


if __name__ == "__main__":
    (Path(__file__).parent / "vega.js").write_text(bundle(), "utf-8", newline="\n")

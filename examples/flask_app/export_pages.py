"""The operator's exports: what the books hold, as files that are whole or not sent at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from tempfile import TemporaryFile
from typing import Any

from flask import Blueprint, render_template, request, send_file

from forms import DAY, SPAN_FIELDS, read_span, typed
from operator_pages import operators_only
from prepaid import ConfigurationError, RequestRefused
from refund_forms import placed
from report_words import FORMATS
from wiring import operator, panel

pages = Blueprint("exports", __name__, url_prefix="/operator")
pages.before_request(operators_only)
USUAL_DAYS = timedelta(days=30)
FIELDS = ("name", "format", *SPAN_FIELDS)
MEDIA_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
    "beancount": "text/plain",
}


@pages.get("/exports")
def exports() -> Any:
    """Ask what shall be exported."""
    today = panel().today()
    return _page({"since": str(today - USUAL_DAYS), "until": str(today)}, {})


def _page(values: Mapping[str, str], errors: dict[str, str]) -> str:
    names = [each.name for each in operator().reports.export_formats()]
    formats = [(name, FORMATS.get(name, name)) for name in names]
    return render_template("operator/exports.html", formats=formats, values=values, errors=errors)


@pages.get("/exports/file")
def file() -> Any:
    """Send an export, or say beside its field what is wrong."""
    sent = typed(request.args, FIELDS)
    try:
        return _file(sent)
    except RequestRefused as refused:
        errors = placed(refused, FIELDS)
    except ConfigurationError as missing:
        errors = {"format": str(missing)}  # such as an extra that is not installed
    return _page(sent, errors), 422


def _file(sent: Mapping[str, str]) -> Any:
    """Write all of it before any of it is sent: a file that looks whole and is not would be believed."""
    (since, until), reports = read_span(sent), operator().reports
    with ExitStack() as opened:
        written = opened.enter_context(TemporaryFile())
        reports.export(sent["name"], since=since, until=until + DAY, format=sent["format"], to=written)
        size = written.seek(0, os.SEEK_END)
        written.seek(0)
        [extension] = [each.extension for each in reports.export_formats() if each.name == sent["format"]]
        answer = send_file(
            written,
            mimetype=MEDIA_TYPES.get(sent["format"], "application/octet-stream"),
            as_attachment=True,
            download_name=f"{sent['name']}-{since}-{until}.{extension}",
        )
        answer.content_length = size  # by which a browser knows one that was cut off
        opened.pop_all()  # the answer closes it at its end
    return answer

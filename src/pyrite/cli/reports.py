"""Owns how reports are printed: tables for people, JSON for programs."""

from datetime import UTC, datetime

import msgspec
from rich.table import Table

from pyrite.cli.arguments import console as wide_console
from pyrite.core.units import format_size
from pyrite.node.info import Info
from pyrite.node.report import Report


def print_check(report: Report, as_json: bool) -> None:
    """The findings of a check."""
    if as_json:
        content = {**msgspec.structs.asdict(report), "clean": report.clean}
        print(msgspec.json.format(msgspec.json.encode(content)).decode())
        return
    table = Table(show_header=False, box=None)
    rows = [
        ("buckets", str(report.buckets)),
        ("objects", f"{report.objects} ({format_size(report.object_bytes)})"),
        ("uploads under way", str(report.uploads)),
        ("volumes", str(report.volumes)),
        ("fragments verified", str(report.fragments)),
        ("damaged, missing", f"{report.damaged_fragments}, {report.missing_fragments}"),
        ("unreadable stripes", str(report.unreadable_stripes)),
        ("waiting to be freed", str(report.garbage)),
    ]
    for name, value in rows:
        table.add_row(name, value)
    console = wide_console()
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    for error in report.errors:
        console.print(f"error: {error}", markup=False)
    console.print("clean" if report.clean else f"{len(report.errors)} errors", markup=False)


def print_info(info: Info, as_json: bool) -> None:
    """What a store is."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(info)).decode())
        return
    console = wide_console()
    console.print(f"store {info.store}", markup=False)
    console.print(f"{info.buckets} buckets, {info.objects} objects, {format_size(info.object_bytes)}", markup=False)
    volumes = ", ".join(f"{count} {name}" for name, count in sorted(info.volumes.items())) or "none"
    console.print(f"volumes: {volumes}; {info.waiting_for_repair} wait for repair", markup=False)
    if info.lost_stripes:
        console.print(f"{info.lost_stripes} stripes cannot be read; pyrite check names their objects", markup=False)
    if info.oldest_unverified_ms:
        oldest = datetime.fromtimestamp(info.oldest_unverified_ms / 1000, UTC).isoformat(" ", "seconds")
        console.print(f"every byte was written or verified since {oldest}", markup=False)
    console.print(f"durability: {info.durability}", markup=False)
    for warning in info.warnings:
        console.print(f"warning: {warning}", markup=False)
    table = Table("drive", "path", "state", "free", "total", "metadata", box=None)
    for drive in info.drives:
        table.add_row(
            drive.id,
            drive.path,
            drive.state,
            format_size(drive.free_bytes),
            format_size(drive.total_bytes),
            "yes" if drive.holds_metadata else "",
        )
    console.print(table)

"""Cut a box out of a NetCDF file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray

_LATITUDES = {"lat", "latitude"}
_LONGITUDES = {"lon", "longitude"}


class NothingToSubset(ValueError):
    """No part of the file is in the box; the message says why."""


def subset_bbox(
    source: Path,
    target: Path,
    *,
    lon0: float,
    lon1: float,
    lat0: float,
    lat1: float,
    start: str | None = None,
    end: str | None = None,
    variables: Sequence[str] = (),
) -> None:
    """Write the part of a NetCDF file whose grid points are in a box.

    Longitudes are compared modulo 360 degrees, so a box of -80 to -60 finds
    280 to 300, and the result has longitudes from -80 to -60. If `lon1` is
    below `lon0`, the box crosses the date line. All limits are included; no
    `variables` means all.
    """
    import xarray

    try:
        # Times are copied unchanged, as numbers; they are decoded only for the selection.
        dataset = xarray.open_dataset(source, engine="netcdf4", decode_times=bool(start or end))
    except (OSError, ValueError) as error:
        raise NothingToSubset(f"{source.name} is not NetCDF: {error}") from error
    with dataset:
        missing = [name for name in variables if name not in dataset]
        if missing:
            raise NothingToSubset(f"{source.name} has no variable {', '.join(missing)}")
        chosen = dataset[list(variables)] if variables else dataset
        box = _box(chosen, lon0, lon1, lat0, lat1)
        if start or end:
            if "time" not in box.dims:
                raise NothingToSubset(f"{source.name} has no time to choose from")
            try:
                box = box.sel(time=slice(start, end))
            except (ValueError, KeyError) as error:
                # A model's year may have 360 days, without a 31st of December.
                raise NothingToSubset(f"{start} to {end} in {source.name}: {error}") from error
            if not box.sizes["time"]:
                raise NothingToSubset(f"no time between {start} and {end} in {source.name}")
        box.to_netcdf(target, engine="netcdf4")


def _box(
    dataset: xarray.Dataset, lon0: float, lon1: float, lat0: float, lat1: float
) -> xarray.Dataset:
    latitude = _axis(dataset, _LATITUDES)
    longitude = _axis(dataset, _LONGITUDES)
    rows = ((latitude >= lat0) & (latitude <= lat1)).values.nonzero()[0]
    east = (longitude.values.astype(float) - lon0) % 360
    width = 360.0 if abs(lon1 - lon0) >= 360 else (lon1 - lon0) % 360
    columns = east.argsort(kind="stable")
    columns = columns[east[columns] <= width]
    if not len(rows) or not len(columns):
        raise NothingToSubset(f"no grid point in lon {lon0}..{lon1}, lat {lat0}..{lat1}")
    box = dataset.isel({latitude.dims[0]: rows, longitude.dims[0]: columns})
    values = (lon0 + east[columns]).astype(longitude.dtype)
    return box.assign_coords({longitude.name: (longitude.dims, values, longitude.attrs)})


def _axis(dataset: xarray.Dataset, names: set[str]) -> xarray.DataArray:
    for name in dataset.coords:
        coordinate: xarray.DataArray = dataset.coords[name]
        if coordinate.ndim == 1 and {str(name), coordinate.attrs.get("standard_name")} & names:
            return coordinate
    raise NothingToSubset(f"no one-dimensional coordinate called {' or '.join(sorted(names))}")

"""A pandas DataFrame as plain data."""

import datetime

import orjson


def data_of_frame(frame):
    """Column → list of values; times as ISO strings, missing and non-finite numbers as None, other objects as text."""
    columns = {str(name): frame.iloc[:, position].tolist() for position, name in enumerate(frame.columns)}
    return orjson.loads(orjson.dumps(columns, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS))


def _plain(value):
    import pandas

    if pandas.api.types.is_scalar(value) and pandas.isna(value):
        return None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)

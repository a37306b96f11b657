"""The quality that a JPEG was saved at, from its quantisation tables: how coarse its luminance table is.

The scale is that of the Independent JPEG Group, 1 to 100. Other encoders have tables of their own; they get the quality
at which the IJG's are as coarse on the whole. Knows nothing of files.
"""

from collections.abc import Mapping, Sequence

# The sum of the example luminance table, which is that of quality 50. Source: ITU-T T.81, Annex K, table K.1.
_SUM_AT_50 = 3688


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> int | None:
    """Quality 1 to 100 from tables by their number, the lowest being luminance; None without any.

    The IJG scales its table by 50 / quality below 50 and by 2 - quality / 50 above; here both are solved for quality.
    """
    if not tables:
        return None
    coarseness = sum(tables[min(tables)]) / _SUM_AT_50
    quality = 100 - 50 * coarseness if coarseness <= 1 else 50 / coarseness
    return min(100, max(1, round(quality)))

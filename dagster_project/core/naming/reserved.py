"""Names that are taken: Segment's own tables, and the words that warehouses keep for themselves."""

from __future__ import annotations

from typing import Final

# Tables that Segment itself puts into a source's schema.
TABLES: Final = frozenset(
    {"tracks", "identifies", "users", "groups", "accounts", "pages", "screens", "aliases"}
)
# Snowflake's list of reserved keywords (as of 2026-11-23), those of ANSI among them: Segment's sync of a column so
# called fails with SQL error 002318.
_SNOWFLAKE: Final = """
    all alter and any as between by case cast check column connect constraint create cross current
    current_date current_time current_timestamp current_user delete distinct drop else exists false
    following for from full grant group gscluster having ilike in increment inner insert intersect into
    is issue join lateral left like localtime localtimestamp minus natural not null of on or order
    organization qualify regexp revoke right rlike row rows sample schema select set some start table
    tablesample then to trigger true try_cast union unique update using values view when whenever where
    with
"""
# Redshift's: Segment's connector puts a `_` before tables and columns so called.
_REDSHIFT: Final = """
    aes128 aes256 all allowoverwrite analyse analyze and any array as asc authorization az64 backup
    between binary blanksasnull both bytedict bzip2 case cast check collate column constraint create
    credentials cross current_date current_time current_timestamp current_user current_user_id default
    deferrable deflate defrag delta delta32k desc disable distinct do else emptyasnull enable encode
    encrypt encryption end except explicit false for foreign freeze from full globaldict256
    globaldict64k grant group gzip having identity ignore ilike in initially inner intersect interval
    into is isnull join leading left like limit localtime localtimestamp lun luns lzo lzop minus
    mostly16 mostly32 mostly8 natural new not notnull null nulls off offline offset oid old on only open
    or order outer overlaps parallel partition percent permissions pivot placing primary raw readratio
    recover references rejectlog resort respect restore right select session_user similar snapshot some
    sysdate system table tag tdes text255 text32k then timestamp to top trailing true truncatecolumns
    type union unique unnest unpivot user using verbose wallet when where with without
"""
SNOWFLAKE: Final = frozenset(_SNOWFLAKE.split())
REDSHIFT: Final = frozenset(_REDSHIFT.split())
# The longest name of a table or column: Postgres cuts at 63 bytes, Redshift refuses above 127, Snowflake above 255.
LENGTHS: Final = (("Snowflake", 255), ("Redshift", 127), ("Postgres", 63))

"""Small hand-made data sets in the publisher's formats; none of it is the publisher's."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

ML_100K = {
    "u.data": "1\t2\t5\t881250949\n2\t1\t3\t881250949\n1\t1\t4\t881250950\n",
    "u.genre": "unknown|0\nAction|1\nComedy|2\n\n",
    "u.item": (
        "1|Étoile (1995)|01-Jan-1995||http://example.org/1|0|0|1\n"
        "2|[Rec] Part II, The (1992) (2007)|09-Feb-2007|||0|1|1\n"
    ),
    "u.user": "1|24|M|technician|85711\n2|53|F|other|T8H1N\n",
}
ML_1M = {
    "ratings.dat": "1::10::5::978300760\n2::20::4::978302109\n",
    "movies.dat": "10::Étoile: The Film (1995)::Animation|Children's\n20::Plain::Drama\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072-1234\n",
}
ML_LATEST_SMALL = {
    "ratings.csv": "userId,movieId,rating,timestamp\r\n1,1,4.0,964982703\r\n1,3,0.5,964981247\r\n",
    "movies.csv": (
        "movieId,title,genres\r\n"
        '1,"American President, The (1995)",Comedy|Drama\r\n'
        '3,"11\'09""01 - ""September"", Ségou (2002)",(no genres listed)\r\n'
    ),
    "links.csv": "movieId,imdbId,tmdbId\r\n1,0112346,9087\r\n3,0328802,\r\n",
    "tags.csv": (
        "userId,movieId,tag,timestamp\r\n"
        '1,1,"Funny, and ""wise""",1445714994\r\n'
        "2,1,  ,1445714000\r\n"
        "2,1,politics,1137206825\r\n"
        "2,99,of no film here,1137206825\r\n"
    ),
}
ML_10M = {
    "ratings.dat": "1::122::5::838985046\n1::185::0.5::838983525\n59269::122::4.5::838983525\n",
    "movies.dat": "122::Étoile (1992)::Comedy|Romance\n185::Plain: The Film (1995)::(no genres listed)\n",
    "tags.dat": "15::122::été::1215184630\n20::122::a::b:::1188263867\n",
}
# The form of 20M, 25M and 32M: that of latest-small.
ML_20M = ML_LATEST_SMALL
THE_MOVIES_DATASET = {
    # 862 is a movieId here, and the tmdbId of another film.
    "ratings_small.csv": "userId,movieId,rating,timestamp\n1,1,2.5,1260759144\n1,862,3.0,1260759179\n2,7,4.0,5\n",
    "links_small.csv": "movieId,imdbId,tmdbId\n1,0114709,862\n862,0114000,15602\n7,0114319,\n",
    "movies_features_45k.csv.gz": (
        "id,title,genres,runtime,vote_average,vote_count,year,original_language\n"
        "862,Étoile,Animation|Comedy,81.0,7.7,5415.0,1995,fr\n"
        '15602,"Old, Plain",,101.0,6.5,92.0,0,\n'
        "15602,Second,Drama,101.0,6.5,92.0,1999,en\n"
        "1,Unrelated,Drama,101.0,6.5,92.0,1999,en\n"
        "7,,Drama,101.0,6.5,92.0,0,\n"
    ),
}
MOVIETWEETINGS = {
    "ratings.dat": "1::0114508::8::1381006850\n2::0499549::10::1381006850\n2::0114508::0::1381006851\n",
    "movies.dat": "0114508::Étoile (1995)::Horror|Sci-Fi\n0499549::Plain (2009)::\n",
}
FILES = {
    "ml-100k": ML_100K,
    "ml-1m": ML_1M,
    "ml-10m": ML_10M,
    "ml-20m": ML_20M,
    "ml-25m": ML_20M,
    "ml-32m": ML_20M,
    "ml-latest-small": ML_LATEST_SMALL,
    "the-movies-dataset": THE_MOVIES_DATASET,
    "movietweetings": MOVIETWEETINGS,
}
ENCODINGS = {name: "latin-1" if name in {"ml-100k", "ml-1m"} else "utf-8" for name in FILES}


def write_dataset(parent: Path, name: str, **changed: str) -> Path:
    """Write `parent/name`; `changed` replaces files, with a dot in their names written as an underscore."""
    folder = parent / name
    folder.mkdir(parents=True)
    files = FILES[name] | {file.replace("_", "."): text for file, text in changed.items()}
    for file, text in files.items():
        content = text.encode(ENCODINGS[name])
        (folder / file).write_bytes(gzip.compress(content) if file.endswith(".gz") else content)
    return folder


def make_zip(members: dict[str, bytes]) -> bytes:
    """Zip `members` as they are named."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return target.getvalue()


def archive_of(name: str) -> bytes:
    """The zip that a publisher of the hand-made data set `name` would offer."""
    encoding = ENCODINGS[name]
    return make_zip({f"{name}/{file}": text.encode(encoding) for file, text in FILES[name].items()})


def md5_of(content: bytes) -> str:
    """MD5 in hexadecimal."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
